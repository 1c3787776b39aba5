import { inUserSchema, tableName } from '../fingerprint/tables.ts'
import type { Session } from '../connection/session.ts'

/** A table or a partitioned table, with its parents. */
export interface CatalogTable {
  oid: number
  schema: string
  name: string
  /** Whether it is partitioned: it then holds no rows itself. */
  root: boolean
  /** The oid of the table that it is a partition of. */
  partitionOf?: number
  /** Oids of the tables that it inherits from (`INHERITS`). */
  inherits: number[]
  /** The extension that it belongs to. */
  extension?: string
}

/** Returns all tables of users, sorted by schema and name. */
export async function listCatalogTables(session: Session): Promise<CatalogTable[]> {
  const rows = await session.query<{
    oid: number
    schema: string
    name: string
    root: boolean
    partition: boolean
    parents: number[] | null
    extension: string | null
  }>(`
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
      c.relkind = 'p' AS root, c.relispartition AS partition,
      (SELECT pg_catalog.array_agg(i.inhparent::int8::float8 ORDER BY i.inhseqno)
       FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) AS parents,
      (SELECT e.extname
       FROM pg_catalog.pg_depend d
       JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
       WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
         AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
         AND d.deptype = 'e') AS extension
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${inUserSchema}
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`)
  return rows.map(({ oid, schema, name, root, partition, parents, extension }) => ({
    oid,
    schema,
    name,
    root,
    ...(partition && parents?.[0] !== undefined ? { partitionOf: parents[0] } : {}),
    inherits: partition ? [] : (parents ?? []),
    ...(extension === null ? {} : { extension }),
  }))
}

/** Returns the given tables and all partitions below them, in the order of `all`. */
export function withPartitions(
  given: readonly CatalogTable[],
  all: readonly CatalogTable[],
): CatalogTable[] {
  const chosen = new Set(given.map(({ oid }) => oid))
  for (let before = -1; before !== chosen.size;) {
    before = chosen.size
    for (const { oid, partitionOf } of all)
      if (partitionOf !== undefined && chosen.has(partitionOf)) chosen.add(oid)
  }
  return all.filter(({ oid }) => chosen.has(oid))
}

/** Returns what these relations are, by `schema.name`; tables are left out. */
export async function otherRelations(
  session: Session,
  names: readonly { schema: string; name: string }[],
): Promise<Map<string, string>> {
  const rows = await session.query<{ schema: string; name: string; kind: string }>(
    `SELECT n.nspname AS schema, c.relname AS name,
       CASE c.relkind
         WHEN 'v' THEN 'a view'
         WHEN 'm' THEN 'a materialized view'
         WHEN 'S' THEN 'a sequence'
         WHEN 'f' THEN 'a foreign table'
         ELSE 'no table'
       END AS kind
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN json_to_recordset($1) AS g(schema text, name text)
       ON g.schema = n.nspname AND g.name = c.relname
     WHERE c.relkind NOT IN ('r', 'p')`,
    [JSON.stringify(names)],
  )
  return new Map(rows.map((row) => [tableName(row), row.kind]))
}
