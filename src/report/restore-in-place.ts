import type { RestoredInPlace } from '../core/restore-in-place.ts'
import type { RestoreResult } from '../core/restore.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from './format.ts'
import { blocks, code, details, md, table, text, type Markdown } from './markdown.ts'
import { capped, commandPart, warningsPart } from './parts.ts'
import { planPart, safetyPart, timePart } from './restore-parts.ts'

/** One line for the log. */
export function inPlaceVerdict(result: RestoreResult): string {
  if (result.dryRun) return `Dry run: nothing was touched. Backup ${result.id} would be restored inside ${result.target}.`
  return `Restored ${result.target} in place from backup ${result.id}: ${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, as of ${formatMoment(result.snapshotAt)}. What it held before is gone.`
}

export function inPlaceReport(result: RestoreResult, inPlace: RestoredInPlace): string {
  const report = blocks(
    result.dryRun ? md`## 📝 Dry run: this is what restoring ${code(result.target)} in place would do. Nothing was touched` : md`## ✅ ${code(result.target)} restored in place${inPlace.contents === 'schema' ? ', definitions only' : ', compared and committed'}`,
    result.dryRun ? undefined : md`${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')} from ${formatBytes(result.bytes)} of backup, in ${formatDuration(result.timings.total)}. Its tables could not be used for about ${formatDuration(result.timings.restore + result.timings.compare)}.`,
    md`It holds all that was committed before **${formatMoment(result.snapshotAt)}**. Data written after that (the ${formatAge(result.age)} since) ${result.dryRun ? 'would be' : 'is'} gone${result.dryRun ? '' : ', but for a backup that was made of it'}.`,
    warningsPart([...timePart(result), ...result.warnings]),
    result.postCommand && commandPart(result.postCommand, 'The restore itself is done and committed.'),
    differencesPart(inPlace),
    result.dryRun ? md`**Next:** stop the application, and run it again with \`dry-run: false\` and \`confirm: ${text(result.confirm)}\`.` : md`**Next:** start your application, and look at it. There is no previous database to swap back to: ${result.safetyBackup ? 'to undo this, restore the safety backup below.' : 'to undo this, restore an older backup.'}`,
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
          ...(result.dryRun ? [] : [['Locks needed, and there', `${inPlace.locks.needed.toLocaleString('en-US')} of ${inPlace.locks.capacity.toLocaleString('en-US')}`]]),
        ],
      ),
    ),
  )
  return `${report.markdown}\n`
}

function differencesPart({ differences }: RestoredInPlace): Markdown | undefined {
  if (differences.length === 0) return undefined
  return blocks(md`### What is otherwise than in the backup`, capped(differences, (some) => table(['', 'Expected', 'Found'], some.map(({ object, expected, found }) => [code(object), expected, found])), 'difference'))
}
