import type { RestoreResult } from '../../restore/result.ts'
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import { blocks, code, details, type Markdown, md, table } from '../markdown/markdown.ts'
import { timeline } from '../markdown/mermaid.ts'
import { commandPart, warningsPart } from '../markdown/sections.ts'
import { cleanedPart } from './clean.ts'
import { inPlaceReport, inPlaceVerdict } from './in-place.ts'
import {
  differencePart,
  keptPart,
  nextDryPart,
  planPart,
  safetyPart,
  timePart,
  undoPart,
} from './sections.ts'
import { tablesReport, tablesVerdict } from './tables.ts'
import { targetPart } from './target-facts.ts'

/** One line for the log. */
export function restoreVerdict(result: RestoreResult): string {
  if (result.part) return tablesVerdict(result, result.part)
  if (result.inPlace) return inPlaceVerdict(result)
  if (result.dryRun)
    return `Dry run: nothing was touched. Backup ${result.id} would be restored into ${result.target}.`
  const kept = result.previousDatabase
    ? ` The database as it was before is kept as ${result.previousDatabase}.`
    : ''
  const stored = result.safetyBackup ? ` It was backed up first, as ${result.safetyBackup.id}.` : ''
  return `Restored ${result.target} from backup ${result.id}: ${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, as of ${formatMoment(result.snapshotAt)}.${kept}${stored}`
}

export function restoreReport(result: RestoreResult): string {
  if (result.part) return tablesReport(result, result.part)
  if (result.inPlace) return inPlaceReport(result, result.inPlace)
  const report = result.dryRun
    ? blocks(
        result.facts?.obstacles.length
          ? md`## ❌ Dry run: ${code(result.target)} cannot be restored as things are. Nothing was touched`
          : md`## 📝 Dry run: this is what restoring ${code(result.target)} would do. Nothing was touched`,
        lossPart(result),
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
        lossPart(result),
        warningsPart([...timePart(result), ...result.warnings]),
        result.postCommand &&
          commandPart(
            result.postCommand,
            'The restore itself is done: the database is in place, and was compared with the backup.',
          ),
        differencePart(
          result,
          md`The comparison came before the SQL of \`prepare\`: the database differs from the backup by what that did.`,
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

function titlePart(result: RestoreResult): Markdown {
  const target = code(result.target)
  if (result.postCommand?.failed !== undefined)
    return md`## ❌ ${target} is restored, but the post-command failed`
  return result.mode === 'new'
    ? md`## ✅ ${target} made from a backup, and compared`
    : md`## ✅ ${target} restored, compared and swapped in`
}

function figuresPart(result: RestoreResult): Markdown {
  const all = md`${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')} from ${formatBytes(result.bytes)} of backup, in ${formatDuration(result.timings.total)}.`
  if (result.mode === 'new') return md`${all} Nobody saw the new database before it was done.`
  return md`${all} ${code(result.target)} was away for ${formatDuration(result.timings.swap)}; ${formatMany(result.sessionsEnded, 'session')} had to be ended.`
}

function lossPart(result: RestoreResult): Markdown {
  if (result.definitionsOnly)
    return md`It has the definitions as they were at **${formatMoment(result.snapshotAt)}**, and no rows.`
  const where = result.previousDatabase
    ? md` is only in ${code(result.previousDatabase)}`
    : md` is not in it`
  const stored = result.safetyBackup
    ? md`, and up to ${formatMoment(result.safetyBackup.snapshotAt)} in the safety backup ${code(result.safetyBackup.id)}`
    : md``
  return md`The backup holds all that was committed before **${formatMoment(result.snapshotAt)}**. Data written after that (the ${formatAge(result.age)} since)${where}${stored}.`
}

function factsPart(result: RestoreResult): Markdown {
  const { timings, objective } = result
  return details(
    'Details',
    blocks(
      result.dryRun
        ? undefined
        : timeline('Where the time went', [
            { name: 'Safety backup', milliseconds: timings.safety ?? 0 },
            { name: 'Restore beside the target', milliseconds: timings.restore },
            { name: 'Compare with the fingerprint', milliseconds: timings.compare },
            { name: 'Prepare', milliseconds: timings.prepare ?? 0 },
            { name: 'Swap', milliseconds: timings.swap },
            { name: 'Post-command', milliseconds: timings.command ?? 0 },
          ]),
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Label', code(result.label)],
          ['Read from', code(result.location)],
          ['Size stored', formatBytes(result.bytes)],
          ['Backup’s PostgreSQL', result.server.backup],
          ['Target’s PostgreSQL', result.server.target],
          ...(objective
            ? [
                [
                  'Time until it was back',
                  `${formatDuration(objective.took)}; max-restore-time is ${formatDuration(objective.limit)}: ${objective.held ? 'held' : 'not held'}`,
                ],
              ]
            : []),
        ],
      ),
    ),
  )
}
