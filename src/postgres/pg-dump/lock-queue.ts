import { tableName } from '../fingerprint/tables.ts'
import type { Session } from '../connection/session.ts'

/** One who waits for a lock that is ours, as the server shows it at this moment. */
export interface BlockedSession {
  pid: number
  /** `replay` or `autovacuum`, where it is no statement of anybody's. */
  kind?: string
  /** The text that it runs; undefined where this role may not see it. Never to be shown. */
  query?: string
  table?: string
  mode: string
  /** Milliseconds. Undefined where the server does not tell. */
  waited?: number
  /** How many others wait behind it, directly or behind others. */
  behind: number
}

/**
 * So many waiters are asked for what blocks them, the eldest first; each of these questions stops
 * the server's lock table for a moment.
 */
const asked = 100

interface Row {
  pid: number
  mode: string
  waited: number | null
  relation: string | null
  schema: string | null
  name: string | null
  backend: string | null
  query: string | null
  blockers: number[] | null
  standby: boolean
  ours: number[]
}

/**
 * Who waits for locks of the sessions with an `application` name, and for whom. Costs next to
 * nothing while nobody waits (0.4 ms); a role that may not see what others do, and a standby, need
 * a copy of the list of locks for it each time (0.1 s where 100,000 are held).
 */
export async function readBlockedSessions(
  session: Session,
  application: string,
): Promise<BlockedSession[]> {
  const [quick] = await session.query<{ sure: boolean; waiting: boolean }>(`
    SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AND NOT pg_catalog.pg_is_in_recovery() AS sure,
      EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock') AS waiting`)
  if (quick?.sure && !quick.waiting) return []
  const since =
    session.major >= 14
      ? 'extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 * 1000'
      : 'NULL::float8'
  const rows = await session.query<Row>(
    `WITH ours AS MATERIALIZED (SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = $1),
       lock AS MATERIALIZED (SELECT l.pid, l.granted, l.mode, l.relation, l.database, ${since} AS waited FROM pg_catalog.pg_locks l WHERE NOT l.granted OR l.mode = 'ShareUpdateExclusiveLock'),
       waiting AS MATERIALIZED (
         -- who builds or drops an index concurrently waits for a transaction, not for a table: it is the one that it has locked
         SELECT w.pid, w.mode, w.waited, w.database, coalesce(w.relation, (
             SELECT h.relation FROM lock h JOIN pg_catalog.pg_class c ON c.oid = h.relation WHERE h.pid = w.pid AND h.granted AND c.relkind IN ('r', 'm', 'p') LIMIT 1)) AS relation,
           row_number() OVER (ORDER BY w.waited DESC NULLS LAST) AS place
         FROM lock w WHERE NOT w.granted AND w.pid NOT IN (SELECT pid FROM ours)
           AND coalesce(w.database, 0) IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))
     SELECT w.pid, w.mode, w.waited, w.relation::pg_catalog.text AS relation, n.nspname AS schema, c.relname AS name, a.backend_type AS backend, a.query,
       -- the replay is no backend that could be asked for; but nobody stands before it in the queue
       CASE WHEN pg_catalog.pg_is_in_recovery() AND w.mode = 'AccessExclusiveLock' THEN ARRAY(SELECT h.pid FROM pg_catalog.pg_locks h WHERE h.granted AND h.relation = w.relation AND h.database = w.database)
         WHEN w.place <= ${asked} THEN pg_catalog.pg_blocking_pids(w.pid) END AS blockers, pg_catalog.pg_is_in_recovery() AS standby, (SELECT pg_catalog.array_agg(pid) FROM ours) AS ours
     FROM waiting w LEFT JOIN pg_catalog.pg_class c ON c.oid = w.relation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid`,
    [application],
  )
  const ours = new Set(rows[0]?.ours ?? [])
  return rows
    .filter((row) => row.blockers?.some((pid) => ours.has(pid)))
    .map((row) => toBlockedSession(row, rows))
}

function toBlockedSession(row: Row, rows: readonly Row[]): BlockedSession {
  const mode = row.mode
    .replace(/Lock$/, '')
    .replace(/(?!^)(?=[A-Z])/g, ' ')
    .toUpperCase()
  // on a standby nobody but the replay can ask for a lock that excludes us
  const kind =
    row.standby && (row.backend ?? 'startup') === 'startup' && row.mode === 'AccessExclusiveLock'
      ? 'replay'
      : row.backend === 'autovacuum worker'
        ? 'autovacuum'
        : undefined
  return {
    pid: row.pid,
    mode,
    behind: countBehind(row, rows),
    ...(kind ? { kind } : {}),
    ...(row.query && row.query !== '<insufficient privilege>' ? { query: row.query } : {}),
    ...(row.schema !== null && row.name !== null
      ? { table: tableName({ schema: row.schema, name: row.name }) }
      : {}),
    ...(row.waited === null ? {} : { waited: Math.max(row.waited, 0) }),
  }
}

/**
 * All who wait for it, or for somebody who does; those who were not asked wait for it if they wait
 * for the same table.
 */
function countBehind(first: Row, rows: readonly Row[]): number {
  const behind = new Set<number>([first.pid])
  for (let before = 0; before !== behind.size;) {
    before = behind.size
    for (const { pid, blockers, relation } of rows) {
      if (blockers ? blockers.some((blocker) => behind.has(blocker)) : relation === first.relation)
        behind.add(pid)
    }
  }
  return behind.size - 1
}
