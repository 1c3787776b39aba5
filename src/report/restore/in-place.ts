import type { RestoredInPlace, RestoreResult } from '../../restore/result.ts'
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import { blocks, code, details, type Markdown, md, table, text } from '../markdown/markdown.ts'
import { capped, commandPart, warningsPart } from '../markdown/sections.ts'
import { planPart, safetyPart, timePart } from './sections.ts'
import { targetPart } from './target-facts.ts'

/** One line for the log. */
export function inPlaceVerdict(result: RestoreResult): string {
  if (result.dryRun)
    return `Dry run: nothing was touched. Backup ${result.id} would be restored inside ${result.target}.`
  return `Restored ${result.target} in place from backup ${result.id}: ${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, as of ${formatMoment(result.snapshotAt)}. What it held before is ${result.safetyBackup ? `in the safety backup ${result.safetyBackup.id} only` : 'gone'}.`
}

export function inPlaceReport(result: RestoreResult, inPlace: RestoredInPlace): string {
  const hindered = Boolean(result.facts?.obstacles.length)
  const report = blocks(
    titlePart(result, inPlace),
    result.dryRun
      ? undefined
      : md`${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')} from ${formatBytes(result.bytes)} of backup, in ${formatDuration(result.timings.total)}. Its tables could not be used for about ${formatDuration(result.timings.restore + result.timings.compare)}.`,
    inPlace.contents === 'all' ? lossPart(result, inPlace) : undefined,
    warningsPart([...timePart(result), ...result.warnings]),
    result.postCommand &&
      commandPart(result.postCommand, 'The restore itself is done and committed.'),
    differencesPart(inPlace),
    result.facts && targetPart(result.facts, result.target, { inPlace: true }),
    hindered
      ? undefined
      : result.dryRun
        ? md`**Next:** stop the application, and run it again with \`dry-run: false\` and \`confirm: ${text(result.confirm)}\`.`
        : md`**Next:** start your application, and look at it. There is no previous database to swap back to: ${result.safetyBackup ? 'to undo this, restore the safety backup below.' : 'to undo this, restore an older backup.'}`,
    safetyPart(result),
    planPart(result),
    details(
      'Details',
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Label', code(result.label)],
          ['Read from', code(result.location)],
          ['Backup’s PostgreSQL', result.server.backup],
          ['Target’s PostgreSQL', result.server.target],
          ['Extensions left as they were', inPlace.kept.join(', ') || 'none'],
          [
            'Locks needed, and there',
            `${inPlace.locks.needed.toLocaleString('en-US')} of ${inPlace.locks.capacity.toLocaleString('en-US')}`,
          ],
        ],
      ),
    ),
  )
  return `${report.markdown}\n`
}

/**
 * What it says was done is what was: a fingerprint may have little to compare with, and the schema
 * is seen after the commit.
 */
function titlePart(
  { target, dryRun, facts, postCommand }: RestoreResult,
  { contents, compared, differences }: RestoredInPlace,
): Markdown {
  const name = code(target)
  if (dryRun && facts?.obstacles.length)
    return md`## ❌ Dry run: ${name} cannot be restored in place as things are. Nothing was touched`
  if (dryRun)
    return md`## 📝 Dry run: this is what restoring ${name} in place would do. Nothing was touched`
  if (postCommand?.failed !== undefined)
    return md`## ❌ ${name} is restored in place, but the post-command failed`
  const how =
    contents === 'schema'
      ? 'definitions only'
      : {
          content: 'compared and committed',
          counts: 'rows counted and committed',
          none: 'committed, rows not compared',
        }[compared]
  if (differences.length)
    return md`## ✅ ${name} restored in place, ${how}; ${formatMany(differences.length, 'definition')} otherwise than in the backup`
  return md`## ✅ ${name} restored in place, ${how}`
}

function lossPart(
  { dryRun, snapshotAt, age, safetyBackup }: RestoreResult,
  { unsaved }: RestoredInPlace,
): Markdown {
  const at = formatMoment(snapshotAt)
  if (dryRun)
    return md`It would hold all that was committed before **${at}**, and nothing of what was written after that (the ${formatAge(age)} since).`
  const saved = safetyBackup
    ? `, up to ${formatMoment(safetyBackup.snapshotAt)}, is in the safety backup alone.${unsaved === undefined ? '' : ` Rows written in the ${formatDuration(unsaved)} between its snapshot and the locks are in neither.`}`
    : ' is gone.'
  return md`It holds all that was committed before **${at}**. Data written after that (the ${formatAge(age)} since)${saved}`
}

function differencesPart({ differences }: RestoredInPlace): Markdown | undefined {
  if (differences.length === 0) return undefined
  return blocks(
    md`### What is otherwise than in the backup`,
    capped(
      differences,
      (some) =>
        table(
          ['', 'Expected', 'Found'],
          some.map(({ object, expected, found }) => [code(object), expected, found]),
        ),
      'difference',
    ),
  )
}
