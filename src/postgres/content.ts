import { UserError } from '../errors.ts'
import { type Column, type Table, tableName } from './relations.ts'
import { quoteName, type Session } from './session.ts'

/** What a table held: its rows, and a hash of them that does not depend on their order, nor on that of its columns. */
export interface TablePrint {
  table: string
  rows: number
  /** Sum of the rows' 64-bit hashes, decimal; all columns but generated ones. Left out where rows were only counted. */
  hash?: string
  /** The same over the stored generated columns, which a restore computes anew. */
  generated?: string
  comparedAt?: string
  /** Size on the server, with TOAST and without indexes: no part of what is compared. */
  bytes: number
}

const textTypes = new Set([25, 1042, 1043])
/** Numbers, dates, bool, uuid, bytea, json: their text holds no separator of ours and is never empty, so NULL stands apart. */
const bareTypes = new Set([16, 17, 20, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802])
/** A function takes at most 100 arguments; each column needs up to four. */
const columnsPerCall = 24
/** Few enough that the locks a statement takes are few, many enough that 10,000 tables need 200 round trips. */
const tablesPerQuery = 50
/** A table above this is read by a query of its own. */
const large = 64 * 1024 * 1024

/**
 * Text of one row, so that two rows have the same text only if they have the same values: columns by name in the order of
 * bytes; text with its length before it; other types by their output function, or as a record's text where that could be
 * empty. Written by the types' output functions, never by casts, which a user may have defined anew.
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
  for (let level = calls; ; ) {
    if (level.length === 1) return level[0] as string
    const next: string[] = []
    for (let i = 0; i < level.length; i += 90) next.push(`pg_catalog.concat(${level.slice(i, i + 90).join(', ')})`)
    level = next
  }
}

/** A sum over rows of the hash of a text: numeric, so that a row that is there twice does not cancel out. */
export function sumOfHashes(text: string): string {
  return `coalesce(pg_catalog.sum(pg_catalog.hashtextextended(${text} COLLATE "C", 0)), 0)::pg_catalog.text`
}

/**
 * Measures tables by one session, small ones many to a query. `before` runs before each query, on its tables: for locks
 * and for looking whether they are still what the snapshot saw. What a query locks besides (indexes) is let go after it, if
 * the session is in a transaction.
 */
export async function measureTables(
  session: Session,
  tables: readonly Table[],
  options: { inTransaction: boolean; depth: 'content' | 'counts'; before?: (tables: readonly Table[]) => Promise<void> },
): Promise<TablePrint[]> {
  const prints: TablePrint[] = []
  for (const batch of batches(tables)) {
    if (options.inTransaction) await session.query('SAVEPOINT measure')
    await options.before?.(batch)
    prints.push(...(await measureBatch(session, batch, options)))
    if (options.inTransaction) await session.query('ROLLBACK TO SAVEPOINT measure')
  }
  return prints
}

/** What a table without rows has. */
export function emptyPrint(table: Table, depth: 'content' | 'counts'): TablePrint {
  const hashes = depth === 'counts' ? {} : { hash: '0', ...(table.columns.some((column) => column.generated === 'stored') ? { generated: '0' } : {}) }
  return { table: tableName(table), rows: 0, bytes: 0, ...hashes, ...(table.comparedAt === undefined ? {} : { comparedAt: table.comparedAt }) }
}

async function measureBatch(session: Session, batch: readonly Table[], options: { inTransaction: boolean; depth: 'content' | 'counts' }): Promise<TablePrint[]> {
  const { inTransaction, depth } = options
  const selects = batch.map((table, i) => {
    const plain = table.columns.filter((column) => column.generated === 'no')
    const stored = table.columns.filter((column) => column.generated === 'stored')
    const generated = stored.length && depth === 'content' ? sumOfHashes(rowText(stored)) : 'NULL'
    const hash = depth === 'content' ? sumOfHashes(rowText(plain)) : 'NULL'
    return `SELECT ${i} AS i, pg_catalog.count(*)::pg_catalog.text AS rows, ${hash} AS hash, ${generated} AS generated, pg_catalog.pg_table_size(${table.oid}::pg_catalog.oid)::pg_catalog.text AS bytes FROM ONLY ${quoteName(table.schema)}.${quoteName(table.name)} ${table.condition ?? ''}`
  })
  let rows: { i: number; rows: string; hash: string | null; generated: string | null; bytes: string }[]
  try {
    rows = await session.query(selects.join(' UNION ALL '))
  } catch (error) {
    // class 42: something that the planner looked up (an index's function, say) is not to be found
    const { code = '', message } = error as { code?: string; message: string }
    if (!/^(42|3F)/.test(code)) throw error
    if (inTransaction) await session.query('ROLLBACK TO SAVEPOINT measure')
    const [first, ...others] = batch
    if (others.length) {
      const singles: TablePrint[] = []
      for (const table of batch) singles.push(...(await measureBatch(session, [table], options)))
      return singles
    }
    throw new UserError(
      'table-unreadable',
      `${first ? tableName(first) : 'A table'} cannot be read with an empty search_path: ${message}.`,
      'An index, a check or a generated column of it calls a function that names something without its schema; a dump of it would not restore. Mend the function: ALTER FUNCTION … SET search_path = …',
      { cause: error },
    )
  }
  return rows.map((row) => {
    const table = batch[row.i] as Table
    return {
      table: tableName(table),
      rows: Number(row.rows),
      ...(row.hash === null ? {} : { hash: row.hash }),
      bytes: Number(row.bytes),
      ...(row.generated === null ? {} : { generated: row.generated }),
      ...(table.comparedAt === undefined ? {} : { comparedAt: table.comparedAt }),
    }
  })
}

function* batches(tables: readonly Table[]): Generator<Table[]> {
  let batch: Table[] = []
  let columns = 0
  for (const table of tables) {
    if (batch.length && (table.estimatedBytes > large || batch.length === tablesPerQuery || columns + table.columns.length > 2000)) {
      yield batch
      batch = []
      columns = 0
    }
    batch.push(table)
    columns += table.columns.length
  }
  if (batch.length) yield batch
}
