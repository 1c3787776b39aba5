import type { ColumnState, TableState } from '../postgres/fingerprint/columns.ts'
import type { LargeObjectsPrint } from '../postgres/fingerprint/large-objects.ts'
import type { SequenceValue } from '../postgres/fingerprint/sequences.ts'
import type { Finding, TableChange } from './finding.ts'

/** What a migration did to the tables and their rows, and what of it lost data. */
export function compareStates(
  before: ReadonlyMap<number, TableState>,
  after: ReadonlyMap<number, TableState>,
): { tables: TableChange[]; findings: Finding[] } {
  const tables: TableChange[] = []
  const findings: Finding[] = []
  const whole = wholeTrees(before, after)
  for (const [oid, was] of before) {
    const is = after.get(oid)
    const moved = was.partOf !== undefined && whole.has(was.partOf)
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
      findings.push(...dropped(was, moved || sameValues([was], replacements(was, before, after))))
    }
  }
  for (const [oid, is] of after)
    if (!before.has(oid))
      tables.push({ table: is.table, change: 'created', rowsAfter: is.rows, rewritten: false })
  return { tables, findings }
}

/** What a database holds outside its tables. */
export interface Outside {
  sequences: Record<string, SequenceValue>
  largeObjects: LargeObjectsPrint
}

/** What a migration did to large objects and sequences. */
export function compareOutside(before: Outside, after: Outside): Finding[] {
  const findings: Finding[] = []
  const object = 'large objects'
  const gone = before.largeObjects.count - after.largeObjects.count
  if (gone > 0)
    findings.push({
      code: 'large-objects-removed',
      severity: 'error',
      object,
      evidence: `${figure(gone, 'large object')} of ${before.largeObjects.count.toLocaleString('en-US')} are gone.`,
      remedy: 'Keep a copy, or remove them in a step of its own once nothing refers to them.',
      lost: gone,
    })
  else if (gone === 0 && before.largeObjects.hash !== after.largeObjects.hash)
    findings.push({
      code: 'large-objects-changed',
      severity: 'warning',
      object,
      evidence: 'The content of large objects is another than before.',
      remedy: 'See that this is meant.',
    })
  for (const [name, was] of Object.entries(before.sequences)) {
    const is = after.sequences[name]
    if (is && BigInt(is.last) < BigInt(was.last))
      findings.push({
        code: 'sequence-moved-back',
        severity: 'warning',
        object: name,
        evidence: `The sequence stood at ${was.last} and stands at ${is.last}: values that were given out may come again.`,
        remedy: 'Set it to the largest value in use: SELECT setval(…).',
      })
  }
  return findings
}

