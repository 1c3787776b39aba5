import { quoteName, type Session } from '../connection/session.ts'

/**
 * A table whose rows a dump of this database holds: an ordinary table, a leaf of a partition tree,
 * or the configuration table of an extension.
 */
export interface Table {
  oid: number
  schema: string
  name: string
  columns: Column[]
  /** Size on the server with TOAST and without indexes, bytes. */
  bytes: number
  /** Blocks of its main file, if it is a large heap that can be read in ranges (14 and newer). */
  blocks?: number
  /**
   * `schema.name` of the topmost hash-partitioned ancestor: compare the sum of all leaves under it.
   * A restore can put rows into another leaf, because an enum value's hash is that of its oid.
   */
  comparedAt?: string
  /** `schema.name` of the partition tree's root, if this is a leaf. */
  partOf?: string
  /** An unlogged table on a standby: its rows cannot be read there, and pg_dump stores none. */
  unreadable?: boolean
  /** The WHERE clause of an extension's configuration table, possibly empty: pg_dump applies it. */
  condition?: string
}

export interface Column {
  name: string
  number: number
  /** The type's name with modifiers, as `format_type` writes it. */
  type: string
  /** Oid of the type, domains resolved. */
  base: number
  /** Computed from other columns. A restore recomputes stored ones; virtual ones hold nothing. */
  generated: 'no' | 'stored' | 'virtual'
}

/** Larger tables (bytes) have queries of their own, and several readers where possible. */
export const splitThreshold = 64 * 1024 * 1024

/** SQL condition on `n` (pg_namespace): true for the schemas that a dump holds. */
export const inUserSchema = `n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`

/** A row of `tablesQuery`. */
interface TableRow {
  oid: number
  schema: string
  name: string
  bytes: string
  blocks: number | null
  compared_at: string | null
  part_of: string | null
  unreadable: boolean
  condition: string | null
  columns: [name: string, number: number, type: string, base: number, generated: string][] | null
}

/**
 * `based`: types with domains resolved. `climb`: each leaf of a partition tree with its ancestors,
 * and the topmost hash-partitioned one so far (`hashed`). `extension`: members of extensions, with
 * the condition of configuration tables.
 */
const tablesQuery = `
  WITH RECURSIVE based(oid, base) AS (
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype <> 'd'
    UNION ALL
    SELECT d.oid, b.base
    FROM pg_catalog.pg_type d JOIN based b ON d.typtype = 'd' AND d.typbasetype = b.oid
  ), climb(leaf, node, hashed) AS (
    SELECT c.oid, c.oid, NULL::oid
    FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND c.relispartition
    UNION ALL
    SELECT k.leaf, i.inhparent, CASE WHEN p.partstrat = 'h' THEN i.inhparent ELSE k.hashed END
    FROM climb k JOIN pg_catalog.pg_inherits i ON i.inhrelid = k.node
      JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
  ), hashed(leaf, root) AS (
    SELECT DISTINCT ON (leaf) leaf, k.hashed FROM climb k
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.node)
      AND k.hashed IS NOT NULL
  ), rooted(leaf, root) AS (
    SELECT k.leaf, k.node FROM climb k
    WHERE k.leaf <> k.node
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.node)
  ), extension(oid, condition) AS (
    SELECT d.objid, (
      SELECT e.extcondition[a.n] FROM pg_catalog.generate_subscripts(e.extconfig, 1) AS a(n)
      WHERE e.extconfig[a.n] = d.objid)
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
  ), columns(relation, list) AS (
    SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attname, a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod), b.base::int8,
        a.attgenerated) ORDER BY a.attname COLLATE "C")
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
      JOIN based b ON b.oid = a.atttypid
    WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
  ), named(oid, name, parts) AS (
    SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
      pg_catalog.json_build_array(n.nspname, c.relname)::pg_catalog.text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'p'
  )
  SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
    s.bytes::pg_catalog.text AS bytes, x.condition,
    CASE WHEN s.bytes > ${splitThreshold} AND c.relam = 2
        AND pg_catalog.current_setting('server_version_num')::int4 >= 140000
      THEN (pg_catalog.pg_relation_size(c.oid)
        / pg_catalog.current_setting('block_size')::int4)::int8::float8 END AS blocks,
    c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() AS unreadable,
    compared.name AS compared_at, part.parts AS part_of, l.list AS columns
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN extension x ON x.oid = c.oid
    LEFT JOIN columns l ON l.relation = c.oid
    LEFT JOIN (hashed h JOIN named compared ON compared.oid = h.root) ON h.leaf = c.oid
    LEFT JOIN (rooted t JOIN named part ON part.oid = t.root) ON t.leaf = c.oid,
    LATERAL (
      SELECT coalesce(pg_catalog.pg_table_size(c.oid), c.relpages::int8 * 8192) AS bytes) AS s
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${inUserSchema}
    AND (x.oid IS NULL OR x.condition IS NOT NULL)
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`

/**
 * Returns every table whose rows a dump of this database holds, by schema and name in C collation.
 * Waits for exclusive locks on tables to read their size: the catalogue's figure is zero for a table
 * that was never vacuumed, and leaves TOAST out.
 */
export async function listTables(session: Session): Promise<Table[]> {
  return (await session.query<TableRow>(tablesQuery)).map(toTable)
}

function toTable(row: TableRow): Table {
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    bytes: Number(row.bytes),
    ...(row.blocks === null ? {} : { blocks: row.blocks }),
    columns: (row.columns ?? []).map(([name, number, type, base, generated]) => ({
      name,
      number,
      type,
      base,
      generated: generated === 's' ? 'stored' : generated === 'v' ? 'virtual' : 'no',
    })),
    ...(row.compared_at === null ? {} : { comparedAt: row.compared_at }),
    ...(row.part_of === null ? {} : { partOf: rootName(row.part_of) }),
    ...(row.unreadable ? { unreadable: true } : {}),
    ...(row.condition === null ? {} : { condition: row.condition }),
  }
}

/**
 * Returns `schema.name`, quoted where needed, so that two relations never have the same. Not for
 * SQL: reserved words stay unquoted.
 */
export function tableName(table: { schema: string; name: string }): string {
  return [table.schema, table.name]
    .map((part) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : quoteName(part)))
    .join('.')
}

function rootName(json: string): string {
  const [schema = '', name = ''] = JSON.parse(json) as string[]
  return tableName({ schema, name })
}
