import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PassThrough } from 'node:stream'
import { messageOf, UserError } from '../errors.ts'
import { findPrograms, type Programs } from '../postgres/binaries.ts'
import { startCluster } from '../postgres/cluster.ts'
import { type Connection, withDatabase } from '../postgres/connection.ts'
import { createDatabase, createRoles, dropDatabase } from '../postgres/database.ts'
import { type Fingerprint, measureCopy } from '../postgres/fingerprint.ts'
import { type Entry, listMatviewData, load, whyStillFailed } from '../postgres/load.ts'
import { connect, type Session } from '../postgres/session.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import { checkIdentities, recipientsOf } from '../stream/encrypt.ts'
import type { Held, Work } from '../work.ts'
import { openArchive } from './archive.ts'
import { type FoundBackup, findBackup } from './catalog.ts'
import type { StoredArchive } from './manifest.ts'

/** Which backup, and where to restore it: the same for `verify` and `test-migration`. */
export interface CopyOptions {
  /** Read from the first that has the backup. */
  sources: Storage[]
  /** Which database's backups. Undefined when the storage holds one label only. */
  label?: string
  /** `latest` or an id. */
  backup: string
  /** age identities; empty for backups that are not encrypted. */
  identities: string[]
  /** An administrator's connection to a disposable server; undefined: a cluster of our own. */
  scratch?: Connection
  bindirs: string[]
}

/** Finds the backup and makes sure, before anything is fetched, that the given keys can open it. */
export async function findReadable(options: Pick<CopyOptions, 'sources' | 'label' | 'backup' | 'identities'>, work: Work): Promise<FoundBackup> {
  checkIdentities(options.identities, 'decrypt-with')
  const backup = await findBackup(options.sources, options.label, options.backup, work)
  const { encryption } = backup.manifest
  if (encryption === 'none') return backup
  const keys = `It was encrypted to ${encryption.recipients.join(', ')}.`
  if (options.identities.length === 0) throw new UserError('key-missing', `The backup ${backup.manifest.id} is encrypted, and decrypt-with is empty.`, `${keys} Give the age identity that belongs to one of them.`)
  const own = await recipientsOf(options.identities)
  if (!own.some((recipient) => encryption.recipients.includes(recipient)))
    throw new UserError('wrong-key', `No identity in decrypt-with opens the backup ${backup.manifest.id}.`, `${keys} The ${own.length === 1 ? 'identity' : 'identities'} given belong${own.length === 1 ? 's' : ''} to ${own.join(', ')}.`)
  return backup
}

/** An empty database on a scratch server, ready for a restore. */
export interface Scratch {
  /** To the database. Event triggers are off where the server lets us (17 and newer): a login trigger of the copy must not act. */
  readonly connection: Connection
  /** PostgreSQL's programs of the archive's major, and of the server's (another only if it is newer). */
  readonly programs: { archive: Programs; server: Programs }
  readonly server: { version: string; own: boolean }
  close(): Promise<void>
}

