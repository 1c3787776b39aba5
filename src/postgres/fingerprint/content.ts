import { UserError } from '../../errors.ts'
import { type Column, splitThreshold, type Table, tableName } from './tables.ts'
import { isServerError } from '../connection/server-error.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** A table's content: its number of rows, and a hash that depends on no order of rows or columns. */
export interface TablePrint {
  table: string
  rows: number
  /** Sum of the rows' 64-bit hashes, decimal, without generated columns. Absent at depth `counts`. */
  hash?: string
  /** The same over the stored generated columns, which a restore recomputes. */
  generated?: string
  comparedAt?: string
  /** Size on the server, with TOAST and without indexes. Not compared. */
  bytes: number
}

/** A table, or its blocks from `from` (default: the first) up to and without `to` (default: all). */
export interface Part {
  table: Table
  /** Estimated size, to split the work. */
  bytes: number
  from?: number
  to?: number
}

const textTypes = new Set([25, 1042, 1043])
/**
 * Numbers, dates, bool, uuid, bytea, json: their text never holds the separator and is never empty,
 * so it differs from NULL's.
 */
const bareTypes = new Set([
  16, 17, 20, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802,
])
/**
 * A function takes at most 100 arguments; a column needs up to four. One more call joins the results:
 * a table has at most 1,600 columns.
 */
const columnsPerCall = 24
/** Keeps a statement's locks few, and 10,000 tables at 200 round trips. */
const tablesPerQuery = 50
const columnsPerQuery = 2000

/**
 * Returns SQL for the text of one row. Two rows have the same text only if they have the same
 * values. Columns are in the byte order of their names; text types have their length in front; other
 * types use their output function, or a record's text where that could be empty. Uses no casts,
 * because a user can redefine them.
 */
export function rowText(columns: readonly Column[]): string {
  if (columns.length === 0) return "''"
  const calls: string[] = []
  for (let i = 0; i < columns.length; i += columnsPerCall) {
    const parts = columns.slice(i, i + columnsPerCall).map(({ name, base }) => {
      const column = quoteName(name)
      if (textTypes.has(base)) return `pg_catalog.octet_length(${column}), ':', ${column}, E'\\x1f'`
      if (bareTypes.has(base)) return `${column}, E'\\x1f'`
      return `ROW(${column})::pg_catalog.text, E'\\x1f'`
    })
    calls.push(`pg_catalog.concat(${parts.join(', ')})`)
  }
  return calls.length === 1 ? (calls[0] as string) : `pg_catalog.concat(${calls.join(', ')})`
}

/** Returns SQL that sums a text's hash over all rows: numeric, so that duplicates do not cancel out. */
export function sumOfHashes(text: string): string {
  const hash = `pg_catalog.hashtextextended(${text} COLLATE "C", 0)`
  return `coalesce(pg_catalog.sum(${hash}), 0)::pg_catalog.text`
}

export interface MeasureOptions {
  /** In a transaction, each query's further locks (indexes) are released by a savepoint. */
  inTransaction: boolean
  depth: 'content' | 'counts'
  /** Called with the tables of each query before it: locks them, and checks that they are unchanged. */
  before?: (tables: readonly Table[]) => Promise<void>
  /** Called after each query with the size of the tables that it read, in bytes. */
  onRead?: (bytes: number) => void
}

/**
 * Measures tables or parts of them in one session, many small ones per query. Returns a print per
 * part. Throws a UserError `table-unreadable` if a table cannot be read with an empty search_path.
 */
export async function measureParts(
  session: Session,
  parts: readonly Part[],
  options: MeasureOptions,
): Promise<TablePrint[]> {
  const prints: TablePrint[] = []
  if (options.inTransaction) await session.query('SAVEPOINT measure')
  for (const batch of batches(parts)) {
    await options.before?.(batch.map(({ table }) => table))
    prints.push(...(await measureBatch(session, batch, options)))
    if (options.inTransaction) await session.query('ROLLBACK TO SAVEPOINT measure')
    options.onRead?.(batch.reduce((sum, { bytes }) => sum + bytes, 0))
  }
  return prints
}

/** Adds up the prints of each table's parts: rows and hashes are sums, in any order. */
export function mergePrints(prints: readonly TablePrint[]): TablePrint[] {
  const tables = new Map<string, TablePrint>()
  for (const print of prints) {
    const sum = tables.get(print.table)
    if (!sum) {
      tables.set(print.table, { ...print })
      continue
    }
    sum.rows += print.rows
    if (print.hash !== undefined) sum.hash = addHashes(sum.hash, print.hash)
    if (print.generated !== undefined) sum.generated = addHashes(sum.generated, print.generated)
  }
  return [...tables.values()]
}

