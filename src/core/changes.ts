import type { ColumnState, TableState } from '../postgres/columns.ts'
import type { SchemaPrint } from '../postgres/schema.ts'
import type { Finding, TableChange } from './rehearse.ts'

/** What a migration did to the tables and their rows, and what of it lost data. */
export function compareStates(before: ReadonlyMap<number, TableState>, after: ReadonlyMap<number, TableState>): { tables: TableChange[]; findings: Finding[] } {
  const tables: TableChange[] = []
  const findings: Finding[] = []
  for (const [oid, was] of before) {
    const is = after.get(oid)
    if (is) {
      const change = changeOf(was, is)
      if (change) tables.push(change)
      findings.push(...compareTable(was, is))
    } else {
      tables.push({ table: was.table, change: 'dropped', rowsBefore: was.rows, rewritten: false, bytes: was.bytes })
      findings.push(...dropped(was, heirs(was, before, after)))
    }
  }
  for (const [oid, is] of after) if (!before.has(oid)) tables.push({ table: is.table, change: 'created', rowsAfter: is.rows, rewritten: false })
  return { tables, findings }
}

/** Schema entries that came, went and changed. */
export function compareSchemaPrints(before: SchemaPrint, after: SchemaPrint): { added: string[]; removed: string[]; changed: string[] } {
  const added = Object.keys(after).filter((entry) => !(entry in before))
  const removed = Object.keys(before).filter((entry) => !(entry in after))
  const changed = Object.keys(before).filter((entry) => entry in after && before[entry] !== after[entry])
  return { added: added.sort(), removed: removed.sort(), changed: changed.sort() }
}

function changeOf(was: TableState, is: TableState): TableChange | undefined {
  const rewritten = was.file !== is.file
  if (was.table === is.table && was.rows === is.rows && !rewritten && sameColumns(was, is)) return undefined
  return { table: is.table, ...(was.table === is.table ? {} : { was: was.table }), change: 'changed', rowsBefore: was.rows, rowsAfter: is.rows, rewritten, bytes: was.bytes }
}

function sameColumns(was: TableState, is: TableState): boolean {
  return was.columns.size === is.columns.size && [...was.columns].every(([number, column]) => JSON.stringify(column) === JSON.stringify(is.columns.get(number)))
}

/** New tables that took the place of a dropped one: of its name, or leaves of a partition tree of its name or its own tree's. */
function heirs(was: TableState, before: ReadonlyMap<number, TableState>, after: ReadonlyMap<number, TableState>): TableState[] {
  const names = [was.table, was.partOf]
  return [...after.values()].filter((is) => !before.has(is.oid) && [is.table, is.partOf].some((name) => name !== undefined && names.includes(name)))
}

function dropped(was: TableState, successors: readonly TableState[]): Finding[] {
  const object = was.table
  if (was.rows === 0) return [{ code: 'table-dropped', severity: 'note', object, evidence: 'The table was dropped; it held no rows.', remedy: 'Nothing is lost.' }]
  const values = [...was.columns.values()].reduce((sum, column) => sum + column.values, 0)
  if (successors.length && carriesOver(was, successors))
    return [{ code: 'table-replaced', severity: 'note', object, evidence: `The table was dropped, and what took its place holds all its ${figure(was.rows, 'row')} with the same values.`, remedy: 'Nothing is lost; on production the copying takes as long as the table is large.' }]
  return [
    {
      code: 'table-dropped',
      severity: 'error',
      object,
      evidence: `The table was dropped with ${figure(was.rows, 'row')} and ${figure(values, 'value')} in it.`,
      remedy: 'Copy the rows elsewhere first, or rename the table and drop it in a later release, when nothing reads it any more.',
      lost: values,
    },
  ]
}

