import type { RestoreExternalResult } from '../../restore/swap/external-dump.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import { blocks, code, details, type Markdown, md, table, text } from '../markdown/markdown.ts'
import { timeline } from '../markdown/mermaid.ts'
import { commandPart, fileForm, foldedList, warningsPart } from '../markdown/sections.ts'
import { cleanedPart } from './clean.ts'
import {
  differencePart,
  keptPart,
  nextDryPart,
  planPart,
  safetyPart,
  timePart,
  undoPart,
} from './sections.ts'
import { targetPart } from './target-facts.ts'

/** One line for the log. */
export function restoreExternalVerdict({
  dryRun,
  target,
  file,
  rows,
  tables,
  previousDatabase,
  safetyBackup,
}: RestoreExternalResult): string {
  if (dryRun) return `Dry run: nothing was touched. ${file.name} would be restored into ${target}.`
  const kept = previousDatabase
    ? ` The database as it was before is kept as ${previousDatabase}.`
    : ''
  const stored = safetyBackup ? ` It was backed up first, as ${safetyBackup.id}.` : ''
  return `Restored ${target} from ${file.name}: ${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}, counted and not compared: nothing tells what there should be.${kept}${stored}`
}

export function restoreExternalReport(result: RestoreExternalResult): string {
  const report = result.dryRun
    ? blocks(
        result.facts?.obstacles.length
          ? md`## ❌ Dry run: ${code(result.target)} cannot be restored as things are. Nothing was touched`
          : md`## 📝 Dry run: this is what restoring ${code(result.target)} would do. Nothing was touched`,
        md`${code(result.file.name)} was read to its end: it is whole. What it holds is counted when it is restored.`,
        unknownPart(),
        warningsPart(result.warnings),
        result.facts && targetPart(result.facts, result.target),
        planPart(result),
        result.cleaned && cleanedPart(result.cleaned, true),
        nextDryPart(result),
        factsPart(result),
      )
    : blocks(
        titlePart(result),
        figuresPart(result),
        unknownPart(),
        lossPart(result),
        warningsPart([...timePart(result), ...result.warnings]),
        result.postCommand &&
          commandPart(result.postCommand, 'The restore itself is done: the database is in place.'),
        differencePart(
          result,
          md`The tables and rows were counted before the SQL of \`prepare\` ran.`,
        ),
        undoPart(result),
        keptPart(result),
        safetyPart(result),
        result.cleaned && cleanedPart(result.cleaned, false),
        planPart(result),
        factsPart(result),
      )
  return `${report.markdown}\n`
}

function titlePart({ target, mode, postCommand }: RestoreExternalResult): Markdown {
  if (postCommand?.failed !== undefined)
    return md`## ❌ ${code(target)} is restored, but the post-command failed`
  return mode === 'new'
    ? md`## ⚠️ ${code(target)} made from a file, and not compared`
    : md`## ⚠️ ${code(target)} restored from a file and swapped in, and not compared`
}

function figuresPart({
  target,
  mode,
  rows,
  tables,
  largeObjects,
  bytes,
  timings,
  sessionsEnded,
  file,
}: RestoreExternalResult): Markdown {
  const objects = largeObjects === 0 ? '' : `, ${formatMany(largeObjects, 'large object')}`
  const all = md`${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}${objects} from ${formatBytes(bytes)} of ${code(file.name)}, in ${formatDuration(timings.total)}.`
  if (mode === 'new') return md`${all} Nobody saw the new database before it was done.`
  return md`${all} ${code(target)} was away for ${formatDuration(timings.swap)}; ${formatMany(sessionsEnded, 'session')} had to be ended.`
}

function unknownPart(): Markdown {
  return md`Nothing tells what the database held when this file was made, nor when that was: its tables and rows are counted and **not compared**, and how much newer data it lacks is not known.`
}

function lossPart({ previousDatabase, safetyBackup }: RestoreExternalResult): Markdown | undefined {
  if (previousDatabase === undefined) return undefined
  const stored = safetyBackup
    ? md`, and up to ${formatMoment(safetyBackup.snapshotAt)} in the safety backup ${code(safetyBackup.id)}`
    : md``
  return md`What was in the database and is not in the file is only in ${code(previousDatabase)}${stored}.`
}

function factsPart(result: RestoreExternalResult): Markdown {
  const { timings, objective, versions, file, bytes, server, dryRun, owner } = result
  const rows = [
    ['File', file.name],
    ['Form', fileForm(file)],
    ['Size', formatBytes(bytes)],
    ...(versions.server
      ? [
          [
            'Dumped from',
            `PostgreSQL ${versions.server}${versions.client ? `, by pg_dump ${versions.client}` : ''}`,
          ],
        ]
      : []),
    ['Target’s PostgreSQL', server.target],
    ...(dryRun ? [] : [['Large objects', formatCount(result.largeObjects)]]),
    ...(owner === 'drop' ? [['Owners and grants', 'left out (owner: drop)']] : []),
    ...(objective
      ? [
          [
            'Time until it was back',
            `${formatDuration(objective.took)}; max-restore-time is ${formatDuration(objective.limit)}: ${objective.held ? 'held' : 'not held'}`,
          ],
        ]
      : []),
  ]
  return details(
    'Details',
    blocks(
      dryRun
        ? undefined
        : timeline('Where the time went', [
            { name: 'Safety backup', milliseconds: timings.safety ?? 0 },
            { name: 'Restore beside the target', milliseconds: timings.restore },
            { name: 'Count', milliseconds: timings.compare },
            { name: 'Prepare', milliseconds: timings.prepare ?? 0 },
            { name: 'Swap', milliseconds: timings.swap },
            { name: 'Post-command', milliseconds: timings.command ?? 0 },
          ]),
      table(
        ['', ''],
        rows.map((row) => row.map((cell) => text(cell))),
        ['left', 'left'],
      ),
      foldedList('Roles that it names', result.roles),
    ),
  )
}
