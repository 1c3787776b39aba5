import { UserError } from '../../errors.ts'
import { type Column, splitThreshold, type Table, tableName } from './tables.ts'
import { isServerError } from '../connection/server-error.ts'
import { quoteName, type Session } from '../connection/session.ts'

/**
 * What a table held: its rows, and a hash of them that does not depend on their order, nor on that
 * of its columns.
 */
export interface TablePrint {
  table: string
  rows: number
  /**
   * Sum of the rows' 64-bit hashes, decimal; all columns but generated ones. Left out where rows
   * were only counted.
   */
  hash?: string
  /** The same over the stored generated columns, which a restore computes anew. */
  generated?: string
  comparedAt?: string
  /** Size on the server, with TOAST and without indexes: no part of what is compared. */
  bytes: number
}

/** A table, or the blocks `from` to `to` (not included; undefined: to its end) of one. */
export interface Part {
  table: Table
  /** Roughly; for dealing out. */
  bytes: number
  from?: number
  to?: number
}

const textTypes = new Set([25, 1042, 1043])
/**
 * Numbers, dates, bool, uuid, bytea, json: their text holds no separator of ours and is never
 * empty, so NULL stands apart.
 */
const bareTypes = new Set([
  16, 17, 20, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802,
])
/** A function takes at most 100 arguments; each column needs up to four. */
const columnsPerCall = 24
/**
 * Few enough that the locks a statement takes are few, many enough that 10,000 tables need 200
 * round trips.
 */
const tablesPerQuery = 50

/**
 * Text of one row, so that two rows have the same text only if they have the same values: columns
 * by name in the order of bytes; text with its length before it; other types by their output
 * function, or as a record's text where that could be empty. Written by the types' output
 * functions, never by casts, which a user may have defined anew.
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
  for (let level = calls; ;) {
    if (level.length === 1) return level[0] as string
    const next: string[] = []
    for (let i = 0; i < level.length; i += 90)
      next.push(`pg_catalog.concat(${level.slice(i, i + 90).join(', ')})`)
    level = next
  }
}

/**
 * A sum over rows of the hash of a text: numeric, so that a row that is there twice does not cancel
 * out.
 */
export function sumOfHashes(text: string): string {
  return `coalesce(pg_catalog.sum(pg_catalog.hashtextextended(${text} COLLATE "C", 0)), 0)::pg_catalog.text`
}

export interface MeasureOptions {
  /**
   * Whether the session is in a transaction; then what a query locks besides (indexes) is let go
   * after it.
   */
  inTransaction: boolean
  depth: 'content' | 'counts'
  /**
   * Runs before each query, on its tables: for locks, and for looking whether they are still what
   * the snapshot saw.
   */
  before?: (tables: readonly Table[]) => Promise<void>
  /** Told after each query how many bytes of tables it went through. */
  onRead?: (bytes: number) => void
}

/** Measures tables, or parts of them, by one session; small ones many to a query. */
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

/**
 * One print a table, of those of its parts: rows and hashes are sums, so that it does not matter
 * who read what.
 */
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

export function addHashes(a = '0', b = '0'): string {
  return String(BigInt(a) + BigInt(b))
}

/** What a table without rows has. */
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

async function measureBatch(
  session: Session,
  batch: readonly Part[],
  options: MeasureOptions,
): Promise<TablePrint[]> {
  const { inTransaction, depth } = options
  const selects = batch.map(({ table, from, to }, i) => {
    const plain = table.columns.filter((column) => column.generated === 'no')
    const stored = table.columns.filter((column) => column.generated === 'stored')
    const generated = stored.length && depth === 'content' ? sumOfHashes(rowText(stored)) : 'NULL'
    const hash = depth === 'content' ? sumOfHashes(rowText(plain)) : 'NULL'
    return `SELECT ${i} AS i, pg_catalog.count(*)::pg_catalog.text AS rows, ${hash} AS hash, ${generated} AS generated FROM ONLY ${quoteName(table.schema)}.${quoteName(table.name)} ${table.condition ?? ''} ${blockRange(from, to)}`
  })
  let rows: { i: number; rows: string; hash: string | null; generated: string | null }[]
  try {
    rows = await session.query(selects.join(' UNION ALL '))
  } catch (error) {
    // class 42: something that the planner looked up (an index's function, say) is not to be found
    if (!isServerError(error) || !/^(42|3F)/.test(error.code) || error.code === '42501') throw error
    if (inTransaction) await session.query('ROLLBACK TO SAVEPOINT measure')
    const [first, ...others] = batch
    if (others.length) {
      const singles: TablePrint[] = []
      for (const part of batch) {
        await options.before?.([part.table]) // its lock went with the savepoint
        singles.push(...(await measureBatch(session, [part], options)))
      }
      return singles
    }
    throw new UserError(
      'table-unreadable',
      `${first ? tableName(first.table) : 'A table'} cannot be read with an empty search_path: ${error.message}.`,
      'An index, a check or a generated column of it calls a function that names something without its schema; a dump of it would not restore. Mend the function: ALTER FUNCTION … SET search_path = …',
      { cause: error },
    )
  }
  return rows.map((row) => {
    const { table } = batch[row.i] as Part
    return {
      table: tableName(table),
      rows: Number(row.rows),
      ...(row.hash === null ? {} : { hash: row.hash }),
      bytes: table.bytes,
      ...(row.generated === null ? {} : { generated: row.generated }),
      ...(table.comparedAt === undefined ? {} : { comparedAt: table.comparedAt }),
    }
  })
}

/**
 * By tuple identifiers: the server reads these blocks only. Extension tables under a condition are
 * never read in parts.
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
        columns + part.table.columns.length > 2000)
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
