import type { UndoResult } from '../../restore/undo.ts'
import { code, strong, text, type Text } from '../../text.ts'
import {
  blocks,
  type Details,
  details,
  facts,
  next,
  type Next,
  paragraph,
  type Report,
  verdict,
} from '../blocks.ts'
import { formatBytes, formatMoment } from '../format.ts'
import {
  codeList,
  postCommandDetails,
  postCommandFailure,
  swapByHand,
  warningCallouts,
} from '../sections.ts'
import { planBlocks, runAgain, undoSettings, unavailableText } from './sections.ts'

/** One line for the log. */
export function undoVerdict(result: UndoResult): Text {
  const { target, database, until, previousDatabase: swappedOut } = result
  if (result.dryRun)
    return text`Dry run: nothing was changed. ${database} would become ${target} again, as it was at
      ${formatMoment(until)}.`
  const kept = swappedOut ? ` The database that was in use is kept as ${swappedOut}.` : ''
  return `Undone: ${target} is again the database that it was until ${formatMoment(until)}.${kept}`
}

export function undoReport(result: UndoResult): Report {
  const { target, dryRun, confirm, others } = result
  const body = dryRun
    ? blocks(
        verdict(
          'plan',
          text`Dry run of undoing the restore of ${code(target)}: nothing was changed`,
        ),
        whichDatabase(result),
        warningCallouts(result.warnings),
        runAgain('to undo the restore', confirm),
      )
    : blocks(
        result.postCommand?.failed === undefined
          ? verdict('pass', text`${code(target)} is swapped back`)
          : verdict('fail', text`${code(target)} is swapped back, but the post-command failed`),
        paragraph(unavailableText(result)),
        whichDatabase(result),
        postCommandFailure(
          result.postCommand,
          'The undo itself is complete: the database has its name again.',
        ),
        warningCallouts(result.warnings),
        undoAgain(result),
      )
  return blocks(
    body,
    planBlocks(result),
    others.length > 0 ? paragraph(text`Other previous databases: ${codeList(others)}.`) : undefined,
    postCommandDetails(result.postCommand),
    undoDetails(result),
  )
}

function whichDatabase({ target, database, until, by, dryRun }: UndoResult): Report {
  return [
    paragraph(
      text`${code(database)} ${dryRun ? 'would become' : 'is'} ${code(target)} again. It was
        ${code(target)} until ${strong(formatMoment(until))}, when ${by}. Data written to
        ${code(target)} since then is not in it.`,
    ),
  ]
}

function undoAgain(result: UndoResult): Next | undefined {
  const { target, confirm, environmentName, previousDatabase: swappedOut } = result
  if (swappedOut === undefined) return undefined
  return next(
    text`check your application. The database that was in use, with all that was written to it, is
      kept as ${code(swappedOut)}. To swap it in again:`,
    undoSettings(confirm, environmentName),
    swapByHand('Swap it in by hand, without Holdfast', target, swappedOut),
  )
}

function undoDetails({ database, bytes, inUse, dryRun, target }: UndoResult): Details {
  const size = (value: number | undefined): string =>
    value === undefined ? 'unknown' : formatBytes(value)
  return details(
    'Details',
    facts([
      [text`Size of ${code(database)}`, size(bytes)],
      inUse
        ? [
            dryRun ? text`Size of ${code(target)}, in use` : 'Size of the database that was in use',
            size(inUse.bytes),
          ]
        : [text`${code(target)}`, 'does not exist'],
      inUse ? ['Sessions connected to it', `${inUse.sessions}`] : undefined,
    ]),
  )
}
