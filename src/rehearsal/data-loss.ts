import type { ColumnState, TableState } from '../postgres/fingerprint/columns.ts'
import type { LargeObjectsPrint } from '../postgres/fingerprint/large-objects.ts'
import type { SequenceValue } from '../postgres/fingerprint/sequences.ts'
import { compareColumn } from './column-loss.ts'
import { figure, type Finding, type TableChange } from './finding.ts'

/** Returns what a migration changed in the tables and their rows, with a finding for each loss. */
export function compareStates(
  before: ReadonlyMap<number, TableState>,
  after: ReadonlyMap<number, TableState>,
): { tables: TableChange[]; findings: Finding[] } {
  const tables: TableChange[] = []
  const findings: Finding[] = []
  const unchanged = unchangedTrees(before, after)
  for (const [oid, was] of before) {
    const is = after.get(oid)
    const moved = was.partOf !== undefined && unchanged.has(was.partOf)
    if (is) {
      const change = changeOf(was, is)
      if (change) tables.push(change)
      findings.push(...compareTable(was, is, moved))
    } else {
      tables.push({
        table: was.table,
        change: 'dropped',
        rowsBefore: was.rows,
        rewritten: false,
        bytes: was.bytes,
      })
      findings.push(
        ...droppedTable(was, moved || sameValues([was], replacements(was, before, after))),
      )
    }
  }
  for (const [oid, is] of after)
    if (!before.has(oid))
      tables.push({ table: is.table, change: 'created', rowsAfter: is.rows, rewritten: false })
  return { tables, findings }
}

/** What a database holds outside its tables. */
export interface SequencesAndLargeObjects {
  sequences: Record<string, SequenceValue>
  largeObjects: LargeObjectsPrint
}

/** Returns findings about what a migration did to large objects and sequences. */
export function compareSequencesAndLargeObjects(
  before: SequencesAndLargeObjects,
  after: SequencesAndLargeObjects,
): Finding[] {
  const findings: Finding[] = []
  const object = 'large objects'
  const gone = before.largeObjects.count - after.largeObjects.count
  if (gone > 0)
    findings.push({
      code: 'large-objects-removed',
      severity: 'error',
      object,
      evidence:
        `${figure(gone, 'large object')} of ${before.largeObjects.count.toLocaleString('en-US')} ` +
        `${gone === 1 ? 'was' : 'were'} removed.`,
      remedy:
        'Keep a copy, or remove them in a separate step when nothing refers to them any more.',
      lost: gone,
    })
  else if (gone === 0 && before.largeObjects.hash !== after.largeObjects.hash)
    findings.push({
      code: 'large-objects-changed',
      severity: 'warning',
      object,
      evidence: 'The content of large objects changed.',
      remedy: 'Check that this is intended.',
    })
  for (const [name, was] of Object.entries(before.sequences)) {
    const is = after.sequences[name]
    if (is && BigInt(is.last) < BigInt(was.last))
      findings.push({
        code: 'sequence-moved-back',
        severity: 'warning',
        object: name,
        evidence: `The sequence moved back from ${was.last} to ${is.last}, so it can return the same values again.`,
        remedy: 'Set it to the largest value in use: SELECT setval(…).',
      })
  }
  return findings
}

/** Returns a finding for each removed view: it held no data, but queries that read it fail. */
export function droppedViews(removed: readonly string[]): Finding[] {
  return removed.flatMap((entry) => {
    const name = /^(?:MATERIALIZED )?VIEW (.*)$/.exec(entry)?.[1]
    if (name === undefined) return []
    return [
      {
        code: 'view-dropped',
        severity: 'warning' as const,
        object: name,
        evidence: 'The view was dropped, with the grants on it.',
        remedy: 'Re-create it in the same migration if anything reads it.',
      },
    ]
  })
}

function changeOf(was: TableState, is: TableState): TableChange | undefined {
  const rewritten = was.file !== is.file
  if (was.table === is.table && was.rows === is.rows && !rewritten && sameColumns(was, is))
    return undefined
  return {
    table: is.table,
    ...(was.table === is.table ? {} : { was: was.table }),
    change: 'changed',
    rowsBefore: was.rows,
    rowsAfter: is.rows,
    rewritten,
    bytes: was.bytes,
  }
}

function sameColumns(was: TableState, is: TableState): boolean {
  return (
    was.columns.size === is.columns.size &&
    [...was.columns].every(
      ([number, column]) => JSON.stringify(column) === JSON.stringify(is.columns.get(number)),
    )
  )
}

