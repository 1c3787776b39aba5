import type { Finding, TableChange } from '../rehearsal/finding.ts'
import type { RehearsalResult } from '../rehearsal/rehearse.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from './markdown/format.ts'
import {
  blocks,
  code,
  details,
  fence,
  list,
  type Markdown,
  md,
  type Piece,
  table,
  text,
} from './markdown/markdown.ts'
import { capped, foldedList, warningsPart } from './markdown/sections.ts'

const marks: Record<Finding['severity'], string> = { error: '❌', warning: '⚠️', note: 'ℹ️' }

/** One line for the log and for the error of a failed step: the reason that weighs most. */
export function rehearsalVerdict(result: RehearsalResult): string {
  if (result.verdict === 'pass')
    return `The migration passed on a copy of ${result.label} (backup ${result.id}) in ${formatDuration(result.timings.migration)}: no data was lost.`
  const errors = result.findings.filter((finding) => finding.severity === 'error')
  const first = errors[0]
  const more = errors.length > 1 ? ` (and ${formatMany(errors.length - 1, 'more error')})` : ''
  if (first) return `The migration must not be merged: ${first.object}: ${first.evidence}${more}`
  if (result.timedOut)
    return `The migrate command did not end within its timeout; it was stopped after ${formatDuration(result.timings.migration)}.`
  return `The migrate command failed with exit code ${result.exitCode ?? 'none (it was killed)'}.`
}

export function rehearsalReport(result: RehearsalResult): string {
  const verdict =
    result.verdict === 'pass'
      ? md`## ✅ Migration rehearsed on ${code(result.label)}: pass`
      : md`## ❌ Migration rehearsed on ${code(result.label)}: fail`
  return `${
    blocks(
      verdict,
      endPart(result),
      figuresPart(result),
      warningsPart(result.warnings),
      findingsPart(result.findings),
      nextPart(result),
      tablesPart(result.tables),
      schemaPart(result),
      outputPart(result),
      factsPart(result),
    ).markdown
  }\n`
}

function endPart(result: RehearsalResult): Markdown | undefined {
  if (result.timedOut)
    return md`**The command did not end within its timeout and was stopped** after ${formatDuration(result.timings.migration)}.`
  if (result.exitCode !== 0)
    return md`**The command failed** with exit code ${result.exitCode ?? 'none: it was killed'}.`
  return undefined
}

function figuresPart(result: RehearsalResult): Markdown {
  const { before, after } = result.rows
  const rows =
    before === after
      ? `${formatMany(before, 'row')} before and after`
      : `${formatCount(before)} rows before, ${formatCount(after)} after`
  const rewritten = result.tables.filter((each) => each.rewritten)
  const locked = rewritten.length > 0 ? `, ${formatMany(rewritten.length, 'table')} rewritten` : ''
  const { added, removed, changed } = result.schema
  return md`It took **${formatDuration(result.timings.migration)}** on a restored copy: ${rows}${locked}; schema: ${added.length} added, ${removed.length} removed, ${changed.length} changed.`
}

function findingsPart(findings: readonly Finding[]): Markdown | undefined {
  if (findings.length === 0) return undefined
  const shown = capped(
    findings,
    (some) =>
      table(
        ['', 'Finding', 'Where', 'What was seen', 'What to do'],
        some.map((each) => [
          marks[each.severity],
          code(each.code),
          code(each.object),
          text(each.evidence),
          text(each.remedy),
        ]),
      ),
    'finding',
  )
  return blocks(md`### ${formatMany(findings.length, 'finding')}`, shown)
}

function nextPart(result: RehearsalResult): Markdown | undefined {
  if (result.verdict === 'pass') return undefined
  const errors = result.findings.filter((finding) => finding.severity === 'error')
  const lost = errors.reduce((sum, each) => sum + (each.lost ?? 0), 0)
  if (lost > 0)
    return md`**Next:** ${formatMany(lost, 'value or row', 'values or rows')} would be gone for good. Do what the findings say, or move the data first; then push again, and the rehearsal runs anew.`
  if (result.timedOut)
    return md`**Next:** see below where it stood. Give it longer with \`timeout\` only if production can wait that long.`
  return md`**Next:** mend the migration (what the command wrote is below), then push again.`
}

function tablesPart(tables: readonly TableChange[]): Markdown | undefined {
  if (tables.length === 0) return undefined
  const name = (each: TableChange): Piece =>
    each.was === undefined ? code(each.table) : md`${code(each.table)} (was ${code(each.was)})`
  const rows = (count: number | undefined): string =>
    count === undefined ? '–' : formatCount(count)
  const shown = capped(
    tables,
    (some) =>
      table(
        ['Table', 'Change', 'Rows before', 'Rows after', 'Rewritten', 'Size before'],
        some.map((each) => [
          name(each),
          each.change,
          rows(each.rowsBefore),
          rows(each.rowsAfter),
          each.rewritten ? 'yes' : '',
          each.bytes === undefined ? '–' : formatBytes(each.bytes),
        ]),
        ['left', 'left', 'right', 'right', 'left', 'right'],
      ),
    'table',
  )
  const rewritten = tables.some((each) => each.rewritten)
    ? md`A table that is rewritten is locked, for reads too, for as long as that takes.`
    : undefined
  return details(`Tables (${tables.length})`, blocks(shown, rewritten))
}

function schemaPart(result: RehearsalResult): Markdown | undefined {
  const { added, removed, changed } = result.schema
  const whole = blocks(
    foldedList(`Schema: ${added.length} added`, added),
    foldedList(`Schema: ${removed.length} removed`, removed),
    foldedList(`Schema: ${changed.length} changed`, changed),
  )
  return whole.markdown ? whole : undefined
}

function outputPart(result: RehearsalResult): Markdown {
  const written = result.output.trim() === '' ? md`Nothing.` : fence(result.output, 'text')
  return details('What the command wrote', blocks(fence(result.command, 'bash'), written))
}

function factsPart(result: RehearsalResult): Markdown {
  const scratch = result.server.own
    ? `${result.server.scratch}, started for this and destroyed`
    : `${result.server.scratch}, from scratch-url`
  return details(
    'Details',
    list([
      md`Rehearsed on backup ${code(result.id)}, as the database was at ${formatMoment(result.snapshotAt)}`,
      md`The backup is from PostgreSQL ${result.server.backup}; the copy ran on PostgreSQL ${scratch}`,
      md`Restored in ${formatDuration(result.timings.restore)}; the whole run took ${formatDuration(result.timings.total)}`,
    ]),
  )
}
