import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import type { Connection } from '../connection/connection.ts'
import { measureParts, type Part, type TablePrint } from '../fingerprint/content.ts'
import { type Table, tableName } from '../fingerprint/tables.ts'
import { readSequences, type SequenceValue } from '../fingerprint/sequences.ts'
import { isServerError } from '../connection/server-error.ts'
import { connect, quoteName, type Session } from '../connection/session.ts'

/**
 * One moment of a database, held open for all who read it.
 *
 * A snapshot alone is not enough. A TRUNCATE or an ALTER that rewrites a table, committed after the
 * snapshot was taken and before a reader locked the table, leaves that reader an empty table,
 * without an error. So all readers start on the snapshot, take their locks, and wait; then `moved`
 * looks whether any table's file is another than the snapshot knows. If none is, the held locks
 * keep it so.
 */
export interface Snapshot {
  readonly id: string
  /** ISO 8601, UTC, by the server's clock. */
  readonly at: string
  /** The write-ahead log's position then. */
  readonly lsn: string
  readonly session: Session
  /**
   * Sequences as they stood before anything else was read: pg_dump reads them before it writes its
   * first byte.
   */
  readonly sequences: Record<string, SequenceValue>
  /** Locks tables that no pg_dump locks although it reads them. */
  lock(tables: readonly Table[]): Promise<void>
  /** Tables that were truncated, rewritten or dropped since the snapshot, by name. */
  moved(): Promise<string[]>
  end(): Promise<void>
}

/**
 * Below deadlock_timeout: whoever waits behind a lock of ours gets ahead before the server looks
 * for deadlocks. Milliseconds.
 */
export const lockWait = 700

/**
 * Something moved between the snapshot and the locks, or a lock could not be had: let go of all and
 * start over.
 */
export class Drift extends Error {
  override name = 'Drift'
}

export async function takeSnapshot(connection: Connection, work: Work): Promise<Snapshot> {
  const session = await connect(connection, work)
  try {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const [row] = await session.query<{ id: string; at: string; lsn: string }>(`
      SELECT pg_catalog.pg_export_snapshot() AS id, pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
        (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END)::pg_catalog.text AS lsn`)
    if (!row) throw new Error('pg_export_snapshot gave no row')
    await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
    await session.query('SAVEPOINT sequences')
    const sequences = await readSequences(session).catch(rethrowAsDrift)
    await session.query('ROLLBACK TO SAVEPOINT sequences')
    // a pooler or a firewall on the way may end what says nothing for minutes
    const ping = setInterval(() => void session.query('SELECT 1').catch(() => {}), 30_000).unref()
    const end = (): Promise<void> => {
      clearInterval(ping)
      return session.end()
    }
    return {
      ...row,
      session,
      sequences,
      lock: (tables) => lock(session, tables),
      moved: () => movedTables(session),
      end,
    }
  } catch (error) {
    await session.end()
    throw error
  }
}

/**
 * `relfilenode` as the snapshot sees it against the file that is there now; only ordinary tables
 * hold rows that a dump reads.
 */
async function movedTables(session: Session, oids?: number[]): Promise<string[]> {
  const rows = await session.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relfilenode <> 0 AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'
       AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid) ${oids ? 'AND c.oid = ANY ($1)' : ''}
     ORDER BY 1, 2`,
    oids ? [oids] : [],
  )
  return rows.map(tableName)
}

/** A session that reads some tables under the snapshot. */
export interface Reader {
  readonly session: Session
  /**
   * Measures its tables; `onRead` is told how many bytes of them it went through. Throws Drift if
   * one of them moved.
   */
  measure(onRead: (bytes: number) => void): Promise<TablePrint[]>
  end(): Promise<void>
}

/**
 * Opens a session on the snapshot. With `lockFirst`, it locks its tables before it settles, so that
 * nothing can move them until it ends; otherwise (more tables than the server's lock table is to
 * hold) it locks some fifty at a time when it comes to them, and looks each time whether they
 * moved.
 */
export async function openReader(
  snapshot: Snapshot,
  parts: readonly Part[],
  options: { lockFirst: boolean; depth: 'content' | 'counts' },
  work: Work,
): Promise<Reader> {
  const { lockFirst, depth } = options
  const tables = [...new Set(parts.map(({ table }) => table))]
  const session = await connect(snapshot.session.connection, work)
  try {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    // undefined_object on 17 and newer, invalid_parameter_value before: whoever holds the snapshot
    // is gone, and that session knows why
    await session
      .query(`SET TRANSACTION SNAPSHOT '${snapshot.id}'`)
      .catch(async (error: unknown) => {
        if (!isServerError(error, '42704', '22023')) throw error
        throw await Promise.race<Error>([
          snapshot.session.lost,
          snapshot.session.query('SELECT 1').then(() => error),
        ])
      })
    await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
    if (lockFirst)
      for (let at = 0; at < tables.length; at += 500)
        await lock(session, tables.slice(at, at + 500))
    const before = async (batch: readonly Table[]): Promise<void> => {
      if (lockFirst) return
      await lock(session, batch)
      const moved = await movedTables(
        session,
        batch.map(({ oid }) => oid),
      )
      if (moved.length) throw new Drift(`${moved.join(', ')} moved while the fingerprint was taken`)
    }
    return {
      session,
      measure: (onRead) =>
        measureParts(session, parts, { inTransaction: true, depth, before, onRead }),
      end: () => session.end(),
    }
  } catch (error) {
    await session.end()
    throw error
  }
}

async function lock(session: Session, tables: readonly Table[]): Promise<void> {
  if (tables.length === 0) return
  try {
    await session.query(
      `LOCK TABLE ${tables.map(({ schema, name }) => `ONLY ${quoteName(schema)}.${quoteName(name)}`).join(', ')} IN ACCESS SHARE MODE`,
    )
  } catch (error) {
    if (isServerError(error, '42501'))
      throw new UserError(
        'no-permission',
        `"${session.connection.user}" may not read every table: ${error.message}.`,
        `Run on the server: GRANT pg_read_all_data TO ${quoteName(session.connection.user)};`,
        { cause: error },
      )
    rethrowAsDrift(error)
  }
}

/**
 * Rethrows, as Drift where somebody works on what was to be read: lock_not_available,
 * undefined_table, undefined_column, invalid_schema_name.
 */
export function rethrowAsDrift(error: unknown): never {
  if (isServerError(error, '55P03', '42P01', '42703', '3F000')) throw new Drift(error.message)
  throw error
}
