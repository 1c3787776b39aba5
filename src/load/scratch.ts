import { type Connection, withDatabase } from '../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../postgres/connection/session-options.ts'
import { connect, type Session } from '../postgres/connection/session.ts'
import { findPrograms, type Programs } from '../postgres/programs/find-programs.ts'
import { extensionMissing, lackingExtensions } from '../postgres/programs/packages.ts'
import { startCluster } from '../postgres/server/cluster.ts'
import { createDatabase, missingRoles, pinRoles } from '../postgres/server/database.ts'
import { dropHeldDatabase, dropHeldRoles } from '../postgres/server/maintenance-session.ts'
import { newOwnName } from '../postgres/server/own-names.ts'
import { preloadSettings } from '../postgres/server/preload.ts'
import type { Manifest } from '../repository/manifest.ts'
import type { Held, Work } from '../work.ts'
import type { CopyOptions } from './options.ts'
import { serverOlder, type ServerRequirements } from './requirements.ts'

/** An empty database on a scratch server, ready for a restore. */
export interface Scratch {
  /**
   * To the database. Event triggers are off where the server allows that (17 and newer), so that a
   * login trigger of the copy does not run.
   */
  readonly connection: Connection
  /** PostgreSQL's programs of the archive's major and of the server's, which may be newer. */
  readonly programs: { archive: Programs; server: Programs }
  /** `own`: a cluster that this run started. */
  readonly server: { version: string; own: boolean }
  /** Drops the database, and the roles that were created for it, or destroys the cluster. */
  close(): Promise<void>
}

/** What a copy needs: a scratch database is created with the locale of its source. */
type CopyRequirements = ServerRequirements & {
  manifest: { source: Pick<Manifest['source'], 'locale'> }
}

/**
 * Creates an empty scratch database with the backup's locale and roles, on the given server or on a
 * cluster of its own. The caller must `close` it.
 *
 * Throws `server-older`, `extension-missing`, `client-missing`, `locale-missing`, `scratch-failed`,
 * and the UserErrors of the connection.
 */
export async function openScratch(
  backup: CopyRequirements,
  options: Pick<CopyOptions, 'scratch' | 'bindirs'>,
  work: Work,
): Promise<Scratch> {
  const { major, roles } = backup.manifest.source
  const name = newOwnName('scratch')
  if (options.scratch) return openDatabase(backup, options.scratch, name, options.bindirs, work)
  const programs = await findPrograms(
    major,
    ['postgres', 'initdb', 'pg_restore', 'pg_dump'],
    options.bindirs,
    work,
  )
  const settings = preloadSettings(
    programs.directory,
    Object.keys(backup.manifest.fingerprint.supplement.extensions),
    name,
  )
  const cluster = await startCluster(programs, { superuser: roles.superuser, settings }, work)
  try {
    const scratch = await openDatabase(
      backup,
      cluster.connection,
      name,
      [programs.directory, ...options.bindirs],
      work,
      true,
    )
    return { ...scratch, close: () => cluster.stop() }
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

async function openDatabase(
  backup: CopyRequirements,
  server: Connection,
  name: string,
  bindirs: string[],
  work: Work,
  own = false,
): Promise<Scratch> {
  const { source } = backup.manifest
  const session = await connect(server, work)
  const held = { kind: 'database', name, input: 'scratch-url' } as const
  let roles: Extract<Held, { kind: 'roles' }> | undefined
  const close = async (): Promise<void> => {
    await dropHeldDatabase(server, held, work)
    if (roles) await dropHeldRoles(server, roles, work)
  }
  try {
    await checkServer(session, backup, own)
    const programs = await findCopyPrograms(session, source.major, bindirs, work)
    const missing = own ? [] : await missingRoles(session, source.roles.names)
    if (!own) work.hold(held)
    if (missing.length) work.hold((roles = { kind: 'roles', names: missing, input: 'scratch-url' }))
    await createDatabase(session, name, source.locale)
    if (source.roles.names.length) await pinRoles(session, name, source.roles.names)
    return {
      connection: await withEventTriggersOff(session, withDatabase(server, name)),
      programs,
      server: { version: session.version, own },
      close,
    }
  } catch (error) {
    await close()
    throw error
  } finally {
    await session.end()
  }
}

/** Throws if the server cannot hold the copy: `server-older`, `extension-missing`. */
async function checkServer(
  session: Session,
  { manifest }: CopyRequirements,
  own: boolean,
): Promise<void> {
  const { source, fingerprint } = manifest
  if (session.major < source.major) throw serverOlder('scratch', session.version, source)
  const lacking = await lackingExtensions(session, Object.keys(fingerprint.supplement.extensions))
  if (lacking.length)
    throw extensionMissing(
      own ? `PostgreSQL ${session.version} on this machine` : 'The scratch server',
      lacking,
      session.major,
      own ? ' Or give a scratch-url whose image has them.' : ' The backup itself is not at fault.',
    )
}

async function findCopyPrograms(
  session: Session,
  major: number,
  bindirs: readonly string[],
  work: Work,
): Promise<Scratch['programs']> {
  const archive = await findPrograms(major, ['pg_restore', 'pg_dump'], bindirs, work)
  if (session.major === major) return { archive, server: archive }
  return { archive, server: await findPrograms(session.major, ['pg_dump'], bindirs, work) }
}
