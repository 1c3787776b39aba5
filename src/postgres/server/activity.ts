import { statfs } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { statSync } from 'node:fs'
import { ofUsers } from '../fingerprint/tables.ts'
import type { Session } from '../connection/session.ts'

/**
 * Who is connected to a database, the most numerous first. Another role's application is not told
 * to a lesser role.
 */
export interface ClientCount {
  user: string
  application: string
  count: number
}

export async function listClients(session: Session, database: string): Promise<ClientCount[]> {
  return session.query<{ user: string; application: string; count: number }>(
    `SELECT coalesce(usename, '?') AS "user", coalesce(nullif(application_name, ''), 'no application name') AS application, pg_catalog.count(*)::int4 AS count
     FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_catalog.pg_backend_pid() GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`,
    [database],
  )
}

/**
 * Bytes of write-ahead log that the server has written since a position of its own; undefined where
 * it cannot be told (a standby).
 */
export async function walBytesSince(session: Session, lsn: string): Promise<number | undefined> {
  const [row] = await session.query<{ bytes: string }>(
    `SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), $1)::pg_catalog.text AS bytes WHERE NOT pg_catalog.pg_is_in_recovery()`,
    [lsn],
  )
  return row && Number(row.bytes)
}

/**
 * Free bytes where the server keeps its data: only known when that is this machine, and the role
 * may ask where.
 */
export async function freeSpace(session: Session): Promise<number | undefined> {
  const { host } = session.connection
  if (
    !host.startsWith('/') &&
    host !== 'localhost' &&
    !(isIP(host) && (host === '::1' || host.startsWith('127.')))
  )
    return undefined
  const [row] = await session.query<{ directory: string | null }>(
    `SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE') THEN pg_catalog.current_setting('data_directory') END AS directory`,
  )
  const directory = row?.directory
  // a container's or a tunnel's server has its folder elsewhere
  if (!directory) return undefined
  try {
    if (!statSync(join(directory, 'base')).isDirectory()) return undefined
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  } catch {
    return undefined // the folder is the server's user's: another may not even look into it
  }
}

/**
 * About how many rows each table has, by the server's statistics; tables of which it knows nothing
 * are left out.
 */
export async function estimateRows(session: Session): Promise<Map<string, number>> {
  const rows = await session.query<{ name: string; rows: number }>(
    `SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
       CASE WHEN c.reltuples >= 0 THEN greatest(c.reltuples::float8, 0) ELSE pg_catalog.pg_stat_get_live_tuples(c.oid)::float8 END AS rows
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE ${ofUsers} AND c.relkind = 'r' AND c.relpersistence <> 't' AND (c.reltuples >= 0 OR pg_catalog.pg_stat_get_live_tuples(c.oid) > 0)`,
  )
  return new Map(rows.map(({ name, rows }) => [name, rows]))
}
