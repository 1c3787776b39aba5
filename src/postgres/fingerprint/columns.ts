import { sumOfHashes } from './content.ts'
import { type Column, listTables, type Table, tableName } from './tables.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** The content of one column, comparable after a change of its type. */
export interface ColumnState {
  name: string
  type: string
  kind: 'number' | 'text' | 'other'
  /** Rows in which it is not NULL. */
  values: number
  /** Hash of the column's text over all rows. */
  hash: string
  /** Bytes of that text. */
  bytes: number
  /** For numbers: the sum, decimal, and a hash that does not depend on how the type prints them. */
  total?: string
  exact?: string
}

/** The content of one table, column by column. */
export interface TableState {
  oid: number
  table: string
  /** For a leaf: the root of its partition tree. */
  partOf?: string
  rows: number
  /** Size on disk with indexes and TOAST, bytes. */
  bytes: number
  /** The number of its file, which changes when the table is rewritten. */
  file: number
  /** By column number, which a rename does not change. */
  columns: Map<number, ColumnState>
}

const numbers = new Set([20, 21, 23, 700, 701, 1700])
const texts = new Set([25, 1042, 1043])
/** char(n): its padding is not part of the value. */
const padded = 1042
/** A query returns at most 1,664 columns; each measured column needs up to five. */
const columnsPerQuery = 300

/**
 * Measures every table column by column, by table oid. Costs more than a fingerprint, but shows what
 * changed. The database must have no other writers.
 */
export async function readStates(session: Session): Promise<Map<number, TableState>> {
  const states = new Map<number, TableState>()
  for (const table of await listTables(session))
    states.set(table.oid, await readState(session, table))
  return states
}

async function readState(session: Session, table: Table): Promise<TableState> {
  const from = `FROM ONLY ${quoteName(table.schema)}.${quoteName(table.name)}`
  const [size] = await session.query<{ rows: string; bytes: string; file: string }>(
    `SELECT (SELECT pg_catalog.count(*) ${from})::pg_catalog.text AS rows,
       pg_catalog.pg_total_relation_size($1::pg_catalog.oid)::pg_catalog.text AS bytes,
       pg_catalog.pg_relation_filenode($1::pg_catalog.oid)::pg_catalog.text AS file`,
    [table.oid],
  )
  const columns = new Map<number, ColumnState>()
  const stored = table.columns.filter((column) => column.generated !== 'virtual')
  for (let at = 0; at < stored.length; at += columnsPerQuery) {
    const some = stored.slice(at, at + columnsPerQuery)
    const [row] = await session.query<Record<string, string>>(
      `SELECT ${some.map(measuresOf).join(', ')} ${from}`,
    )
    for (const [i, { name, number, type, base }] of some.entries()) {
      const kind = numbers.has(base) ? 'number' : texts.has(base) ? 'text' : 'other'
      const [total, exact] = [row?.[`t${i}`], row?.[`x${i}`]]
      columns.set(number, {
        name,
        type,
        kind,
        values: Number(row?.[`v${i}`]),
        hash: row?.[`h${i}`] ?? '',
        bytes: Number(row?.[`b${i}`]),
        ...(typeof total === 'string' && typeof exact === 'string' ? { total, exact } : {}),
      })
    }
  }
  return {
    oid: table.oid,
    table: tableName(table),
    ...(table.partOf === undefined ? {} : { partOf: table.partOf }),
    rows: Number(size?.rows),
    bytes: Number(size?.bytes),
    file: Number(size?.file),
    columns,
  }
}

/** Returns the select list that measures one column, with aliases that end in `i`. */
function measuresOf({ name, base }: Column, i: number): string {
  const column = quoteName(name)
  const text =
    base === padded
      ? `pg_catalog.rtrim(pg_catalog.concat(${column}))`
      : `pg_catalog.concat(${column})`
  const number = `${column}::pg_catalog.numeric`
  return [
    `pg_catalog.count(${column})::pg_catalog.text AS v${i}`,
    `${sumOfHashes(text)} AS h${i}`,
    `coalesce(pg_catalog.sum(pg_catalog.octet_length(${text})), 0)::pg_catalog.text AS b${i}`,
    ...(numbers.has(base)
      ? [
          `pg_catalog.trim_scale(pg_catalog.sum(${number}))::pg_catalog.text AS t${i}`,
          `${sumOfHashes(`pg_catalog.concat(pg_catalog.trim_scale(${number}))`)} AS x${i}`,
        ]
      : []),
  ].join(', ')
}
