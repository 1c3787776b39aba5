/** Works on tables of a live database: locks, foreign keys, triggers, staging, partitions. */
import { UserError } from '../../errors.ts'
import { input, join, text } from '../../text.ts'
import type { Session } from '../connection/session.ts'
import { type Table, tableName } from '../fingerprint/tables.ts'
import { qualifiedName, triggerStates } from './foreign-keys.ts'

/** A live table whose rows the restore replaces. */
export interface LiveTable {
  oid: number
  /** As the backup knows it. */
  table: Table
  /** Columns that only the live table has. */
  extra: string[]
}

/**
 * Finds the live table of each name; undefined where there is none. Throws `not-a-table` if the
 * name belongs to another kind of relation, and `columns-differ` for columns that only the backup
 * has, or that are generated on one side only.
 */
export async function matchLiveTables(
  live: Session,
  tables: readonly Table[],
): Promise<(LiveTable | undefined)[]> {
  const found: (LiveTable | undefined)[] = []
  for (const table of tables) {
    const [row] = await live.query<{
      oid: number
      kind: string
      columns: [string, string][] | null
    }>(
      `SELECT c.oid::int8::float8 AS oid, c.relkind AS kind,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.attgenerated))
          FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
       FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND c.relname = $2`,
      [table.schema, table.name],
    )
    if (row && row.kind !== 'r')
      throw new UserError(
        'not-a-table',
        `${tableName(table)} is a table with rows in the backup, and another kind of relation ` +
          'in the live database.',
      )
    found.push(row && { oid: row.oid, table, extra: extraColumns(table, row.columns ?? []) })
  }
  return found
}

/** Returns the columns that only the live table has. Throws `columns-differ`. */
function extraColumns(table: Table, live: readonly [name: string, generated: string][]): string[] {
  const columns = new Map(live)
  const wrong = table.columns.filter(
    ({ name, generated }) =>
      columns.get(name) === undefined || (generated === 'no') !== (columns.get(name) === ''),
  )
  if (wrong.length) {
    const missing = wrong.filter(({ name }) => !columns.has(name)).map(({ name }) => name)
    const how = missing.length
      ? `the backup has columns that the live table lacks: ${missing.join(', ')}`
      : `columns are generated on one side only: ${wrong.map(({ name }) => name).join(', ')}`
    throw new UserError(
      'columns-differ',
      `${tableName(table)} cannot be replaced: ${how}.`,
      join(
        [
          'Add or change the columns in the live table first (ALTER TABLE).',
          text`Or leave out ${input('replace')}: the table then goes into a schema of its own.`,
          'Copy the rows from there.',
        ],
        ' ',
      ),
    )
  }
  const archived = new Set(table.columns.map(({ name }) => name))
  return [...columns.keys()].filter((name) => !archived.has(name))
}

/** Returns the partitions with rows below these tables, as `schema.name`. */
export async function listLivePartitions(
  session: Session,
  roots: readonly { schema: string; name: string }[],
): Promise<string[]> {
  const rows = await session.query<{ schema: string; name: string }>(
    `SELECT DISTINCT n.nspname AS schema, c.relname AS name
     FROM pg_catalog.unnest($1::pg_catalog.text[]) AS given(name),
       pg_catalog.pg_partition_tree(pg_catalog.to_regclass(given.name)) AS tree
     JOIN pg_catalog.pg_class c ON c.oid = tree.relid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r'
     ORDER BY 1, 2`,
    [roots.map(qualifiedName)],
  )
  return rows.map(tableName)
}

/**
 * Disables the triggers and rules that act on rows of these tables. Returns the statements that
 * enable them again, each in the state it had.
 */
export async function disableTriggersAndRules(
  session: Session,
  oids: readonly number[],
): Promise<string[]> {
  const rows = await session.query<{ table: string; name: string; what: string; state: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table,
       pg_catalog.quote_ident(x.name) AS name, x.what, x.state
     FROM (
       SELECT tgrelid AS relation, tgname AS name, 'TRIGGER' AS what, tgenabled AS state
       FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
       UNION ALL SELECT ev_class, rulename, 'RULE', ev_enabled
       FROM pg_catalog.pg_rewrite WHERE ev_type <> '1') AS x
     JOIN pg_catalog.pg_class c ON c.oid = x.relation
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::oid[]) AND x.state <> 'D'
     ORDER BY c.oid, x.name`,
    [oids],
  )
  const only = (what: string): string => (what === 'TRIGGER' ? 'ONLY ' : '')
  for (const { table, name, what } of rows)
    await session.query(`ALTER TABLE ${only(what)}${table} DISABLE ${what} ${name}`)
  return rows.map(
    ({ table, name, what, state }) =>
      `ALTER TABLE ${only(what)}${table} ${triggerStates[state] ?? 'ENABLE'} ${what} ${name}`,
  )
}

/**
 * Returns the materialized views that read these tables, directly or through other views, and the
 * publications that carry them.
 */
export async function readDependents(
  session: Session,
  oids: readonly number[],
): Promise<{ views: string[]; publications: string[] }> {
  const views = await session.query<{ name: string }>(
    `WITH RECURSIVE reads(oid) AS (
       SELECT pg_catalog.unnest($1::oid[])
       UNION SELECT r.ev_class
       FROM reads
       JOIN pg_catalog.pg_depend d
         ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         AND d.refobjid = reads.oid
         AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
       JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
     )
     SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
     FROM reads
     JOIN pg_catalog.pg_class c ON c.oid = reads.oid AND c.relkind = 'm'
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     ORDER BY 1`,
    [oids],
  )
  const publications = await session.query<{ name: string }>(
    `SELECT DISTINCT p.pubname AS name
     FROM pg_catalog.pg_publication_tables p
     JOIN pg_catalog.pg_class c ON c.relname = p.tablename
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = p.schemaname
     WHERE c.oid = ANY ($1::oid[])
     ORDER BY 1`,
    [oids],
  )
  return {
    views: views.map(({ name }) => name),
    publications: publications.map(({ name }) => name),
  }
}
