/** Reports of restores, by what was restored and how. */
import type { RestoreResult } from '../../restore/result.ts'
import { code, strong, text, type Text } from '../../text.ts'
import {
  type Block,
  blocks,
  type Chart,
  details,
  type Details,
  facts,
  type Heading,
  paragraph,
  type Report,
  timeline,
  verdict,
} from '../blocks.ts'
import { formatAge, formatBytes, formatDuration, formatMoment } from '../format.ts'
import { postCommandDetails, postCommandFailure, swapByHand, warningCallouts } from '../sections.ts'
import { cleanedBlocks } from './clean.ts'
import { inPlaceReport, inPlaceVerdict } from './in-place.ts'
import {
  contentText,
  checkOrUndo,
  differencesFromSource,
  dryRunVerdict,
  lateWarning,
  objectiveFact,
  planBlocks,
  previousDatabaseBlocks,
  restoreAfterDryRun,
  safetyBackupBlocks,
  unavailableText,
} from './sections.ts'
import { tablesReport, tablesVerdict } from './tables.ts'
import { obstacleBlocks, targetBlocks } from './target-facts.ts'

/** One line for the log. */
export function restoreVerdict(result: RestoreResult): Text {
  if (result.restoredTables) return tablesVerdict(result, result.restoredTables)
  if (result.inPlace) return inPlaceVerdict(result)
  const { id, target, previousDatabase, safetyBackup } = result
  if (result.dryRun)
    return `Dry run: nothing was changed. Backup ${id} would be restored into ${target}.`
  const kept = previousDatabase ? ` The previous database is kept as ${previousDatabase}.` : ''
  const stored = safetyBackup ? ` Its safety backup is ${safetyBackup.id}.` : ''
  return text`Restored ${target} from backup ${id}: ${contentText(result)}, as of
    ${formatMoment(result.snapshotAt)}.${kept}${stored}`
}

export function restoreReport(result: RestoreResult): Report {
  if (result.restoredTables) return tablesReport(result, result.restoredTables)
  if (result.inPlace) return inPlaceReport(result, result.inPlace)
  return result.dryRun ? dryRunReport(result) : doneReport(result)
}

function dryRunReport(result: RestoreResult): Report {
  return blocks(
    dryRunVerdict(result, text`restoring ${code(result.target)}`),
    newestData(result),
    obstacleBlocks(result.facts),
    warningCallouts(result.warnings),
    restoreAfterDryRun(result),
    targetBlocks(result.facts, result.target),
    planBlocks(result),
    result.cleaned && cleanedBlocks(result.cleaned, true),
    restoreDetails(result),
  )
}

function doneReport(result: RestoreResult): Report {
  const { previousDatabase, target } = result
  return blocks(
    headline(result),
    figures(result),
    newestData(result),
    postCommandFailure(
      result.postCommand,
      'The restore itself is complete: the database is in place, and was compared with the backup.',
    ),
    warningCallouts([...lateWarning(result), ...result.warnings]),
    checkOrUndo(result),
    differencesFromSource(
      result,
      text`The database was compared with the backup before the SQL of ${code('prepare')} ran. It
        differs from the backup by what that SQL changed.`,
    ),
    previousDatabaseBlocks(result),
    safetyBackupBlocks(result),
    result.cleaned && cleanedBlocks(result.cleaned, false),
    planBlocks(result),
    previousDatabase === undefined
      ? undefined
      : swapByHand('Undo it by hand, without Holdfast', target, previousDatabase),
    postCommandDetails(result.postCommand),
    restoreDetails(result),
  )
}

function headline({ target, mode, postCommand }: RestoreResult): Heading {
  const name = code(target)
  if (postCommand?.failed !== undefined)
    return verdict('fail', text`${name} is restored, but the post-command failed`)
  return mode === 'new'
    ? verdict('pass', text`${name} created from a backup and compared`)
    : verdict('pass', text`${name} restored, compared and swapped in`)
}

function figures(result: RestoreResult): Block {
  const all = text`${contentText(result)} from ${formatBytes(result.bytes)} of backup, in
    ${formatDuration(result.timings.total)}.`
  return result.mode === 'new'
    ? paragraph(text`${all} The new database was not reachable until it was complete.`)
    : paragraph(text`${unavailableText(result)} ${all}`)
}

function newestData(result: RestoreResult): Block {
  const { snapshotAt, previousDatabase, safetyBackup } = result
  const at = strong(formatMoment(snapshotAt))
  if (result.definitionsOnly)
    return paragraph(
      text`It ${result.dryRun ? 'would have' : 'has'} the definitions as of ${at}, and no rows.`,
    )
  const where = previousDatabase
    ? text` is only in ${code(previousDatabase)}`
    : text` is not in the backup`
  const stored = safetyBackup
    ? text`, and up to ${formatMoment(safetyBackup.snapshotAt)} in the safety backup ${code(safetyBackup.id)}`
    : ''
  return paragraph(
    text`The backup has everything committed before ${at}. Data written after that (the
      ${formatAge(result.age)} since)${where}${stored}.`,
  )
}

function restoreDetails(result: RestoreResult): Details {
  return details(
    'Details',
    timeChart(result.timings),
    facts([
      ['Backup', text`${code(result.id)}`],
      ['Label', text`${code(result.label)}`],
      ['Read from', text`${code(result.location)}`],
      ['Size stored', formatBytes(result.bytes)],
      ['PostgreSQL of the backup', result.server.backup],
      ['PostgreSQL of the target', result.server.target],
      objectiveFact(result),
    ]),
  )
}

function timeChart(timings: RestoreResult['timings']): Chart | undefined {
  return timeline('Time by step', [
    { name: 'Safety backup', milliseconds: timings.safety ?? 0 },
    { name: 'Restore next to the target', milliseconds: timings.restore },
    { name: 'Compare with the fingerprint', milliseconds: timings.compare },
    { name: 'Prepare', milliseconds: timings.prepare ?? 0 },
    { name: 'Swap', milliseconds: timings.swap },
    { name: 'Post-command', milliseconds: timings.command ?? 0 },
  ])
}
