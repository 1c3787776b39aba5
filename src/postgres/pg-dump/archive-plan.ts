import { type Table, tableName } from '../fingerprint/tables.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** The plan of one pg_dump archive of a backup. */
export interface Archive {
  kind: 'base' | 'rows' | 'large-objects'
  /** Path in the backup's folder, for example `rows/01.dump`. */
  name: string
  /** The tables whose rows it holds. */
  tables: Table[]
  /** Estimated size of its content on the server, bytes. */
  bytes: number
  /** Arguments that limit pg_dump to this content. */
  arguments: string[]
}

export interface ArchivePlanOptions {
  /** Tables of at least this many bytes leave the base archive. */
  largeTable: number
  /** Maximum number of archives, at least 1. */
  archives: number
  encoding: string
}

/** Maximum number of archives: each needs a connection, and reads the whole catalogue. */
export const maxArchives = 16
/** Maximum number of tables outside the base archive: pg_dump searches the catalogue for each. */
const maxTables = 256

/**
 * Plans the archives of a backup. The *base archive* has the schema, the sequences and the rows of
 * all small tables. Large tables have archives of their own, packed by size if there are more tables
 * than archives. Large objects have one archive.
 *
 * Returns the base archive alone if there are no large tables and large objects, or if
 * `options.archives` is 1.
 */
export async function planArchives(
  session: Session,
  tables: readonly Table[],
  options: ArchivePlanOptions,
): Promise<Archive[]> {
  const objects = await largeObjectBytes(session)
  const separateObjects = objects !== undefined && options.archives > 1
  const rowArchives = Math.min(options.archives, maxArchives) - 1 - (separateObjects ? 1 : 0)
  const large = tables
    .filter((table) => table.bytes >= options.largeTable && canLeaveBase(table, options.encoding))
    .sort((a, b) => b.bytes - a.bytes)
  const leaving = rowArchives > 0 ? large.slice(0, maxTables) : []
  const staying = tables.filter((table) => !leaving.includes(table))
  const packs = pack(leaving, rowArchives)
  const rows = packs.map((pack, i): Archive => ({
    kind: 'rows',
    name: `rows/${String(i + 1).padStart(2, '0')}.dump`,
    tables: pack,
    bytes: sizeOf(pack),
    // pg_dump adds the sequences that a table owns, whatever is excluded (seen on 15 to 18): a
    // restore sets the base archive's values last
    arguments: ['--data-only', ...pack.map((table) => `--table=${pattern(table)}`)],
  }))
  const base: Archive = {
    kind: 'base',
    name: 'base.dump',
    tables: staying,
    bytes: sizeOf(staying) + (separateObjects ? 0 : (objects ?? 0)),
    arguments: [
      ...leaving.map((table) => `--exclude-table-data=${pattern(table)}`),
      ...(separateObjects ? ['--no-blobs'] : []),
    ],
  }
  if (!separateObjects) return [base, ...rows]
  const blobs: Archive = {
    kind: 'large-objects',
    name: 'large-objects.dump',
    tables: [],
    bytes: objects,
    arguments: ['--data-only', '--blobs', '--exclude-table=*.*'],
  }
  return [base, ...rows, blobs]
}

/**
 * Returns whether a table can have an archive of its own. pg_dump dumps an extension's table only by
 * the extension's rules, and an unreadable one not at all. In SQL_ASCII it is unknown how pg_dump
 * reads a name beyond ASCII.
 */
function canLeaveBase(table: Table, encoding: string): boolean {
  if (table.condition !== undefined || table.unreadable) return false
  return encoding !== 'SQL_ASCII' || /^[ -~]*$/.test(table.schema + table.name)
}

/** Puts each table (largest first) into the pack that is smallest so far. */
function pack(tables: readonly Table[], bins: number): Table[][] {
  const packs = Array.from({ length: Math.min(bins, tables.length) }, () => ({
    tables: [] as Table[],
    bytes: 0,
  }))
  for (const table of tables) {
    const lightest = packs.reduce((least, each) => (each.bytes < least.bytes ? each : least))
    lightest.tables.push(table)
    lightest.bytes += table.bytes
  }
  return packs.map((each) => each.tables)
}

function sizeOf(tables: readonly Table[]): number {
  return tables.reduce((sum, { bytes }) => sum + bytes, 0)
}

/**
 * Returns a pattern that matches exactly one name in pg_dump: in quotes, only the quote is special
 * (seen with 41 unusual names on 15 to 18).
 */
function pattern({ schema, name }: { schema: string; name: string }): string {
  return `${quoteName(schema)}.${quoteName(name)}`
}

/** Returns the size of all large objects in bytes; undefined if there are none. */
async function largeObjectBytes(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ bytes: string | null }>(
    `SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
       THEN pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') END::pg_catalog.text AS bytes`,
  )
  return row?.bytes == null ? undefined : Number(row.bytes)
}

/**
 * Returns how many more connections a backup may open: half of what the server, the database and
 * the role have left. The other half is for the application.
 */
export async function freeConnections(session: Session): Promise<number> {
  const reserved =
    session.major >= 16 ? "- pg_catalog.current_setting('reserved_connections')::int4" : ''
  const [row] = await session.query<{ free: number }>(`
    SELECT least(
      pg_catalog.current_setting('max_connections')::int4
        - pg_catalog.current_setting('superuser_reserved_connections')::int4 ${reserved} - count(*),
      (SELECT CASE WHEN d.datconnlimit < 0 THEN 1e6 ELSE d.datconnlimit END
          FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
        - count(*) FILTER (WHERE a.datname = pg_catalog.current_database()),
      (SELECT CASE WHEN r.rolconnlimit < 0 THEN 1e6 ELSE r.rolconnlimit END
          FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
        - count(*) FILTER (WHERE a.usename = current_user)
    )::int4 AS free
    FROM pg_catalog.pg_stat_activity a WHERE a.datid IS NOT NULL`)
  return Math.max(0, Math.floor((row?.free ?? 0) / 2))
}

/** Returns `schema.name` of each table as in a fingerprint, sorted. */
export function namesOf(tables: readonly Table[]): string[] {
  return tables.map(tableName).sort()
}
