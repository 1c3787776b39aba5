import type { Connection } from '../postgres/connection/connection.ts'
import { checkPooler } from '../postgres/connection/pooler.ts'
import { withEnglishMessages } from '../postgres/connection/session-options.ts'
import { connectToRead, type Session } from '../postgres/connection/session.ts'
import { findPrograms, type Programs } from '../postgres/programs/find-programs.ts'
import {
  checkReadable,
  type Locale,
  readLocale,
  readRoles,
  readSystemIdentifier,
  readTablespaces,
} from '../postgres/server/database.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'

/** What is known of the database and the machine before a backup starts. */
export interface PreflightResult {
  session: Session
  /** The database's connection, with messages in English where the server lets us choose. */
  database: Connection
  programs: Programs
  locale: Locale
  roles: { superuser: string; names: string[] }
  tablespaces: string[]
  /** The cluster's system identifier. */
  system?: string
  /** Size of the database on the server. */
  bytes: number
  warnings: string[]
}

/**
 * Checks everything that can be checked before a byte is read: the server, the role's rights,
 * PostgreSQL's programs and every destination. The caller ends the session that it returns.
 *
 * Throws `transaction-pooler`, `client-missing`, `no-permission`, `row-security`,
 * `table-unreadable`, and the UserErrors of the connection and of the destinations.
 */
export async function preflight(
  options: { database: Connection; destinations: readonly Storage[]; bindirs: string[] },
  work: Work,
): Promise<PreflightResult> {
  const session = await connectToRead(options.database, work)
  try {
    await checkPooler(session, work)
    const programs = await findPrograms(session.major, ['pg_dump'], options.bindirs, work)
    const { warnings } = await checkReadable(session)
    const locale = await readLocale(session)
    const roles = await readRoles(session)
    const tablespaces = await readTablespaces(session)
    const system = await readSystemIdentifier(session)
    const [size] = await session.query<{ bytes: string }>(
      'SELECT pg_catalog.pg_database_size(pg_catalog.current_database())::pg_catalog.text AS bytes',
    )
    await probeAll(options.destinations, work)
    const database = await withEnglishMessages(session, options.database)
    return {
      session,
      database,
      programs,
      locale,
      roles,
      tablespaces,
      ...(system ? { system } : {}),
      bytes: Number(size?.bytes ?? 0),
      warnings,
    }
  } catch (error) {
    await session.end()
    throw error
  }
}

/** Checks that every destination can be written, and names the folders that the backup creates. */
async function probeAll(destinations: readonly Storage[], work: Work): Promise<void> {
  const missing = await Promise.all(destinations.map(async (each) => await each.missingFolder?.()))
  await Promise.all(destinations.map((each) => each.probe({ signal: work.signal })))
  for (const folder of missing)
    if (folder !== undefined)
      work.log.info(`Creating the folder ${folder}, which does not exist yet`)
}
