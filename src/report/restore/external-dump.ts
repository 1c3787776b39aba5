import type { RestoreExternalResult } from '../../restore/swap/external-dump.ts'
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
import { formatBytes, formatCount, formatDuration, formatMany, formatMoment } from '../format.ts'
import {
  dumpedFrom,
  fileForm,
  foldedNames,
  postCommandFailure,
  warningCallouts,
} from '../sections.ts'
import { cleanedBlocks } from './clean.ts'
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
import { obstacleBlocks, targetBlocks } from './target-facts.ts'

/** One line for the log. */
export function restoreExternalVerdict(result: RestoreExternalResult): Text {
  const { target, file, previousDatabase, safetyBackup } = result
  if (result.dryRun)
    return `Dry run: nothing was changed. ${file.name} would be restored into ${target}.`
  const kept = previousDatabase ? ` The previous database is kept as ${previousDatabase}.` : ''
  const stored = safetyBackup ? ` Its safety backup is ${safetyBackup.id}.` : ''
  return text`Restored ${target} from ${file.name}: ${contentText(result)}, counted but not
    compared: the file does not record what it should contain.${kept}${stored}`
}

export function restoreExternalReport(result: RestoreExternalResult): Report {
  return result.dryRun ? dryRunReport(result) : doneReport(result)
}

function dryRunReport(result: RestoreExternalResult): Report {
  const { file, target } = result
  return blocks(
    dryRunVerdict(result, text`restoring ${code(target)} from a file`),
    paragraph(
      text`${code(file.name)} was read to its end and is complete. Its rows are counted when it is restored.`,
    ),
    unknownContent(),
    obstacleBlocks(result.facts),
    warningCallouts(result.warnings),
    restoreAfterDryRun(result),
    targetBlocks(result.facts, target),
    planBlocks(result),
    result.cleaned && cleanedBlocks(result.cleaned, true),
    dumpDetails(result),
  )
}

function doneReport(result: RestoreExternalResult): Report {
  return blocks(
    headline(result),
    figures(result),
    unknownContent(),
    lostData(result),
    postCommandFailure(
      result.postCommand,
      'The restore itself is complete: the database is in place.',
    ),
    warningCallouts([...lateWarning(result), ...result.warnings]),
    checkOrUndo(result),
    differencesFromSource(
      result,
      text`Tables and rows were counted before the SQL of ${code('prepare')} ran.`,
    ),
    swapEvidence(result),
    dumpDetails(result),
  )
}

function headline({ target, mode, postCommand }: RestoreExternalResult): Heading {
  const name = code(target)
  if (postCommand?.failed !== undefined)
    return verdict('fail', text`${name} is restored, but the post-command failed`)
  return mode === 'new'
    ? verdict('warning', text`${name} created from a file, but not compared`)
    : verdict('warning', text`${name} restored from a file and swapped in, but not compared`)
}

function figures(result: RestoreExternalResult): Block {
  const { largeObjects, bytes, file, timings } = result
  const objects = largeObjects === 0 ? '' : `, ${formatMany(largeObjects, 'large object')}`
  const all = text`${contentText(result)}${objects} from ${formatBytes(bytes)} of
    ${code(file.name)}, in ${formatDuration(timings.total)}.`
  return result.mode === 'new'
    ? paragraph(text`${all} The new database was not reachable until it was complete.`)
    : paragraph(text`${unavailableText(result)} ${all}`)
}

function unknownContent(): Block {
  return paragraph(
    text`The file does not record what the database held, or when. Its tables and rows are counted,
      but ${strong('not compared')}; it is unknown how much newer data it lacks.`,
  )
}

function lostData({ previousDatabase, safetyBackup }: RestoreExternalResult): Block | undefined {
  if (previousDatabase === undefined) return undefined
  const stored = safetyBackup
    ? text`, and up to ${formatMoment(safetyBackup.snapshotAt)} in the safety backup ${code(safetyBackup.id)}`
    : ''
  return paragraph(
    text`Data that was in the database but is not in the file is only in ${code(previousDatabase)}${stored}.`,
  )
}

function dumpDetails(result: RestoreExternalResult): Details {
  const from = dumpedFrom(result.versions)
  return details(
    'Details',
    timeChart(result.timings, 'Count'),
    facts([
      ['File', result.file.name],
      ['Format', fileForm(result.file)],
      ['Size', formatBytes(result.bytes)],
      from === undefined ? undefined : ['Dumped from', from],
      ['PostgreSQL of the target', result.server.target],
      result.dryRun ? undefined : ['Large objects', formatCount(result.largeObjects)],
      result.owner === 'drop' ? ['Owners and grants', 'left out'] : undefined,
      objectiveFact(result),
    ]),
    foldedNames('Roles it names', result.roles),
  )
}