/** Whether the successors together hold, in every column of the old table's name, the same values. */
function carriesOver(was: TableState, successors: readonly TableState[]): boolean {
  if (successors.reduce((sum, is) => sum + is.rows, 0) !== was.rows) return false
  return [...was.columns.values()].every((column) => {
    const parts = successors.map((is) => [...is.columns.values()].find(({ name }) => name === column.name))
    if (parts.some((part) => part === undefined)) return column.values === 0
    return parts.reduce((sum, part) => sum + BigInt((part as ColumnState).hash), 0n) === BigInt(column.hash)
  })
}

function compareTable(was: TableState, is: TableState): Finding[] {
  const findings: Finding[] = []
  const object = is.table
  const missing = was.rows - is.rows
  if (missing > 0)
    findings.push({
      code: 'rows-deleted',
      severity: 'error',
      object,
      evidence: `${figure(missing, 'row')} of ${figure(was.rows, 'row')} ${missing === 1 ? 'is' : 'are'} gone.`,
      remedy: 'If that is meant, delete them in a step of their own that is not part of the schema’s migration; otherwise mend the condition.',
      lost: missing,
    })
  if (was.file !== is.file && was.rows > 0 && is.rows > 0)
    findings.push({
      code: 'table-rewritten',
      severity: 'warning',
      object,
      evidence: `The table (${figure(was.rows, 'row')}, ${Math.ceil(was.bytes / 1024).toLocaleString('en-US')} KiB with indexes) was written anew; on production nobody can read or write it meanwhile.`,
      remedy: 'Add a new column and fill it in batches, or choose a change that PostgreSQL makes without a rewrite.',
    })
  for (const [number, column] of was.columns) findings.push(...compareColumn(is, column, is.columns.get(number), was.rows === is.rows))
  return findings
}

function compareColumn(table: TableState, was: ColumnState, is: ColumnState | undefined, sameRows: boolean): Finding[] {
  const object = `${table.table}.${was.name}`
  if (!is) {
    if (was.values === 0) return [{ code: 'column-dropped', severity: 'note', object, evidence: 'The column was dropped; it held no value.', remedy: 'Nothing is lost.' }]
    const remedy = 'Stop reading and writing it first, keep its values elsewhere if anybody may want them, and drop it in a later release.'
    return [{ code: 'column-dropped', severity: 'error', object, evidence: `The column was dropped with ${figure(was.values, 'value')} in it.`, remedy, lost: was.values }]
  }
  if (!sameRows) return [] // rows came or went: said of the table
  if (is.values < was.values) {
    const lost = was.values - is.values
    return [{ code: 'values-emptied', severity: 'error', object, evidence: `${figure(lost, 'value')} of ${figure(was.values, 'value')} became NULL.`, remedy: 'Mend the conversion, or keep the old values in a column of their own until the new ones are proven.', lost }]
  }
  if (was.hash === is.hash) return []
  if (was.type === is.type) return [{ code: 'values-updated', severity: 'note', object, evidence: `The migration changed values of this column (${figure(was.values, 'value')} before, ${figure(is.values, 'value')} after).`, remedy: 'See that this is meant.' }]
  const change = `The type changed from ${was.type} to ${is.type}, and`
  const remedy = 'Compare the values of the copy, and convert with a USING that keeps what matters.'
  if (was.kind === 'number' && is.kind === 'number' && was.total !== is.total)
    return [{ code: 'values-changed', severity: 'error', object, evidence: `${change} the numbers are others: their sum was ${was.total} and is ${is.total} (${figure(was.values, 'value')}).`, remedy, lost: was.values }]
  if (was.kind === 'text' && is.kind === 'text' && is.bytes < was.bytes)
    return [{ code: 'values-shortened', severity: 'error', object, evidence: `${change} texts were cut: ${was.bytes.toLocaleString('en-US')} bytes became ${is.bytes.toLocaleString('en-US')}.`, remedy, lost: was.values }]
  if (was.kind === 'number' && is.kind === 'number') return []
  return [{ code: 'values-rewritten', severity: 'warning', object, evidence: `${change} values are written otherwise than before.`, remedy }]
}

function figure(count: number, of: string): string {
  return `${count.toLocaleString('en-US')} ${of}${count === 1 ? '' : 's'}`
}
