import { quoteName, type Session } from '../connection/session.ts'

/**
 * A table whose rows a dump of this database holds: an ordinary table, a leaf of a partition tree,
 * or an extension's configuration table.
 */
export interface Table {
  oid: number
  schema: string
  name: string
  columns: Column[]
  /** Size on the server with TOAST and without indexes, bytes. */
  bytes: number
  /**
   * Blocks of its own file, where it is a large one that can be read in ranges of them (a heap,
   * PostgreSQL 14 and newer).
   */
  blocks?: number
  /**
   * Where rows may sit in another leaf after a restore (hash partitions: the hash of an enum's
   * value is its oid's), the topmost hash-partitioned ancestor, `schema.name`: compare the sum of
   * all leaves under it.
   */
  comparedAt?: string
  /** The topmost table of the partition tree that this is a leaf of, `schema.name`. */
  partOf?: string
  /**
   * An unlogged table seen from a standby: it has no rows there that anybody can read, and pg_dump
   * stores none.
   */
  unreadable?: boolean
  /**
   * For an extension's configuration table: the WHERE clause of the rows that are dumped, possibly
   * empty.
   */
  condition?: string
}

export interface Column {
  name: string
  number: number
  /** The type's name with modifiers, as `format_type` writes it. */
  type: string
  /** Oid of the type, domains resolved. */
  base: number
  /**
   * Computed from other columns: stored ones are computed anew at a restore, virtual ones hold
   * nothing.
   */
  generated: 'no' | 'stored' | 'virtual'
}

/**
 * A table above this many bytes is read by itself, and by several readers where that is possible.
 */
export const splitThreshold = 64 * 1024 * 1024

/** SQL that holds for the schemas `n` (pg_namespace) that a dump holds. */
export const inUserSchema = `n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`

/**
 * Every table that a dump of this database holds rows of, in the order of schema and name (C
 * collation). Waits for whoever holds a table exclusively, to see its size: the catalogue's own
 * figure is zero for a table that was never vacuumed, and leaves TOAST out.
 */
export async function listTables(session: Session): Promise<Table[]> {
  const rows = await session.query<{
    oid: number
    schema: string
    name: string
    bytes: string
    blocks: number | null
    compared_at: string | null
    part_of: string | null
    unreadable: boolean
    condition: string | null
    columns: [string, number, string, number, string][] | null
  }>(`
    WITH RECURSIVE based(oid, base) AS (
      SELECT t.oid, t.oid FROM pg_catalog.pg_type t WHERE t.typtype <> 'd'
      UNION ALL
      SELECT d.oid, b.base FROM pg_catalog.pg_type d JOIN based b ON d.typtype = 'd' AND d.typbasetype = b.oid
    ), climb(leaf, node, hashed) AS (
      SELECT c.oid, c.oid, NULL::oid FROM pg_catalog.pg_class c WHERE c.relkind = 'r' AND c.relispartition
      UNION ALL
      SELECT k.leaf, i.inhparent, CASE WHEN p.partstrat = 'h' THEN i.inhparent ELSE k.hashed END
      FROM climb k JOIN pg_catalog.pg_inherits i ON i.inhrelid = k.node JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
    ), hashed(leaf, root) AS (
      SELECT DISTINCT ON (leaf) leaf, k.hashed FROM climb k
      WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.node) AND k.hashed IS NOT NULL
    ), rooted(leaf, root) AS (
      SELECT k.leaf, k.node FROM climb k WHERE k.leaf <> k.node AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = k.node)
    ), extension(oid, condition) AS (
      SELECT d.objid, (SELECT e.extcondition[a.n] FROM pg_catalog.generate_subscripts(e.extconfig, 1) AS a(n) WHERE e.extconfig[a.n] = d.objid)
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
    ), columns(relation, list) AS (
      SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod), b.base::int8, a.attgenerated) ORDER BY a.attname COLLATE "C")
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN based b ON b.oid = a.atttypid
      WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
    ), named(oid, name, parts) AS (
      SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), pg_catalog.json_build_array(n.nspname, c.relname)::pg_catalog.text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'p'
    )
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, s.bytes::pg_catalog.text AS bytes, x.condition,
      CASE WHEN s.bytes > ${splitThreshold} AND c.relam = 2 AND pg_catalog.current_setting('server_version_num')::int4 >= 140000
        THEN (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int4)::int8::float8 END AS blocks,
      c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() AS unreadable,
      compared.name AS compared_at, part.parts AS part_of, l.list AS columns
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN extension x ON x.oid = c.oid
      LEFT JOIN columns l ON l.relation = c.oid
      LEFT JOIN (hashed h JOIN named compared ON compared.oid = h.root) ON h.leaf = c.oid
      LEFT JOIN (rooted t JOIN named part ON part.oid = t.root) ON t.leaf = c.oid,
      LATERAL (SELECT coalesce(pg_catalog.pg_table_size(c.oid), c.relpages::int8 * 8192) AS bytes) AS s
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${inUserSchema} AND (x.oid IS NULL OR x.condition IS NOT NULL)
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`)
  return rows.map((row) => ({
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
  }))
}

/**
 * `schema.name` as people write it, quoted where it is needed: no two relations have the same. Not
 * for SQL (reserved words stay bare).
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
