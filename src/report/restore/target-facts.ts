import { plainText } from '../../text.ts'
import type { SchemaChanges, TargetFacts } from '../../restore/target-facts.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import {
  blocks,
  code,
  list,
  md,
  table,
  text,
  type Markdown,
  type Piece,
} from '../markdown/markdown.ts'
import { capped, foldedList } from '../markdown/sections.ts'

/** What there is in the place where a backup would go, and what of it would change. */
export function targetPart(facts: TargetFacts, target: string, { inPlace = false } = {}): Markdown {
  return blocks(
    obstaclesPart(facts),
    md`### ${code(target)} now`,
    table(['', ''], rowsOf(facts, inPlace)),
    changesPart(facts),
    facts.notes.length > 0 ? list(facts.notes.map((note) => text(plainText(note)))) : undefined,
  )
}

function obstaclesPart({ obstacles }: TargetFacts): Markdown | undefined {
  if (obstacles.length === 0) return undefined
  return blocks(
    md`### What stands in the way`,
    list(obstacles.map(({ message, hint }) => md`**${plainText(message)}** ${plainText(hint)}`)),
  )
}

function rowsOf(
  { bytes, needed, free, connected, expected, source }: TargetFacts,
  inPlace: boolean,
): Piece[][] {
  const sessions = connected.reduce((sum, { count }) => sum + count, 0)
  const who = connected
    .slice(0, 5)
    .map(({ user, application, count }) => `${user} (${application}) × ${count}`)
  const room =
    free === undefined
      ? 'not known from here: see that the server has that much'
      : `${formatBytes(free)} free`
  return [
    ['Size', bytes === undefined ? 'there is no such database' : formatBytes(bytes)],
    [
      inPlace
        ? 'Room that is needed until the commit, beside what is there'
        : 'Room that is needed beside it',
      needed === undefined
        ? md`not known: nothing tells how large the database was; ${room}`
        : md`about ${formatBytes(needed)}; ${room}`,
    ],
    [
      'Connected',
      sessions === 0
        ? 'nobody'
        : `${formatMany(sessions, 'session')}, which ${inPlace ? 'nobody ends: stop the application first' : 'the swap ends'}: ${who.join(', ')}${connected.length > 5 ? ' and others' : ''}`,
    ],
    [
      'Time to expect',
      expected === undefined
        ? `not known: ${needed === undefined ? 'nobody has measured how long this file takes' : 'no verification whose proof is in this storage has restored a backup of this label'}`
        : md`about ${formatDuration(expected.took)}, by the verification of ${code(expected.by)} on ${formatMoment(expected.at)}; the safety backup comes before it`,
    ],
    ...(source
      ? [
          [
            'Where the backup is from',
            `this very database${source.written === undefined ? '' : `; its server has written ${formatBytes(source.written)} of write-ahead log since`}`,
          ],
        ]
      : []),
  ]
}

function changesPart({ bytes, changes, rows }: TargetFacts): Markdown | undefined {
  if (bytes === undefined || (changes === undefined && rows.length === 0)) return undefined
  const figure = (count: number | undefined): string =>
    count === undefined ? '–' : formatCount(Math.round(count))
  const shown =
    rows.length === 0
      ? undefined
      : capped(
          rows,
          (some) =>
            table(
              ['Table', 'Rows now, about', 'Rows in the backup'],
              some.map((row) => [code(row.table), figure(row.now), figure(row.then)]),
            ),
          'table',
        )
  return blocks(md`### What would change`, changes && entriesPart(changes), shown)
}

function entriesPart({ comeBack, goAway, change }: SchemaChanges): Markdown {
  const all = comeBack.length + goAway.length + change.length
  if (all === 0) return md`No definition: the schema is as in the backup.`
  return blocks(
    md`${formatMany(comeBack.length, 'definition')} would come back, ${formatCount(goAway.length)} would be gone (they are newer than the backup), ${formatCount(change.length)} would be as they were.`,
    foldedList('Would come back', comeBack),
    foldedList('Would be gone', goAway),
    foldedList('Would be as they were', change),
  )
}
