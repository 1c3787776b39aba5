import type { Finding, TableChange } from '../rehearsal/finding.ts'
import type { RehearsalResult } from '../rehearsal/rehearse.ts'
import { code, either, input, strong, type Text, text } from '../text.ts'
import {
  type Block,
  blocks,
  codeBlock,
  type Details,
  details,
  facts,
  list,
  next,
  type Next,
  paragraph,
  type Report,
  section,
  symbols,
  table,
  verdict,
} from './blocks.ts'
import { formatBytes, formatCount, formatDuration, formatMany, formatMoment } from './format.ts'
import {
  capped,
  codeList,
  definitionName,
  foldedNames,
  outputBlocks,
  warningCallouts,
} from './sections.ts'

const marks: Record<Finding['severity'], string> = {
  error: symbols.fail,
  warning: symbols.warning,
  note: symbols.note,
}

/** One line for the log and for the error of a failed step: the most important reason. */
export function rehearsalVerdict(result: RehearsalResult): Text {
  const { id, label, timings } = result
  const took = formatDuration(timings.migration)
  if (result.verdict === 'pass')
    return `The migration passed on a copy of ${label} (backup ${id}) in ${took}: no data was lost.`
  const errors = errorsOf(result)
  const [first] = errors
  const more = errors.length > 1 ? ` (and ${formatMany(errors.length - 1, 'more error')})` : ''
  if (first) return `The migration must not be merged: ${first.object}: ${first.evidence}${more}`
  if (result.timedOut)
    return `The migrate command exceeded its timeout and was stopped after ${took}.`
  return `The migrate command ${exitText(result)}.`
}

export function rehearsalReport(result: RehearsalResult): Report {
  return blocks(
    result.verdict === 'pass'
      ? verdict('pass', text`Migration passed on a copy of ${code(result.label)}`)
      : verdict('fail', failureTitle(result)),
    commandEnd(result),
    loss(result),
    figures(result),
    warningCallouts(result.warnings),
    nextStep(result),
    findingBlocks(result.findings),
    tableChanges(result.tables),
    schemaChanges(result),
    details('Command and output', codeBlock(result.command, 'bash'), outputBlocks(result.output)),
    rehearsalDetails(result),
  )
}

/** A migration that loses data may have run without an error. */
function failureTitle(result: RehearsalResult): Text {
  const ran = result.exitCode === 0 && !result.timedOut
  return ran && lostBy(result) > 0
    ? text`Migration would lose data in ${code(result.label)}`
    : text`Migration failed on a copy of ${code(result.label)}`
}

function errorsOf({ findings }: RehearsalResult): Finding[] {
  return findings.filter(({ severity }) => severity === 'error')
}

function exitText({ exitCode }: RehearsalResult): string {
  return exitCode === null ? 'was killed' : `failed with exit code ${exitCode}`
}

function commandEnd(result: RehearsalResult): Block | undefined {
  if (result.timedOut)
    return paragraph(
      text`${strong('The command exceeded its timeout and was stopped')} after
        ${formatDuration(result.timings.migration)}.`,
    )
  if (result.exitCode !== 0) return paragraph(text`${strong(`The command ${exitText(result)}`)}.`)
  return undefined
}

function figures(result: RehearsalResult): Block {
  const { before, after } = result.rows
  const rows =
    before === after
      ? `${formatMany(before, 'row')} before and after`
      : `${formatCount(before)} rows before, ${formatCount(after)} after`
  const rewritten = result.tables.filter((each) => each.rewritten).length
  const rewrites = rewritten > 0 ? `, ${formatMany(rewritten, 'table')} rewritten` : ''
  const { added, removed, changed } = result.schema
  const took = strong(formatDuration(result.timings.migration))
  return paragraph(
    text`It took ${took} on a restored copy: ${rows}${rewrites}; schema: ${added.length} added,
      ${removed.length} removed, ${changed.length} changed.`,
  )
}

