import { statfs } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { statSync } from 'node:fs'
import { inUserSchema } from '../fingerprint/tables.ts'
import type { Session } from '../connection/session.ts'

/**
 * The sessions of one user and application. The server hides another role's application from a role
 * without pg_read_all_stats.
 */
export interface ClientCount {
  user: string
  application: string
  count: number
}

/** Counts the client sessions of a database, the largest count first. */
export async function listClients(session: Session, database: string): Promise<ClientCount[]> {
  return session.query<{ user: string; application: string; count: number }>(
    `SELECT coalesce(usename, '?') AS "user",
       coalesce(nullif(application_name, ''), 'no application name') AS application,
       pg_catalog.count(*)::int4 AS count
     FROM pg_catalog.pg_stat_activity
     WHERE datname = $1
       AND coalesce(backend_type, 'client backend') = 'client backend'
       AND pid <> pg_catalog.pg_backend_pid()
     GROUP BY 1, 2
     ORDER BY 3 DESC, 1, 2`,
    [database],
  )
}

/**
 * Returns the bytes of write-ahead log that the server wrote since a position (an LSN); undefined on
 * a standby.
 */
export async function walBytesSince(session: Session, lsn: string): Promise<number | undefined> {
  const [row] = await session.query<{ bytes: string }>(
    `SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), $1)
       ::pg_catalog.text AS bytes
     WHERE NOT pg_catalog.pg_is_in_recovery()`,
    [lsn],
  )
  return row && Number(row.bytes)
}

/**
 * Returns the free bytes of the server's data directory; undefined unless the server runs on this
 * machine and the role may read its settings.
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
    `SELECT CASE
       WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
       THEN pg_catalog.current_setting('data_directory')
     END AS directory`,
  )
  const directory = row?.directory
  // the folder of a server in a container or behind a tunnel is not on this machine
  if (!directory) return undefined
  try {
    if (!statSync(join(directory, 'base')).isDirectory()) return undefined
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  } catch {
    return undefined // only the server's user may read the folder
  }
}

/**
 * Returns an estimate of each table's rows from the server's statistics, by quoted `schema.name`.
 * Leaves out tables without statistics.
 */
export async function estimateRows(session: Session): Promise<Map<string, number>> {
  const rows = await session.query<{ name: string; rows: number }>(
    `SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
       CASE
         WHEN c.reltuples >= 0 THEN greatest(c.reltuples::float8, 0)
         ELSE pg_catalog.pg_stat_get_live_tuples(c.oid)::float8
       END AS rows
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE ${inUserSchema} AND c.relkind = 'r' AND c.relpersistence <> 't'
       AND (c.reltuples >= 0 OR pg_catalog.pg_stat_get_live_tuples(c.oid) > 0)`,
  )
  return new Map(rows.map(({ name, rows }) => [name, rows]))
}
