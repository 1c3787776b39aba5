import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import type { Connection } from '../connection/connection.ts'
import { measureParts, type Part, type TablePrint } from '../fingerprint/content.ts'
import { type Table, tableName } from '../fingerprint/tables.ts'
import { findReplaced, replacedError } from '../fingerprint/replaced.ts'
import { readSequences, type SequenceValue } from '../fingerprint/sequences.ts'
import { isServerError } from '../connection/server-error.ts'
import { lockWait } from '../connection/locks.ts'
import { connectToRead, quoteName, type Session } from '../connection/session.ts'

/**
 * An exported snapshot of a database, held open for all its readers.
 *
 * A snapshot alone is not enough. Suppose a TRUNCATE, or an ALTER that rewrites a table, commits
 * after the snapshot and before a reader locks the table: then the reader finds the table empty,
 * without an error. So all readers start on the snapshot, take their locks, and wait. Then `moved`
 * compares each table's file with the one in the snapshot. If none differs, the locks keep it so.
 */
export interface Snapshot {
  readonly id: string
  /** ISO 8601, UTC, by the server's clock. */
  readonly at: string
  /** The position in the write-ahead log at the snapshot. */
  readonly lsn: string
  readonly session: Session
  /** Sequences before any pg_dump started: pg_dump reads them before it writes its first byte. */
  readonly sequences: Record<string, SequenceValue>
  /** Locks tables that are read without a pg_dump that locks them. Throws Drift. */
  lock(tables: readonly Table[]): Promise<void>
  /** Returns the names of tables that were truncated, rewritten or dropped since the snapshot. */
  moved(): Promise<string[]>
  end(): Promise<void>
}

/** A table changed between snapshot and lock, or a lock was not available: retry with a new snapshot. */
export class Drift extends Error {
  override name = 'Drift'
}

/**
 * Opens a session and exports its snapshot. Throws Drift if a sequence is locked or gone, and the
 * errors of `connect` and `Session.query`.
 */
export async function takeSnapshot(connection: Connection, work: Work): Promise<Snapshot> {
  const session = await connectToRead(connection, work)
  try {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const exported = await exportSnapshot(session)
    await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
    await session.query('SAVEPOINT sequences')
    const sequences = await readSequences(session).catch(rethrowAsDrift)
    await session.query('ROLLBACK TO SAVEPOINT sequences')
    // a pooler or a firewall can end a connection that is silent for minutes
    const ping = setInterval(() => void session.query('SELECT 1').catch(() => {}), 30_000).unref()
    return {
      ...exported,
      session,
      sequences,
      lock: (tables) => lockTables(session, tables),
      moved: () => movedTables(session),
      end: () => {
        clearInterval(ping)
        return session.end()
      },
    }
  } catch (error) {
    await session.end()
    throw error
  }
}

async function exportSnapshot(session: Session): Promise<Pick<Snapshot, 'id' | 'at' | 'lsn'>> {
  const [row] = await session.query<{ id: string; at: string; lsn: string }>(`
    SELECT pg_catalog.pg_export_snapshot() AS id,
      pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
      (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
        ELSE pg_catalog.pg_current_wal_lsn() END)::pg_catalog.text AS lsn`)
  if (!row) throw new Error('pg_export_snapshot returned no row')
  return row
}

/**
 * Returns the tables whose `relfilenode` in the snapshot is not their file of now. Only ordinary
 * tables hold rows that a dump reads.
 */
async function movedTables(session: Session, oids?: number[]): Promise<string[]> {
  const rows = await session.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relfilenode <> 0
       AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'
       AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)
       ${oids ? 'AND c.oid = ANY ($1)' : ''}
     ORDER BY 1, 2`,
    oids ? [oids] : [],
  )
  return rows.map(tableName)
}

/** A session that reads some tables on the snapshot. */
export interface Reader {
  readonly session: Session
  /**
   * Measures its tables. Calls `onRead` with the bytes of each query. Throws Drift if one of the
   * tables moved.
   */
  measure(onRead: (bytes: number) => void): Promise<TablePrint[]>
  end(): Promise<void>
}

/** Tables per LOCK statement. */
const tablesPerLock = 500

/**
 * Opens a session on the snapshot. With `lockFirst`, locks all its tables before it returns, so that
 * none can move. Without (more tables than the server's lock table should hold), it locks some fifty
 * at a time before it reads them, and checks each time that they have not moved.
 */
export async function openReader(
  snapshot: Snapshot,
  parts: readonly Part[],
  options: { lockFirst: boolean; depth: 'content' | 'counts' },
  work: Work,
): Promise<Reader> {
  const { lockFirst, depth } = options
  const session = await connectToRead(snapshot.session.connection, work)
  try {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await importSnapshot(session, snapshot)
    await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
    const tables = lockFirst ? [...new Set(parts.map(({ table }) => table))] : []
    for (let at = 0; at < tables.length; at += tablesPerLock)
      await lockTables(session, tables.slice(at, at + tablesPerLock))
    const before = (batch: readonly Table[]): Promise<void> =>
      // a lock on a table does not stop a rename of its schema
      lockFirst ? checkNames(session, batch) : lockUnmoved(session, batch)
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

async function importSnapshot(session: Session, snapshot: Snapshot): Promise<void> {
  try {
    await session.query(`SET TRANSACTION SNAPSHOT '${snapshot.id}'`)
  } catch (error) {
    // undefined_object (17 and newer) or invalid_parameter_value: the session that exported the
    // snapshot is gone, and knows why
    if (!isServerError(error, '42704', '22023')) throw error
    throw await Promise.race<Error>([
      snapshot.session.lost,
      snapshot.session.query('SELECT 1').then(() => error),
    ])
  }
}

async function lockUnmoved(session: Session, tables: readonly Table[]): Promise<void> {
  await lockTables(session, tables)
  const oids = tables.map(({ oid }) => oid)
  const moved = await movedTables(session, oids)
  if (moved.length) throw new Drift(`${moved.join(', ')} moved while the fingerprint was taken`)
}

async function lockTables(session: Session, tables: readonly Table[]): Promise<void> {
  if (tables.length === 0) return
  const names = tables.map(({ schema, name }) => `ONLY ${quoteName(schema)}.${quoteName(name)}`)
  try {
    await session.query(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`)
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
  await checkNames(session, tables)
}

/**
 * Throws Drift if a name stands for another object than the table that was listed. A backend learns
 * what others renamed when it takes a lock that it does not hold yet, so this takes one first.
 */
async function checkNames(session: Session, tables: readonly Table[]): Promise<void> {
  await session.query(
    `SAVEPOINT names; SELECT FROM pg_catalog.pg_conversion LIMIT 0; ROLLBACK TO SAVEPOINT names;
     RELEASE SAVEPOINT names`,
  )
  const replaced = await findReplaced(
    session,
    tables,
    ({ schema, name }) => `${quoteName(schema)}.${quoteName(name)}`,
  )
  if (replaced.length > 0) throw new Drift(replacedError(replaced.map(tableName)).message)
}

/**
 * Throws a Drift if the error says that a table or its lock was not available
 * (lock_not_available, undefined_table, undefined_column, invalid_schema_name) or was replaced, or
 * else the error itself.
 */
export function rethrowAsDrift(error: unknown): never {
  if (isServerError(error, '55P03', '42P01', '42703', '3F000')) throw new Drift(error.message)
  if (error instanceof UserError && error.code === 'relation-replaced')
    throw new Drift(error.message)
  throw error
}
