import type { Difference } from '../../repository/level.ts'
import type { RestoredInPlace, RestoreResult } from '../../restore/result.ts'
import { code, strong, text, type Text } from '../../text.ts'
import {
  type Block,
  blocks,
  details,
  type Details,
  facts,
  type Heading,
  next,
  type Next,
  paragraph,
  type Report,
  section,
  table,
  verdict,
} from '../blocks.ts'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../format.ts'
import {
  capped,
  definitionName,
  postCommandDetails,
  postCommandFailure,
  warningCallouts,
} from '../sections.ts'
import {
  contentText,
  dryRunVerdict,
  lateWarning,
  planBlocks,
  runAgain,
  safetyBackupBlocks,
} from './sections.ts'
import { obstacleBlocks, targetBlocks } from './target-facts.ts'

/** One line for the log. */
export function inPlaceVerdict(result: RestoreResult): Text {
  const { id, target, safetyBackup } = result
  if (result.dryRun)
    return `Dry run: nothing was changed. Backup ${id} would be restored inside ${target}.`
  const before = safetyBackup ? `only in the safety backup ${safetyBackup.id}` : 'gone'
  return text`Restored ${target} in place from backup ${id}: ${contentText(result)}, as of
    ${formatMoment(result.snapshotAt)}. Its previous data is ${before}.`
}

export function inPlaceReport(result: RestoreResult, inPlace: RestoredInPlace): Report {
  return blocks(
    headline(result, inPlace),
    result.dryRun ? undefined : figures(result),
    newestData(result, inPlace),
    obstacleBlocks(result.facts),
    postCommandFailure(result.postCommand, 'The restore itself is complete and committed.'),
    warningCallouts([...lateWarning(result), ...result.warnings]),
    nextStep(result),
    differenceBlocks(inPlace),
    targetBlocks(result.facts, result.target, { inPlace: true }),
    safetyBackupBlocks(result),
    planBlocks(result),
    postCommandDetails(result.postCommand),
    inPlaceDetails(result, inPlace),
  )
}

/** A fingerprint may have little to compare with, and the schema is compared after the commit. */
function headline(
  result: RestoreResult,
  { contents, compared, differences }: RestoredInPlace,
): Heading {
  const name = code(result.target)
  if (result.dryRun) return dryRunVerdict(result, text`restoring ${name} in place`)
  if (result.postCommand?.failed !== undefined)
    return verdict('fail', text`${name} is restored in place, but the post-command failed`)
  const how = {
    content: 'compared and committed',
    counts: 'rows counted and committed',
    none: 'committed, rows not compared',
  }[compared]
  const different =
    differences.length > 0
      ? `; ${formatMany(differences.length, 'definition differs', 'definitions differ')} from the backup`
      : ''
  return verdict(
    'pass',
    text`${name} restored in place, ${contents === 'schema' ? 'definitions only' : how}${different}`,
  )
}

function figures(result: RestoreResult): Block {
  const { timings, bytes } = result
  const unavailable = strong(formatDuration(timings.restore + timings.compare))
  return paragraph(
    text`Its tables were unavailable for about ${unavailable}. ${contentText(result)} from
      ${formatBytes(bytes)} of backup, in ${formatDuration(timings.total)}.`,
  )
}

function newestData(
  { dryRun, snapshotAt, age, safetyBackup }: RestoreResult,
  { contents, unsaved }: RestoredInPlace,
): Block {
  const at = strong(formatMoment(snapshotAt))
  const since = `in the ${formatAge(age)} since`
  const [has, other, lost] =
    contents === 'schema'
      ? [text`the definitions as of ${at}`, 'no rows', 'The data that it had']
      : [
          text`everything committed before ${at}`,
          `nothing written ${since}`,
          `Anything written ${since}`,
        ]
  if (dryRun) return paragraph(text`It would have ${has}, and ${other}.`)
  const held = contents === 'schema' ? text`${has}, and ${other}` : has
  if (!safetyBackup) return paragraph(text`It has ${held}. ${lost} is gone.`)
  const gap =
    unsaved === undefined
      ? ''
      : text` The tables were locked ${formatDuration(unsaved)} after its snapshot. Any rows written
        in between are lost.`
  return paragraph(
    text`It has ${held}. ${lost}, up to ${formatMoment(safetyBackup.snapshotAt)}, is only in the
      safety backup.${gap}`,
  )
}

function nextStep({ dryRun, facts, confirm, safetyBackup }: RestoreResult): Next | undefined {
  if (facts?.obstacles.length) return undefined
  if (dryRun) return runAgain('stop the application. Then, to restore', confirm)
  return next(
    text`start your application and check it. There is no previous database to swap back to: to undo
      this, restore ${safetyBackup ? 'the safety backup below' : 'an older backup'}.`,
  )
}

function differenceBlocks({ differences }: RestoredInPlace): Report {
  if (differences.length === 0) return []
  const tableOf = (some: readonly Difference[]): Block =>
    table(
      ['Definition', 'In the backup', 'In the database'],
      some.map(({ object, expected, found }) => [
        text`${code(definitionName(object))}`,
        expected,
        found,
      ]),
    )
  return blocks(section('Differences from the backup'), capped(differences, tableOf, 'difference'))
}

function inPlaceDetails(result: RestoreResult, { kept, locks }: RestoredInPlace): Details {
  return details(
    'Details',
    facts([
      ['Backup', text`${code(result.id)}`],
      ['Label', text`${code(result.label)}`],
      ['Read from', text`${code(result.location)}`],
      ['PostgreSQL of the backup', result.server.backup],
      ['PostgreSQL of the target', result.server.target],
      ['Extensions left as they were', kept.join(', ') || 'none'],
      ['Locks', `${formatCount(locks.needed)} needed, ${formatCount(locks.capacity)} available`],
    ]),
  )
}
