import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../../errors.ts'
import type { Held, Work } from '../../work.ts'
import { type Connection, withDatabase } from '../connection/connection.ts'
import { dropDatabase, dropRoles } from './database.ts'
import { connect, quoteName, type Session } from '../connection/session.ts'

/**
 * A session on a server, on another database than `avoided`: one that is there by custom and lets
 * this user in, or else the connection's own.
 */
export async function connectToMaintenanceDatabase(
  connection: Connection,
  avoided: string,
  work: Work,
): Promise<Session> {
  const candidates = ['postgres', 'template1', 'defaultdb', connection.database].filter(
    (name) => name !== avoided,
  )
  let first: unknown
  for (const name of candidates) {
    try {
      return await connect(withDatabase(connection, name), work)
    } catch (error) {
      if (
        !(error instanceof UserError) ||
        !['database-missing', 'login-refused'].includes(error.code)
      )
        throw error
      first ??= error
    }
  }
  throw first
}

/** Drops a database of ours from whichever other database of the server can be reached. */
export async function dropDatabaseOnServer(
  server: Connection,
  name: string,
  work: Work,
): Promise<void> {
  const session = await connectToMaintenanceDatabase(server, name, work)
  try {
    await cancelCreateDatabase(session, name)
    await dropDatabase(session, name)
  } finally {
    await session.end()
  }
}

/**
 * A CREATE DATABASE goes on for a moment when its client has gone: dropped before it is there, the
 * database would come after.
 */
async function cancelCreateDatabase(session: Session, name: string): Promise<void> {
  const making = `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND pid <> pg_catalog.pg_backend_pid() AND pg_catalog.strpos(query, $1) = 1`
  for (
    let tries = 0;
    tries < 100 &&
    (await session.query(making, [`CREATE DATABASE ${quoteName(name)} `])).length > 0;
    tries++
  )
    await sleep(50)
}

/**
 * The same when the work may have been cancelled: then by a signal of its own, and within the
 * seconds that a runner leaves. What cannot be dropped stays held, and is warned of.
 */
export async function dropHeldDatabase(
  server: Connection,
  held: Extract<Held, { kind: 'database' }>,
  work: Work,
): Promise<void> {
  try {
    await dropDatabaseOnServer(server, held.name, {
      ...work,
      signal: AbortSignal.timeout(work.signal.aborted ? 6000 : 600_000),
    })
    work.release(held)
  } catch (error) {
    work.log.warning(
      `The database "${held.name}", which this run made, could not be dropped: ${messageOf(error)}`,
    )
  }
}

/**
 * Drops roles that this run made, once its database is gone. Those that something else rests on
 * stay, and are said; what cannot be found out stays held.
 */
export async function dropHeldRoles(
  server: Connection,
  held: Extract<Held, { kind: 'roles' }>,
  work: Work,
): Promise<void> {
  try {
    const session = await connect(server, {
      ...work,
      signal: AbortSignal.timeout(work.signal.aborted ? 3000 : 60_000),
    })
    try {
      const { stay } = await dropRoles(session, held.names)
      if (stay.length)
        work.log.info(
          `Roles that this run made on the scratch server stay there, since something else rests on them: ${stay.join(', ')}`,
        )
    } finally {
      await session.end()
    }
    work.release(held)
  } catch (error) {
    work.log.warning(
      `The roles ${held.names.join(', ')}, which this run made, could not be dropped: ${messageOf(error)}`,
    )
  }
}