/** A list, because on a phone a table of five columns shows one word a line. */
function findingBlocks(findings: readonly Finding[]): Report {
  if (findings.length === 0) return []
  const item = ({ severity, code: word, object, evidence, remedy }: Finding): Text =>
    text`${marks[severity]} ${code(object)} (${code(word)}): ${strong(evidence)} ${remedy}`
  return blocks(
    section(formatMany(findings.length, 'finding')),
    capped(findings, (some) => list(some.map(item)), 'finding'),
  )
}

/** Values and rows that the migration would delete. */
function lostBy(result: RehearsalResult): number {
  return errorsOf(result).reduce((sum, each) => sum + (each.lost ?? 0), 0)
}

function loss(result: RehearsalResult): Block | undefined {
  const lost = lostBy(result)
  if (lost === 0) return undefined
  const figure = strong(formatMany(lost, 'value or row', 'values or rows'))
  const objects = errorsOf(result).flatMap((each) => (each.lost ? [each.object] : []))
  const shown = codeList(objects.slice(0, 3))
  const more = objects.length > 3 ? ` and ${objects.length - 3} more` : ''
  return paragraph(text`The migration would permanently delete ${figure} in ${shown}${more}.`)
}

const tryAgain = either('push again', 'test it again')

function nextStep(result: RehearsalResult): Next | undefined {
  if (result.verdict === 'pass') return undefined
  if (lostBy(result) > 0)
    return next(text`follow the findings, or move the data first. Then ${tryAgain}.`)
  if (result.timedOut)
    return next(
      text`see in the output below where the command stopped. Raise ${input('timeout')} only if
        production can wait that long.`,
    )
  return next(text`fix the migration (its output is below), then ${tryAgain}.`)
}

function tableChanges(tables: readonly TableChange[]): Details | undefined {
  if (tables.length === 0) return undefined
  const rewritten = tables.some((each) => each.rewritten)
  return details(
    `Tables (${tables.length})`,
    capped(tables, tableOfChanges, 'table'),
    rewritten
      ? paragraph('A table that is rewritten is locked for that time, for reads too.')
      : undefined,
  )
}

function tableOfChanges(tables: readonly TableChange[]): Block {
  const name = ({ table: current, was }: TableChange): Text =>
    was === undefined ? text`${code(current)}` : text`${code(current)} (was ${code(was)})`
  const count = (rows: number | undefined): string => (rows === undefined ? '–' : formatCount(rows))
  return table(
    ['Table', 'Change', 'Rows before', 'Rows after', 'Rewritten', 'Size before'],
    tables.map((each) => [
      name(each),
      each.change,
      count(each.rowsBefore),
      count(each.rowsAfter),
      each.rewritten ? 'yes' : '',
      each.bytes === undefined ? '–' : formatBytes(each.bytes),
    ]),
    ['left', 'left', 'right', 'right', 'left', 'right'],
  )
}

function schemaChanges({ schema: { added, removed, changed } }: RehearsalResult): Report {
  return blocks(
    foldedNames(`Schema: ${added.length} added`, added.map(definitionName)),
    foldedNames(`Schema: ${removed.length} removed`, removed.map(definitionName)),
    foldedNames(`Schema: ${changed.length} changed`, changed.map(definitionName)),
  )
}

function rehearsalDetails({ id, snapshotAt, server, timings }: RehearsalResult): Details {
  const origin = server.own ? 'on a cluster started for this run' : 'on the scratch server'
  return details(
    'Details',
    facts([
      ['Backup', text`${code(id)}`],
      ['Data as of', formatMoment(snapshotAt)],
      ['PostgreSQL of the backup', server.backup],
      ['PostgreSQL of the copy', `${server.scratch}, ${origin}`],
      ['Restored in', formatDuration(timings.restore)],
      ['Whole run', formatDuration(timings.total)],
    ]),
  )
}