/** Returns the sum of two decimal hashes. */
export function addHashes(a = '0', b = '0'): string {
  return String(BigInt(a) + BigInt(b))
}

/** Returns the print of a table without rows. */
export function emptyPrint(table: Table, depth: 'content' | 'counts'): TablePrint {
  const hashes =
    depth === 'counts'
      ? {}
      : {
          hash: '0',
          ...(table.columns.some((column) => column.generated === 'stored')
            ? { generated: '0' }
            : {}),
        }
  return {
    table: tableName(table),
    rows: 0,
    bytes: 0,
    ...hashes,
    ...(table.comparedAt === undefined ? {} : { comparedAt: table.comparedAt }),
  }
}

interface MeasuredRow {
  /** Index into the batch. */
  i: number
  rows: string
  hash: string | null
  generated: string | null
}

async function measureBatch(
  session: Session,
  batch: readonly Part[],
  options: MeasureOptions,
): Promise<TablePrint[]> {
  const selects = batch.map((part, i) => `SELECT ${i} AS i, ${measureSelect(part, options.depth)}`)
  let rows: MeasuredRow[]
  try {
    rows = await session.query(selects.join(' UNION ALL '))
  } catch (error) {
    // class 42: the planner did not find something, for example in the function of an index
    if (!isServerError(error) || !/^(42|3F)/.test(error.code) || error.code === '42501') throw error
    if (options.inTransaction) await session.query('ROLLBACK TO SAVEPOINT measure')
    return measureSingly(session, batch, options, error)
  }
  return rows.map((row) => toPrint(row, (batch[row.i] as Part).table))
}

/** Finds the one table of a failed batch that cannot be read. */
async function measureSingly(
  session: Session,
  batch: readonly Part[],
  options: MeasureOptions,
  cause: Error,
): Promise<TablePrint[]> {
  if (batch.length === 1)
    throw new UserError(
      'table-unreadable',
      `${tableName((batch[0] as Part).table)} cannot be read with an empty search_path: ` +
        `${cause.message}.`,
      undefined,
      { cause },
    )
  const prints: TablePrint[] = []
  for (const part of batch) {
    await options.before?.([part.table]) // the rollback released its lock
    prints.push(...(await measureBatch(session, [part], options)))
  }
  return prints
}

function measureSelect({ table, from, to }: Part, depth: 'content' | 'counts'): string {
  const plain = table.columns.filter((column) => column.generated === 'no')
  const stored = table.columns.filter((column) => column.generated === 'stored')
  const hash = depth === 'content' ? sumOfHashes(rowText(plain)) : 'NULL'
  const generated = stored.length && depth === 'content' ? sumOfHashes(rowText(stored)) : 'NULL'
  const name = `${quoteName(table.schema)}.${quoteName(table.name)}`
  return `pg_catalog.count(*)::pg_catalog.text AS rows, ${hash} AS hash, ${generated} AS generated
    FROM ONLY ${name} ${table.condition ?? ''} ${blockRange(from, to)}`
}

function toPrint({ rows, hash, generated }: MeasuredRow, table: Table): TablePrint {
  return {
    table: tableName(table),
    rows: Number(rows),
    ...(hash === null ? {} : { hash }),
    bytes: table.bytes,
    ...(generated === null ? {} : { generated }),
    ...(table.comparedAt === undefined ? {} : { comparedAt: table.comparedAt }),
  }
}

/**
 * Returns a condition on tuple identifiers, for which the server reads only these blocks. Never
 * used with the condition of an extension's table: those are not split.
 */
function blockRange(from: number | undefined, to: number | undefined): string {
  const bounds = [
    ...(from === undefined ? [] : [`ctid >= '(${from},0)'`]),
    ...(to === undefined ? [] : [`ctid < '(${to},0)'`]),
  ]
  return bounds.length ? `WHERE ${bounds.join(' AND ')}` : ''
}

function* batches(parts: readonly Part[]): Generator<Part[]> {
  let batch: Part[] = []
  let columns = 0
  for (const part of parts) {
    if (
      batch.length &&
      (part.bytes > splitThreshold ||
        batch.length === tablesPerQuery ||
        columns + part.table.columns.length > columnsPerQuery)
    ) {
      yield batch
      batch = []
      columns = 0
    }
    batch.push(part)
    columns += part.table.columns.length
  }
  if (batch.length) yield batch
}
