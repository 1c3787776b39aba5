import { type Table, tableName } from '../fingerprint/tables.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** One pg_dump archive of a backup: what it holds, and how large that is on the server. */
export interface Archive {
  kind: 'base' | 'rows' | 'large-objects'
  /** In the backup's folder, for example `rows/01.dump`. */
  name: string
  /** Those whose rows it holds. */
  tables: Table[]
  /** Rough size of what is read for it, bytes. */
  bytes: number
  /** What tells pg_dump to write just that. */
  arguments: string[]
}

export interface ArchivePlanOptions {
  /** Tables of this many bytes and more leave the base archive. */
  largeTable: number
  /** All archives together, at least 1. */
  archives: number
  encoding: string
}

/** The most archives of one backup: each is a connection, and a reading of the whole catalogue. */
export const maxArchives = 16
/**
 * The most tables outside the base archive, the largest ones: pg_dump looks through the catalogue
 * once for each that it is told of.
 */
const maxTables = 256

/**
 * Deals a database out to archives: the *base archive* has the schema, sequences and the rows of
 * all small tables; large tables leave it for archives of their own, packed by size where there are
 * more of them than archives; large objects have one of theirs.
 *
 * A database without large tables and large objects has the base archive alone. So has one that may
 * have one archive only.
 */
export async function planArchives(
  session: Session,
  tables: readonly Table[],
  options: ArchivePlanOptions,
): Promise<Archive[]> {
  const objects = await largeObjectBytes(session)
  const apart = objects !== undefined && options.archives > 1
  const bins = Math.min(options.archives, maxArchives) - 1 - (apart ? 1 : 0)
  const large = tables
    .filter((table) => table.bytes >= options.largeTable && mayLeave(table, options.encoding))
    .sort((a, b) => b.bytes - a.bytes)
  const leaving = bins > 0 ? large.slice(0, maxTables) : []
  const left = new Set(leaving)
  const staying = tables.filter((table) => !left.has(table))
  const packs = pack(leaving, bins)
  const rows = packs.map((pack, i): Archive => ({
    kind: 'rows',
    name: `rows/${String(i + 1).padStart(2, '0')}.dump`,
    tables: pack,
    bytes: sizeOf(pack),
    // the sequences that a table owns come with it, whatever is excluded (seen on 15 to 18): a
    // restore sets the base archive's values last
    arguments: ['--data-only', ...pack.map((table) => `--table=${pattern(table)}`)],
  }))
  const base: Archive = {
    kind: 'base',
    name: 'base.dump',
    tables: staying,
    bytes: sizeOf(staying) + (apart ? 0 : (objects ?? 0)),
    arguments: [
      ...leaving.map((table) => `--exclude-table-data=${pattern(table)}`),
      ...(apart ? ['--no-blobs'] : []),
    ],
  }
  if (!apart) return [base, ...rows]
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
 * An extension's table is dumped by its extension's rules only, and one that nobody can read here
 * (unlogged, on a standby) not at all. In SQL_ASCII nobody knows how pg_dump would read a name
 * beyond ASCII.
 */
function mayLeave(table: Table, encoding: string): boolean {
  if (table.condition !== undefined || table.unreadable) return false
  return encoding !== 'SQL_ASCII' || /^[ -~]*$/.test(table.schema + table.name)
}

/** Largest first, each into the pack that is lightest by then. */
function pack(tables: readonly Table[], bins: number): Table[][] {
  const packs = Array.from({ length: Math.min(bins, tables.length) }, () => ({
    tables: [] as Table[],
    bytes: 0,
  }))
  for (const table of tables) {
    const lightest = packs.reduce((least, one) => (one.bytes < least.bytes ? one : least))
    lightest.tables.push(table)
    lightest.bytes += table.bytes
  }
  return packs.map((one) => one.tables)
}

function sizeOf(tables: readonly Table[]): number {
  return tables.reduce((sum, { bytes }) => sum + bytes, 0)
}

/**
 * A pattern that pg_dump takes for exactly one name: within quotes nothing is special but the quote
 * itself (seen with 41 ugly names on 15 to 18).
 */
function pattern({ schema, name }: { schema: string; name: string }): string {
  return `${quoteName(schema)}.${quoteName(name)}`
}

async function largeObjectBytes(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ bytes: string | null }>(
    `SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) THEN pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') END::pg_catalog.text AS bytes`,
  )
  return row?.bytes == null ? undefined : Number(row.bytes)
}

/**
 * How many connections this backup may open beside those it has: half of what the server, the
 * database and the role have left, since the application needs some too.
 */
export async function freeConnections(session: Session): Promise<number> {
  const reserved =
    session.major >= 16 ? " - pg_catalog.current_setting('reserved_connections')::int4" : ''
  const [row] = await session.query<{ free: number }>(`
    SELECT least(
      pg_catalog.current_setting('max_connections')::int4 - pg_catalog.current_setting('superuser_reserved_connections')::int4${reserved} - count(*),
      (SELECT CASE WHEN d.datconnlimit < 0 THEN 1e6 ELSE d.datconnlimit END FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) - count(*) FILTER (WHERE a.datname = pg_catalog.current_database()),
      (SELECT CASE WHEN r.rolconnlimit < 0 THEN 1e6 ELSE r.rolconnlimit END FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) - count(*) FILTER (WHERE a.usename = current_user)
    )::int4 AS free FROM pg_catalog.pg_stat_activity a WHERE a.datid IS NOT NULL`)
  return Math.max(0, Math.floor((row?.free ?? 0) / 2))
}

/** `schema.name` of each, as in a fingerprint. */
export function namesOf(tables: readonly Table[]): string[] {
  return tables.map(tableName).sort()
}
