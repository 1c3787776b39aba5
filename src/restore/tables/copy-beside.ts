import { compareRows } from '../../load/compare-rows.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { connect, quoteName, type Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import { timestampedName } from '../../postgres/server/previous-databases.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import { copySchemas } from '../../postgres/tables/copy-between-databases.ts'
import type { Work } from '../../work.ts'
import { checkRestored } from '../errors.ts'
import {
  measureTables,
  type TablesSideDatabase,
  toMissingDependencyError,
} from './side-database.ts'

/**
 * Returns the schema for the copies of each source schema's tables: `<schema>_restored_<UTC time>`.
 * `existing` are the schemas of the target.
 */
export function schemasFor(
  sources: readonly string[],
  existing: readonly string[],
  now: Date,
): Map<string, string> {
  const names = new Map<string, string>()
  for (const source of sources) {
    if (names.has(source)) continue
    const taken = [...existing, ...names.values()]
    // Names can collide: long ones are cut, and two restores can start in the same second.
    for (let i = 0; ; i++) {
      const name = timestampedName(
        source,
        i === 0 ? 'restored' : `restored${i + 1}`,
        now.toISOString(),
      )
      if (taken.includes(name)) continue
      names.set(source, name)
      break
    }
  }
  return names
}

export interface CopyOptions {
  live: Connection
  programs: { server: Programs }
  encoding: string
  rows: boolean
  jobs: number
}

/**
 * Copies the tables of a side database into new schemas of the live database, in one transaction.
 * Does not change or lock existing objects. Types, functions and extensions that the tables use
 * must exist there. Foreign keys, triggers, rules and policies are not copied.
 *
 * Throws `dependency-missing` if something is missing. Throws `restored-differs`, and drops the schemas
 * again, if the copies differ from the fingerprint.
 */
export async function copyBeside(
  side: TablesSideDatabase,
  schemas: ReadonlyMap<string, string>,
  options: CopyOptions,
  work: Work,
): Promise<void> {
  const { live, programs } = options
  await moveInSide(side, schemas, work)
  const names = [...schemas.values()]
  try {
    await copySchemas(programs.server, side.connection, live, names, options.encoding, work)
  } catch (error) {
    throw toMissingDependencyError(error, live.database)
  }
  if (options.rows) await compareCopies(side, schemas, options, work)
}

async function compareCopies(
  side: TablesSideDatabase,
  schemas: ReadonlyMap<string, string>,
  { live, jobs }: CopyOptions,
  work: Work,
): Promise<void> {
  const copies = side.leaves.map((table) => ({
    ...table,
    schema: schemas.get(table.schema) ?? table.schema,
  }))
  const renamed = new Map(
    side.leaves.map((table, i) => [
      tableName(table),
      tableName(copies[i] as (typeof copies)[number]),
    ]),
  )
  const expected = side.expected.map((print) => ({
    ...print,
    table: renamed.get(print.table) ?? print.table,
  }))
  const found = await measureTables(live, copies, side.depth, jobs, work)
  const differences = compareRows(expected, found)
  if (differences.length === 0) return
  await dropSchemas(live, [...schemas.values()], work)
  checkRestored(
    'The copy in the live database',
    differences,
    'The copy was dropped, and nothing else was changed.',
    'Check the live database for event triggers, then run this again.',
  )
}

async function dropSchemas(live: Connection, names: readonly string[], work: Work): Promise<void> {
  const session = await connect(live, work)
  try {
    for (const name of names) await session.query(`DROP SCHEMA ${quoteName(name)} CASCADE`)
  } finally {
    await session.end()
  }
}

/**
 * In the side database: detaches the chosen tables from the others, and moves them into the new
 * schemas. Their indexes and own sequences move with them.
 */
async function moveInSide(
  { connection, chosen }: TablesSideDatabase,
  schemas: ReadonlyMap<string, string>,
  work: Work,
): Promise<void> {
  const own = new Set(chosen.map(({ oid }) => oid))
  const session = await connect(connection, work)
  try {
    for (const name of schemas.values()) await session.query(`CREATE SCHEMA ${quoteName(name)}`)
    for (const table of chosen) await detach(session, table, own)
    for (const table of chosen)
      await session.query(
        `ALTER TABLE ${await relationName(session, table.oid)} ` +
          `SET SCHEMA ${quoteName(schemas.get(table.schema) as string)}`,
      )
  } finally {
    await session.end()
  }
}

/** Detaches a table from the parents that are not among the chosen tables. */
async function detach(
  session: Session,
  { oid, partitionOf, inherits }: CatalogTable,
  own: ReadonlySet<number>,
): Promise<void> {
  const name = await relationName(session, oid)
  if (partitionOf !== undefined && !own.has(partitionOf))
    await session.query(
      `ALTER TABLE ${await relationName(session, partitionOf)} DETACH PARTITION ${name}`,
    )
  for (const parent of inherits)
    if (!own.has(parent))
      await session.query(`ALTER TABLE ${name} NO INHERIT ${await relationName(session, parent)}`)
}

async function relationName(session: Session, oid: number): Promise<string> {
  const [row] = await session.query<{ name: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = $1`,
    [oid],
  )
  return row?.name ?? ''
}