/** Views that are gone: they hold nothing, and whoever reads them fails. */
export function droppedViews(removed: readonly string[]): Finding[] {
  return removed.flatMap((entry) => {
    const name = /^(?:MATERIALIZED )?VIEW (.*)$/.exec(entry)?.[1]
    if (name === undefined) return []
    return [
      {
        code: 'view-dropped',
        severity: 'warning' as const,
        object: name,
        evidence: 'The view is gone, and with it the grants on it.',
        remedy: 'Create it anew in the same migration if anybody reads it.',
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
 * New tables that took the place of a dropped one: of its name, or leaves of a partition tree of
 * its name or its own tree's.
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
 * Partition trees, by the name of their topmost table, that hold the same values as before,
 * whichever leaf they are in now.
 */
function wholeTrees(
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

function dropped(was: TableState, carriedOver: boolean): Finding[] {
  const object = was.table
  if (was.rows === 0)
    return [
      {
        code: 'table-dropped',
        severity: 'note',
        object,
        evidence: 'The table was dropped; it held no rows.',
        remedy: 'Nothing is lost.',
      },
    ]
  const values = [...was.columns.values()].reduce((sum, column) => sum + column.values, 0)
  if (carriedOver)
    return [
      {
        code: 'table-replaced',
        severity: 'note',
        object,
        evidence: `The table was dropped, and what took its place holds all its ${figure(was.rows, 'row')} with the same values.`,
        remedy: 'Nothing is lost; on production the copying takes as long as the table is large.',
      },
    ]
  return [
    {
      code: 'table-dropped',
      severity: 'error',
      object,
      evidence: `The table was dropped with ${figure(was.rows, 'row')} and ${figure(values, 'value')} in it.`,
      remedy:
        'Copy the rows elsewhere first, or rename the table and drop it in a later release, when nothing reads it any more.',
      lost: values,
    },
  ]
}

/**
 * Whether some tables together hold, in every column of the old ones' names, the values that those
 * held.
 */
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

/** `moved`: rows that left this table, a leaf, are in another leaf of its tree. */
function compareTable(was: TableState, is: TableState, moved: boolean): Finding[] {
  const findings: Finding[] = []
  const object = is.table
  const missing = was.rows - is.rows
  if (missing > 0 && !moved)
    findings.push({
      code: 'rows-deleted',
      severity: 'error',
      object,
      evidence: `${figure(missing, 'row')} of ${figure(was.rows, 'row')} ${missing === 1 ? 'is' : 'are'} gone.`,
      remedy:
        'If that is meant, delete them in a step of their own that is not part of the schema’s migration; otherwise mend the condition.',
      lost: missing,
    })
  if (was.file !== is.file && was.rows > 0 && is.rows > 0)
    findings.push({
      code: 'table-rewritten',
      severity: 'warning',
      object,
      evidence: `The table (${figure(was.rows, 'row')}, ${Math.ceil(was.bytes / 1024).toLocaleString('en-US')} KiB with indexes) was written anew; on production nobody can read or write it meanwhile.`,
      remedy:
        'Add a new column and fill it in batches, or choose a change that PostgreSQL makes without a rewrite.',
    })
  if (!moved || missing === 0)
    for (const [number, column] of was.columns)
      findings.push(...compareColumn(is, column, is.columns.get(number), missing))
  return findings
}

function compareColumn(
  table: TableState,
  was: ColumnState,
  is: ColumnState | undefined,
  missing: number,
): Finding[] {
  const object = `${table.table}.${was.name}`
  if (!is) {
    if (was.values === 0)
      return [
        {
          code: 'column-dropped',
          severity: 'note',
          object,
          evidence: 'The column was dropped; it held no value.',
          remedy: 'Nothing is lost.',
        },
      ]
    const remedy =
      'Stop reading and writing it first, keep its values elsewhere if anybody may want them, and drop it in a later release.'
    return [
      {
        code: 'column-dropped',
        severity: 'error',
        object,
        evidence: `The column was dropped with ${figure(was.values, 'value')} in it.`,
        remedy,
        lost: was.values,
      },
    ]
  }
  // a row that is gone takes one value with it at most: that is said of the table
  const lost = was.values - is.values - Math.max(0, missing)
  if (lost > 0)
    return [
      {
        code: 'values-emptied',
        severity: 'error',
        object,
        evidence: `${missing === 0 ? '' : 'At least '}${figure(lost, 'value')} of ${figure(was.values, 'value')} became NULL.`,
        remedy:
          'Mend the conversion, or keep the old values in a column of their own until the new ones are proven.',
        lost,
      },
    ]
  if (missing !== 0 && was.type !== is.type)
    return [
      {
        code: 'values-unchecked',
        severity: 'warning',
        object,
        evidence: `The type changed from ${was.type} to ${is.type} while rows came or went: whether it kept all values cannot be told.`,
        remedy: 'Change types and rows in two migrations, and rehearse each.',
      },
    ]
  if (missing !== 0) return []
  if (was.hash === is.hash) return []
  if (was.type === is.type)
    return [
      {
        code: 'values-updated',
        severity: 'note',
        object,
        evidence: `The migration changed values of this column (${figure(was.values, 'value')} before, ${figure(is.values, 'value')} after).`,
        remedy: 'See that this is meant.',
      },
    ]
  const change = `The type changed from ${was.type} to ${is.type}, and`
  const remedy = 'Compare the values of the copy, and convert with a USING that keeps what matters.'
  if (was.kind === 'number' && is.kind === 'number' && was.exact !== is.exact)
    return [
      {
        code: 'values-changed',
        severity: 'error',
        object,
        evidence: `${change} the numbers are others: their sum was ${was.total} and is ${was.total === is.total ? 'the same' : is.total} (${figure(was.values, 'value')}).`,
        remedy,
        lost: was.values,
      },
    ]
  if (was.kind === 'text' && is.kind === 'text' && is.bytes < was.bytes)
    return [
      {
        code: 'values-shortened',
        severity: 'error',
        object,
        evidence: `${change} texts were cut: ${was.bytes.toLocaleString('en-US')} bytes became ${is.bytes.toLocaleString('en-US')} (${figure(was.values, 'value')}).`,
        remedy,
        lost: was.values,
      },
    ]
  if (was.kind === 'number' && is.kind === 'number') return []
  return [
    {
      code: 'values-rewritten',
      severity: 'warning',
      object,
      evidence: `${change} values are written otherwise than before.`,
      remedy,
    },
  ]
}

function figure(count: number, of: string): string {
  return `${count.toLocaleString('en-US')} ${of}${count === 1 ? '' : 's'}`
}