/**
 * New tables that may replace a dropped one: those with its name, and the leaves of a partition tree
 * with its name or with that of its own tree.
 */
function replacements(
  was: TableState,
  before: ReadonlyMap<number, TableState>,
  after: ReadonlyMap<number, TableState>,
): TableState[] {
  const names = [was.table, was.partOf]
  return [...after.values()].filter(
    (is) =>
      !before.has(is.oid) &&
      [is.table, is.partOf].some((name) => name !== undefined && names.includes(name)),
  )
}

/**
 * Names of the root tables of partition trees that hold the same values as before, in whichever
 * leaf.
 */
function unchangedTrees(
  before: ReadonlyMap<number, TableState>,
  after: ReadonlyMap<number, TableState>,
): Set<string> {
  const leavesOf = (states: ReadonlyMap<number, TableState>, root: string): TableState[] =>
    [...states.values()].filter(({ partOf }) => partOf === root)
  const roots = new Set(
    [...before.values()].flatMap(({ partOf }) => (partOf === undefined ? [] : [partOf])),
  )
  return new Set(
    [...roots].filter((root) => sameValues(leavesOf(before, root), leavesOf(after, root))),
  )
}

function droppedTable(was: TableState, carriedOver: boolean): Finding[] {
  const object = was.table
  if (was.rows === 0)
    return [
      {
        code: 'table-dropped',
        severity: 'note',
        object,
        evidence: 'The table was dropped; it held no rows.',
        remedy: 'Nothing was lost.',
      },
    ]
  const values = [...was.columns.values()].reduce((sum, column) => sum + column.values, 0)
  if (carriedOver)
    return [
      {
        code: 'table-replaced',
        severity: 'note',
        object,
        evidence: `The table was dropped; its replacement has all ${figure(was.rows, 'row')} with the same values.`,
        remedy: 'Nothing was lost. On production, copying a large table takes longer.',
      },
    ]
  return [
    {
      code: 'table-dropped',
      severity: 'error',
      object,
      evidence: `The table was dropped with ${figure(was.rows, 'row')} and ${figure(values, 'value')} in it.`,
      remedy:
        'Copy the rows elsewhere first, or rename the table and drop it in a later release, ' +
        'when nothing reads it any more.',
      lost: values,
    },
  ]
}

/** Whether tables together hold the values of other tables, column by column, by name. */
function sameValues(were: readonly TableState[], are: readonly TableState[]): boolean {
  const rows = (states: readonly TableState[]): number =>
    states.reduce((sum, state) => sum + state.rows, 0)
  if (rows(were) !== rows(are)) return false
  const named = (states: readonly TableState[], name: string): ColumnState[] =>
    states.flatMap(({ columns }) => [...columns.values()].filter((column) => column.name === name))
  const sum = (columns: readonly ColumnState[]): bigint =>
    columns.reduce((all, { hash }) => all + BigInt(hash), 0n)
  const names = new Set(
    were.flatMap(({ columns }) => [...columns.values()].map(({ name }) => name)),
  )
  return [...names].every((name) => {
    const [then, now] = [named(were, name), named(are, name)]
    return now.length < are.length
      ? then.every(({ values }) => values === 0)
      : sum(then) === sum(now)
  })
}

/** `moved`: the table is a leaf, and its missing rows are in another leaf of its tree. */
function compareTable(was: TableState, is: TableState, moved: boolean): Finding[] {
  const findings: Finding[] = []
  const object = is.table
  const missing = was.rows - is.rows
  if (missing > 0 && !moved)
    findings.push({
      code: 'rows-deleted',
      severity: 'error',
      object,
      evidence: `${figure(missing, 'row')} of ${figure(was.rows, 'row')} ${missing === 1 ? 'was' : 'were'} deleted.`,
      remedy:
        'If this is intended, delete them in a separate step, outside the schema migration. ' +
        'If not, correct the condition.',
      lost: missing,
    })
  if (was.file !== is.file && was.rows > 0 && is.rows > 0)
    findings.push({
      code: 'table-rewritten',
      severity: 'warning',
      object,
      evidence:
        `The table (${figure(was.rows, 'row')}, ` +
        `${Math.ceil(was.bytes / 1024).toLocaleString('en-US')} KiB with indexes) was rewritten. ` +
        'On production, reads and writes are blocked until the rewrite ends.',
      remedy:
        'Add a new column and fill it in batches, or use a change that PostgreSQL makes ' +
        'without a rewrite.',
    })
  if (!moved || missing === 0)
    for (const [number, column] of was.columns)
      findings.push(...compareColumn(object, column, is.columns.get(number), missing))
  return findings
}
