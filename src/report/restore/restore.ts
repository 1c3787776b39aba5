/** Reports of restores, by what was restored and how. */
import type { RestoreResult } from '../../restore/result.ts'
import { code, strong, text, type Text } from '../../text.ts'
import {
  type Block,
  blocks,
  details,
  type Details,
  facts,
  type Heading,
  paragraph,
  type Report,
  verdict,
} from '../blocks.ts'
import { formatAge, formatBytes, formatDuration, formatMoment } from '../format.ts'
import { postCommandFailure, warningCallouts } from '../sections.ts'
import { cleanedBlocks } from './clean.ts'
import { inPlaceReport, inPlaceVerdict } from './in-place.ts'
import {
  checkOrUndo,
  contentText,
  differencesFromSource,
  dryRunVerdict,
  lateWarning,
  objectiveFact,
  planBlocks,
  restoreAfterDryRun,
  unavailableText,
} from './sections.ts'
import { swapEvidence, timeChart } from './swap.ts'
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
    swapEvidence(result),
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
    text`The backup has everything committed before ${at}. Anything written in the
      ${formatAge(result.age)} since${where}${stored}.`,
  )
}

function restoreDetails(result: RestoreResult): Details {
  return details(
    'Details',
    timeChart(result.timings, 'Compare with the fingerprint'),
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
