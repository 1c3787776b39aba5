import { UserError } from '../../errors.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { timestampedName } from '../../postgres/server/previous-databases.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import { connect, quoteName } from '../../postgres/connection/session.ts'
import { copySchemas } from '../../postgres/tables/staging.ts'
import type { Work } from '../../work.ts'
import { compareRows } from '../../load/compare.ts'
import { measureTables, type PartSide, whyNotThere } from './side-database.ts'

/**
 * The schema of its own that each source schema's tables come into: `<schema>_restored_<UTC time>`.
 */
export function schemasFor(
  sources: readonly string[],
  there: readonly string[],
  now: Date,
): Map<string, string> {
  const names = new Map<string, string>()
  for (const source of sources) {
    if (names.has(source)) continue
    const taken = [...there, ...names.values()]
    // two long names may be the same once they are cut, and two restores may begin in one second
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
 * Brings the tables of a side database into the live one, each source schema's into a schema of its
 * own, in one transaction: nothing that is there is touched, nor even locked. What they rest on
 * (types, functions, extensions) has to be there; foreign keys, triggers, rules and policies do not
 * come along.
 */
export async function copyBeside(
  side: PartSide,
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
    throw whyNotThere(error, live.database)
  }
  if (!options.rows) return
  const into = (schema: string): string => schemas.get(schema) ?? schema
  const copies = side.leaves.map((table) => ({ ...table, schema: into(table.schema) }))
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
  const [first] = compareRows(
    expected,
    await measureTables(live, copies, side.depth, options.jobs, work),
  )
  if (!first) return
  const session = await connect(live, work)
  try {
    for (const name of names) await session.query(`DROP SCHEMA ${quoteName(name)} CASCADE`)
  } finally {
    await session.end()
  }
  throw new UserError(
    'restored-differs',
    `What came into the live database is not what the backup's fingerprint says (${first.object}: expected ${first.expected}, found ${first.found}). It was removed again, and nothing else was touched.`,
    'Look for triggers on DDL (event triggers) in the live database, and run this again.',
  )
}

/**
 * In the side database: parts the wanted tables from those that stay, and moves them; their indexes
 * and own sequences come along.
 */
async function moveInSide(
  { connection, chosen }: PartSide,
  schemas: ReadonlyMap<string, string>,
  work: Work,
): Promise<void> {
  const own = new Set(chosen.map(({ oid }) => oid))
  const session = await connect(connection, work)
  try {
    const relation = async (oid: number): Promise<string> => {
      const [row] = await session.query<{ name: string }>(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        [oid],
      )
      return row?.name ?? ''
    }
    for (const name of schemas.values()) await session.query(`CREATE SCHEMA ${quoteName(name)}`)
    for (const table of chosen) {
      const name = await relation(table.oid)
      if (table.partitionOf !== undefined && !own.has(table.partitionOf))
        await session.query(
          `ALTER TABLE ${await relation(table.partitionOf)} DETACH PARTITION ${name}`,
        )
      for (const parent of table.inherits)
        if (!own.has(parent))
          await session.query(`ALTER TABLE ${name} NO INHERIT ${await relation(parent)}`)
    }
    for (const table of chosen)
      await session.query(
        `ALTER TABLE ${await relation(table.oid)} SET SCHEMA ${quoteName(schemas.get(table.schema) as string)}`,
      )
  } finally {
    await session.end()
  }
}
