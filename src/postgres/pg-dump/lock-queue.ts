import { tableName } from '../fingerprint/tables.ts'
import type { Session } from '../connection/session.ts'

/** A session that waits for a lock of this run, as the server shows it now. */
export interface BlockedSession {
  pid: number
  /** `replay` or `autovacuum`, if no client's statement waits. */
  kind?: string
  /** The text that it runs, undefined if this role may not see it. Can hold secrets: never shown. */
  query?: string
  table?: string
  mode: string
  /** Milliseconds. Undefined if the server does not report it. */
  waited?: number
  /** How many others wait behind it, directly or indirectly. */
  behind: number
}

/**
 * Number of waiters, the longest first, whose blockers are read: each `pg_blocking_pids` stops the
 * server's lock table briefly.
 */
const maxBlockerReads = 100

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
  own: number[]
}

/**
 * Returns the sessions that wait for locks held by the sessions of an `application`. Takes 0.4 ms
 * while nothing waits. For a role that may not see other sessions, and on a standby, the server
 * copies its list of locks each time (0.1 s with 100,000 locks).
 */
export async function readBlockedSessions(
  session: Session,
  application: string,
): Promise<BlockedSession[]> {
  const [quick] = await session.query<{ certain: boolean; waiting: boolean }>(`
    SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
        AND NOT pg_catalog.pg_is_in_recovery() AS certain,
      EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock') AS waiting`)
  if (quick?.certain && !quick.waiting) return []
  const rows = await session.query<Row>(waitersQuery(session.major), [application])
  const own = new Set(rows[0]?.own ?? [])
  return rows
    .filter((row) => row.blockers?.some((pid) => own.has(pid)))
    .map((row) => toBlockedSession(row, rows))
}

function waitersQuery(major: number): string {
  const waited =
    major >= 14
      ? 'extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::float8 * 1000'
      : 'NULL::float8'
  return `
    WITH own AS MATERIALIZED (
      SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = $1
    ), lock AS MATERIALIZED (
      SELECT l.pid, l.granted, l.mode, l.relation, l.database, ${waited} AS waited
      FROM pg_catalog.pg_locks l WHERE NOT l.granted OR l.mode = 'ShareUpdateExclusiveLock'
    ), waiting AS MATERIALIZED (
      -- CREATE or DROP INDEX CONCURRENTLY waits for a transaction: its table is the one it has locked
      SELECT w.pid, w.mode, w.waited, w.database, coalesce(w.relation, (
          SELECT h.relation FROM lock h JOIN pg_catalog.pg_class c ON c.oid = h.relation
          WHERE h.pid = w.pid AND h.granted AND c.relkind IN ('r', 'm', 'p') LIMIT 1)) AS relation,
        row_number() OVER (ORDER BY w.waited DESC NULLS LAST) AS place
      FROM lock w
      WHERE NOT w.granted AND w.pid NOT IN (SELECT pid FROM own) AND coalesce(w.database, 0) IN (0, (
          SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    )
    SELECT w.pid, w.mode, w.waited, w.relation::pg_catalog.text AS relation,
      n.nspname AS schema, c.relname AS name, a.backend_type AS backend, a.query,
      -- pg_blocking_pids does not know the replay process, but nothing queues in front of that
      CASE WHEN pg_catalog.pg_is_in_recovery() AND w.mode = 'AccessExclusiveLock' THEN ARRAY(
            SELECT h.pid FROM pg_catalog.pg_locks h
            WHERE h.granted AND h.relation = w.relation AND h.database = w.database)
        WHEN w.place <= ${maxBlockerReads} THEN pg_catalog.pg_blocking_pids(w.pid) END AS blockers,
      pg_catalog.pg_is_in_recovery() AS standby,
      (SELECT pg_catalog.array_agg(pid) FROM own) AS own
    FROM waiting w
      LEFT JOIN pg_catalog.pg_class c ON c.oid = w.relation
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid`
}

function toBlockedSession(row: Row, rows: readonly Row[]): BlockedSession {
  const kind = processKind(row)
  const mode = row.mode
    .replace(/Lock$/, '')
    .replace(/(?!^)(?=[A-Z])/g, ' ')
    .toUpperCase()
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

function processKind(row: Row): 'replay' | 'autovacuum' | undefined {
  // on a standby, only the replay can request an access exclusive lock
  const mayReplay = row.standby && (row.backend ?? 'startup') === 'startup'
  if (mayReplay && row.mode === 'AccessExclusiveLock') return 'replay'
  return row.backend === 'autovacuum worker' ? 'autovacuum' : undefined
}

/**
 * Counts the sessions behind `first`, directly or indirectly. A session whose blockers were not read
 * counts if it waits for the same table.
 */
function countBehind(first: Row, rows: readonly Row[]): number {
  const behind = new Set<number>([first.pid])
  for (let before = 0; before !== behind.size;) {
    before = behind.size
    for (const { pid, blockers, relation } of rows) {
      const waits = blockers
        ? blockers.some((blocker) => behind.has(blocker))
        : relation === first.relation
      if (waits) behind.add(pid)
    }
  }
  return behind.size - 1
}
