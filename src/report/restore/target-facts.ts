import type { SchemaChanges, TargetFacts } from '../../restore/target-facts.ts'
import { code, strong, type Text, text } from '../../text.ts'
import {
  type Block,
  blocks,
  type Fact,
  facts,
  list,
  paragraph,
  type Report,
  section,
  table,
} from '../blocks.ts'
import { formatBytes, formatCount, formatDuration, formatMany, formatMoment } from '../format.ts'
import { capped, definitionName, foldedNames } from '../sections.ts'

/** What prevents a restore, and how to fix it. */
export function obstacleBlocks(target: TargetFacts | undefined): Report {
  if (target === undefined || target.obstacles.length === 0) return []
  return [
    section('What prevents the restore'),
    list(target.obstacles.map(({ message, hint }) => text`${strong(message)} ${hint}`)),
  ]
}

/** The target as it is now, and what a restore would change in it. */
export function targetBlocks(
  target: TargetFacts | undefined,
  name: string,
  { inPlace = false } = {},
): Report {
  if (target === undefined) return []
  return blocks(
    section(text`${code(name)} now`),
    facts([
      [
        'Size',
        target.bytes === undefined ? 'the database does not exist' : formatBytes(target.bytes),
      ],
      [inPlace ? 'Additional space until the commit' : 'Additional space', spaceText(target)],
      ['Connected', connectedText(target, inPlace)],
      ['Expected time', expectedText(target)],
      sourceFact(target),
    ]),
    changeBlocks(target),
    list(target.notes),
  )
}

function spaceText({ needed, free }: TargetFacts): string {
  const room =
    free === undefined ? 'free space unknown, so check the server' : `${formatBytes(free)} free`
  return needed === undefined
    ? `unknown, because the size of the database was not recorded; ${room}`
    : `about ${formatBytes(needed)}; ${room}`
}

function connectedText({ connected }: TargetFacts, inPlace: boolean): string {
  const sessions = connected.reduce((sum, { count }) => sum + count, 0)
  if (sessions === 0) return 'no sessions'
  const who = connected
    .slice(0, 5)
    .map(({ user, application, count }) => `${user} (${application}) × ${count}`)
    .join(', ')
  const others = connected.length > 5 ? ' and others' : ''
  const end = inPlace ? 'stop the application first' : 'the swap ends them'
  return `${formatMany(sessions, 'session')} (${end}): ${who}${others}`
}

function expectedText({ expected, needed }: TargetFacts): Text {
  if (expected === undefined)
    return needed === undefined
      ? 'unknown, because restoring this file was never measured'
      : 'unknown, because no verification stored here has restored a backup of this label'
  return text`about ${formatDuration(expected.took)}, as in the verification of ${code(expected.by)}
    on ${formatMoment(expected.at)}; plus the time of the safety backup`
}

function sourceFact({ source }: TargetFacts): Fact | undefined {
  if (source === undefined) return undefined
  const written =
    source.written === undefined
      ? ''
      : `; its server has written ${formatBytes(source.written)} of write-ahead log since`
  return ['Source of the backup', `this database${written}`]
}

function changeBlocks({ bytes, changes, rows }: TargetFacts): Report {
  if (bytes === undefined || (changes === undefined && rows.length === 0)) return []
  const figure = (count: number | undefined): string =>
    count === undefined ? '–' : formatCount(Math.round(count))
  const tableOf = (some: readonly (typeof rows)[number][]): Block =>
    table(
      ['Table', 'Rows now (estimate)', 'Rows in the backup'],
      some.map((row) => [text`${code(row.table)}`, figure(row.now), figure(row.then)]),
      ['left', 'right', 'right'],
    )
  return blocks(
    section('What would change'),
    changes && definitionChanges(changes),
    rows.length > 0 ? capped(rows, tableOf, 'table') : undefined,
  )
}

function definitionChanges({ comeBack, goAway, change }: SchemaChanges): Report {
  if (comeBack.length + goAway.length + change.length === 0)
    return [paragraph('Nothing: the schema already matches the backup.')]
  return blocks(
    paragraph(
      text`${formatMany(comeBack.length, 'definition')} would be added,
        ${formatCount(goAway.length)} removed (newer than the backup),
        ${formatCount(change.length)} changed.`,
    ),
    foldedNames('Would be added', comeBack.map(definitionName)),
    foldedNames('Would be removed', goAway.map(definitionName)),
    foldedNames('Would be changed', change.map(definitionName)),
  )
}
