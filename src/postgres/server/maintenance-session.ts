import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../../errors.ts'
import type { Held, Work } from '../../work.ts'
import { type Connection, withDatabase } from '../connection/connection.ts'
import { dropDatabase, dropRoles } from './database.ts'
import { connect, quoteName, type Session } from '../connection/session.ts'

/**
 * Connects to a database other than `avoided`: the first default database that exists and admits
 * this user, or else the connection's own. Throws the first refusal if none does.
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

/** Drops a database of this run, connected to another database of the server. */
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
 * Ends a running CREATE DATABASE of this name. It goes on for a moment after its client is gone, so
 * a DROP DATABASE before its end would be too early.
 */
async function cancelCreateDatabase(session: Session, name: string): Promise<void> {
  const terminate = `
    SELECT pg_catalog.pg_terminate_backend(pid)
    FROM pg_catalog.pg_stat_activity
    WHERE state = 'active' AND pid <> pg_catalog.pg_backend_pid()
      AND pg_catalog.strpos(query, $1) = 1`
  for (
    let tries = 0;
    tries < 100 &&
    (await session.query(terminate, [`CREATE DATABASE ${quoteName(name)} `])).length > 0;
    tries++
  )
    await sleep(50)
}

/**
 * Returns the work with a signal for dropping what it created: ten minutes, or after a cancel six
 * seconds, because a runner kills a cancelled job after ten.
 */
export function workForCleanUp(work: Work): Work {
  return { ...work, signal: AbortSignal.timeout(work.signal.aborted ? 6000 : 600_000) }
}

/**
 * Drops a held database and releases it, also after the work was cancelled. If that fails, it warns
 * and the database stays held.
 */
export async function dropHeldDatabase(
  server: Connection,
  held: Extract<Held, { kind: 'database' }>,
  work: Work,
): Promise<void> {
  try {
    await dropDatabaseOnServer(server, held.name, workForCleanUp(work))
    work.release(held)
  } catch (error) {
    work.log.warning(
      `Could not drop the database "${held.name}", which this run created: ${messageOf(error)}`,
    )
  }
}

/**
 * Drops the roles that this run created, after its database. Roles that other objects depend on
 * stay, which it logs. If the server cannot be asked, it warns and the roles stay held.
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
          `Kept roles that this run created on the scratch server, because other objects depend on ` +
            `them: ${stay.join(', ')}`,
        )
    } finally {
      await session.end()
    }
    work.release(held)
  } catch (error) {
    work.log.warning(
      `Could not drop the roles ${held.names.join(', ')}, which this run created: ${messageOf(error)}`,
    )
  }
}