/** Opens a scratch database with the backup's locale and roles: on the given server, or on a cluster that we start and destroy. */
export async function openScratch(backup: FoundBackup, options: Pick<CopyOptions, 'scratch' | 'bindirs'>, work: Work): Promise<Scratch> {
  const { major, roles } = backup.manifest.source
  if (options.scratch) return openDatabase(backup, options.scratch, options.bindirs, work)
  const programs = await findPrograms(major, ['postgres', 'initdb', 'pg_restore', 'pg_dump'], options.bindirs, work)
  const cluster = await startCluster(programs, { superuser: roles.superuser }, work)
  try {
    const scratch = await openDatabase(backup, cluster.connection, [programs.directory, ...options.bindirs], work, true)
    return { ...scratch, close: () => cluster.stop() }
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

async function openDatabase(backup: FoundBackup, server: Connection, bindirs: string[], work: Work, own = false): Promise<Scratch> {
  const { source } = backup.manifest
  const session = await connect(server, work)
  const name = `holdfast_scratch_${randomBytes(6).toString('hex')}`
  const held: Held = { kind: 'database', name, input: 'scratch-url' }
  try {
    if (session.major < source.major) throw new UserError('server-older', `The scratch server is PostgreSQL ${session.version}, older than the backup's ${source.server}.`, `Use the same major version, for example the image postgres:${source.major}.`)
    const archive = await findPrograms(source.major, ['pg_restore', 'pg_dump'], bindirs, work)
    const programs = { archive, server: session.major === source.major ? archive : await findPrograms(session.major, ['pg_dump'], bindirs, work) }
    await createRoles(session, source.roles.names)
    if (!own) work.hold(held)
    await createDatabase(session, name, source.locale)
    return {
      connection: await quietly(session, withDatabase(server, name)),
      programs,
      server: { version: session.version, own },
      close: () => dropScratch(server, name, held, work),
    }
  } catch (error) {
    await dropScratch(server, name, held, work)
    throw error
  } finally {
    await session.end()
  }
}

/** A connection on which a copy's event triggers do not act (17 and newer, superusers only): one may fire at each login. */
export async function quietly(session: Session, connection: Connection): Promise<Connection> {
  const [user] = await session.query<{ superuser: boolean }>('SELECT rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user')
  if (session.major < 17 || !user?.superuser) return connection
  return { ...connection, settings: { ...connection.settings, PGOPTIONS: `${connection.settings['PGOPTIONS'] ?? ''} -c event_triggers=off`.trim() } }
}

/** Drops a scratch database, also when the work was cancelled: so with a signal of its own. */
async function dropScratch(server: Connection, name: string, held: Held, work: Work): Promise<void> {
  try {
    const session = await connect(server, { ...work, signal: AbortSignal.timeout(10_000) })
    try {
      await dropDatabase(session, name)
      work.release(held)
    } finally {
      await session.end()
    }
  } catch (error) {
    work.log.warning(`The scratch database "${name}" could not be dropped: ${messageOf(error)}`)
  }
}

/** The archive with schema and rows. */
export function frameOf(backup: FoundBackup): StoredArchive {
  const frame = backup.manifest.objects.find(({ kind }) => kind === 'frame')
  if (!frame) throw new UserError('manifest-damaged', `The manifest of ${backup.location} names no archive.`, 'Read the backup from another destination, or take another backup.')
  return frame
}

/**
 * Streams the backup's archive from the store into an empty database; every digest is checked at the end. What could not be loaded
 * because of the archive's order is loaded in further passes, as long as each brings more in. Gives a sentence for each thing that was let pass.
 * Throws `object-damaged`, `object-missing` and load's UserErrors.
 */
export async function restoreInto(
  backup: FoundBackup,
  identities: readonly string[],
  programs: Programs,
  connection: Connection,
  options: { tablespaces: boolean },
  work: Work,
): Promise<string[]> {
  const pass = (only?: number[]): Promise<Entry[]> =>
    withArchive(backup, identities, (archive) => load(programs, connection, archive, { ...options, ...(only ? { only } : {}) }, work), work)
  let failed = await pass()
  if (failed.length === 0) return []
  const late = failed.filter(({ what }) => what.startsWith('TABLE DATA ')).map(({ what }) => what.slice('TABLE DATA '.length))
  const matviews = await withArchive(backup, identities, (archive) => listMatviewData(programs, archive, work), work)
  while (failed.length) {
    work.log.info(`Loading once more what came before what it rests on: ${failed.map(({ what }) => what).join(', ')}`)
    const left = await pass([...new Set([...failed.map(({ id }) => id), ...matviews])])
    if (left.length >= failed.length) throw whyStillFailed(left, connection)
    failed = left
  }
  return [`Rows of ${late.join(', ')} were loaded in another pass: a CHECK of theirs reads tables that come later in the archive. Stock pg_restore stops there; run it again for these tables.`]
}

/** Opens the frame archive, gives it to `use`, and afterwards checks that what flowed was what the manifest says. */
export async function withArchive<T>(backup: FoundBackup, identities: readonly string[], use: (archive: Readable) => Promise<T>, work: Work): Promise<T> {
  const object = frameOf(backup)
  let opened: Awaited<ReturnType<typeof openArchive>>
  try {
    opened = await openArchive(backup, object, identities, work)
  } catch (error) {
    if (!(error instanceof ObjectMissing)) throw error
    throw new UserError('object-missing', `${backup.location}: ${object.name} is missing.`, 'The backup is not whole. Read it from another destination, or use another backup.', { cause: error })
  }
  const archive = new PassThrough()
  const fed = pipeline([opened.source, ...opened.stages, archive], { signal: work.signal })
  const [used, flowed] = await Promise.allSettled([use(archive).finally(() => archive.destroy()), fed])
  work.signal.throwIfAborted()
  // damage goes before what it made pg_restore say
  if (flowed.status === 'rejected' && flowed.reason instanceof UserError) throw damageOf(flowed.reason, `${backup.location}: ${object.name}`)
  if (flowed.status === 'fulfilled') opened.check()
  if (used.status === 'rejected') throw used.reason
  if (flowed.status === 'rejected') throw flowed.reason
  return used.value
}

/** What decryption found, with its place. A key that the manifest names (`findReadable` looked) and that does not open the object: its header was changed. */
function damageOf(error: UserError, where: string): UserError {
  if (error.code !== 'wrong-key' && error.code !== 'object-damaged') return error
  const how = error.code === 'wrong-key' ? 'damaged: its header does not open with the key that it was encrypted to' : error.message
  return new UserError('object-damaged', `${where}: ${how.replace(/^The encrypted object is /, '')}${how.endsWith('.') ? '' : '.'}`, 'Read the backup from another destination, or take another backup.', { cause: error })
}

/** Measures a restored copy as closely as its source was measured. */
export function measure(scratch: Pick<Scratch, 'connection' | 'programs'>, { source, fingerprint }: FoundBackup['manifest'], work: Work): Promise<Fingerprint> {
  return measureCopy(scratch.programs.server, scratch.connection, { encoding: source.locale.encoding, readers: Math.min(availableParallelism(), 8), depth: fingerprint.kind }, work)
}

/**
 * Cuts a copy's ties to the outside: foreign servers came with passwords, so that whatever runs on the copy could write to the
 * original's neighbours. Gives what was cut.
 */
export async function still(session: Session): Promise<string[]> {
  const mappings = await session.query<{ role: string; server: string; name: string }>(
    `SELECT CASE WHEN umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END AS role, pg_catalog.quote_ident(srvname) AS server, srvname AS name FROM pg_catalog.pg_user_mappings ORDER BY 2, 1`,
  )
  if (mappings.length === 0) return []
  // the copy's own event triggers may refuse it (before 17 nothing else turns them off); only a superuser may do this, and may need to
  await session.query('SET session_replication_role = replica').catch((error: { code?: string }) => {
    if (error.code !== '42501') throw error as Error
  })
  for (const { role, server } of mappings) await session.query(`DROP USER MAPPING IF EXISTS FOR ${role} SERVER ${server}`)
  await session.query('RESET session_replication_role')
  return [...new Set(mappings.map(({ name }) => `the user mappings of the foreign server ${name}`))]
}
