import { availableParallelism } from 'node:os'
import { messageOf, UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { findPrograms, type Programs } from '../postgres/binaries.ts'
import type { TablePrint } from '../postgres/content.ts'
import { checkReadable, type Locale, readLocale, readRoles, readTablespaces } from '../postgres/database.ts'
import { type Fingerprint, inOrder } from '../postgres/fingerprint.ts'
import { checkPooler } from '../postgres/pooler.ts'
import { readSequences } from '../postgres/sequences.ts'
import type { SchemaPrint } from '../postgres/schema.ts'
import { connect, type Session } from '../postgres/session.ts'
import { Drift } from '../postgres/snapshot.ts'
import type { Storage } from '../storage/storage.ts'
import { checkRecipients } from '../stream/encrypt.ts'
import type { Held, Work } from '../work.ts'
import { storeArchive, storeText } from './archive.ts'
import { folderOf, locationOf, newId } from './catalog.ts'
import { holdStill, type Moment } from './moment.ts'
import { assertManifest, type Manifest, writeManifest } from './manifest.ts'
import { recipe } from './recipe.ts'
import { prune, removeBackup } from './retention.ts'

export interface BackupOptions {
  database: Connection
  /** Written to all of them. At least one. */
  destinations: Storage[]
  /** Default: the database's name. */
  label?: string
  /** age recipients (`age1…`), or 'none' for a backup that is not encrypted. */
  recipients: string[] | 'none'
  /** Keep the newest N backups of this label; undefined keeps all. At least 1. */
  keep?: number
  /** Folders to look in first for PostgreSQL's programs. */
  bindirs: string[]
  /** Where this run can be seen, for the manifest. */
  runUrl?: string
}

export interface BackupResult {
  id: string
  label: string
  database: string
  /** For example `17.11`. */
  server: string
  /** When the snapshot was taken (ISO 8601, UTC): the backup holds all that was committed before. */
  snapshotAt: string
  /** One a destination: its URL as typed, and the backup's own place there. */
  locations: { url: string; location: string }[]
  objects: { name: string; bytes: number }[]
  /** Stored bytes, all objects, one destination. */
  bytes: number
  rows: number
  tables: number
  /** The largest tables, by their size on the server: at most 10. */
  largest: { table: string; rows: number; bytes: number }[]
  /** Size of the database on the server, bytes. */
  databaseBytes: number
  recipients: string[] | 'none'
  /** 1 when the first snapshot held; more when tables moved while it was taken. */
  attempts: number
  /** Milliseconds. The fingerprint runs beside the dump. */
  timings: { dump: number; fingerprint: number; total: number }
  /** Ids that retention removed, by destination. */
  removed: { url: string; ids: string[] }[]
  warnings: string[]
}

/**
 * Makes a backup: looks whether it can be made at all; holds one moment of the database still; streams the dump to every
 * destination while the same moment is measured; writes the manifest, and with that the backup exists; then, and only then, removes
 * what retention lets go. Whatever fails before the manifest leaves nothing behind.
 */
export async function backup(options: BackupOptions, work: Work): Promise<BackupResult> {
  const started = Date.now()
  const { recipients, destinations } = options
  if (recipients !== 'none') checkRecipients(recipients, 'encrypt-to')
  const about = await preflight(options, work)
  const { session, programs, warnings } = about
  const label = options.label ?? options.database.database
  const id = newId(new Date())
  const folder = folderOf(label, id)
  const held: Held = { kind: 'backup', label, id }
  const committed = new Set<Storage>()
  let moment: Moment | undefined
  let streams: Promise<unknown> | undefined
  try {
    work.log.info(`Backing up "${options.database.database}" (PostgreSQL ${session.version}) as ${label}/${id}`)
    moment = await holdStill({ connection: options.database, programs, encoding: about.locale.encoding, readers: Math.min(availableParallelism(), 8) }, work)
    work.hold(held)
    const { dump, snapshot } = moment
    const clock = { dump: 0, fingerprint: 0 }
    const timed = async <T>(name: 'dump' | 'fingerprint', body: Promise<T>): Promise<T> => {
      const from = Date.now()
      const value = await body
      clock[name] = Date.now() - from
      return value
    }
    const lost = moment.lost.then((error) => Promise.reject(new UserError('connection-lost', `The connection that holds the snapshot was lost: ${messageOf(error)}`, 'Nothing was stored. If the server did not restart, a proxy or firewall between may end idle connections.', { cause: error })))
    const still = moment
    const both = together(
      timed('dump', storeArchive(dump.archive, { name: 'frame.dump', folder, compressed: dump.compressed, recipients, destinations }, work)),
      timed('fingerprint', moment.measure()),
      () => void still.end(),
    )
    streams = both
    const [archive, measured] = await Promise.race([both, lost])
    const after = await readSequences(session)
    const sequences: Fingerprint['sequences'] = {}
    for (const [name, value] of Object.entries(snapshot.sequences)) sequences[name] = { before: value, after: after[name] ?? value }
    warnings.push(...dump.warnings())
    const { schema, supplement } = moment
    const fingerprint: Fingerprint = {
      kind: 'content',
      tables: inOrder(measured.tables),
      schema: withoutDatabase(schema),
      sequences,
      largeObjects: measured.largeObjects,
      supplement,
    }
    const draft: Omit<Manifest, 'sha256' | 'objects'> & { objects: Manifest['objects'] } = {
      format: 1,
      id,
      label,
      createdAt: new Date().toISOString(),
      snapshot: { at: snapshot.at, lsn: snapshot.lsn },
      source: {
        database: options.database.database,
        server: session.version,
        major: session.major,
        bytes: about.bytes,
        locale: about.locale,
        roles: about.roles,
        tablespaces: about.tablespaces,
      },
      client: programs.version,
      ...(options.runUrl ? { run: options.runUrl } : {}),
      encryption: recipients === 'none' ? 'none' : { recipients },
      objects: [archive],
      fingerprint,
      warnings,
    }
    await moment.end()
    const instructions = recipe(draft, { name: archive.name, compression: archive.plain?.compression ?? 'none' })
    draft.objects.push({ name: 'RECOVER.md', kind: 'recipe', ...(await storeText(instructions, `${folder}RECOVER.md`, destinations, work)) })
    const manifest = writeManifest(draft)
    assertManifest(manifest)
    for (const destination of destinations) {
      await storeText(manifest, `${folder}manifest.json`, [destination], work)
      committed.add(destination)
    }
    work.release(held)
    const removed = options.keep === undefined ? [] : await pruneAll(destinations, label, options.keep, warnings, work)
    return {
      id,
      label,
      database: options.database.database,
      server: session.version,
      snapshotAt: snapshot.at,
      locations: destinations.map((destination) => ({ url: destination.url, location: locationOf(destination, label, id) })),
      objects: draft.objects.map(({ name, bytes }) => ({ name, bytes })),
      bytes: draft.objects.reduce((sum, { bytes }) => sum + bytes, 0),
      rows: fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0),
      tables: fingerprint.tables.length,
      largest: largest(fingerprint.tables),
      databaseBytes: about.bytes,
      recipients,
      attempts: moment.attempts,
      timings: { ...clock, total: Date.now() - started },
      removed,
      warnings,
    }
  } catch (cause) {
    // what a cancel broke on its way is no failure of its own
    const error = work.signal.aborted ? (work.signal.reason as Error) : cause instanceof Drift ? new UserError('tables-in-motion', `A table changed while it was being read: ${cause.message}`, 'Run the backup again, best when no migration runs.', { cause }) : cause
    await moment?.end().catch(() => {})
    await streams?.catch(() => {}) // what is on its way is taken back before what is left is swept
    await discard(destinations.filter((destination) => !committed.has(destination)), folder, work)
    if (committed.size === 0) work.release(held)
    throw error
  } finally {
    await session.end()
  }
}

/** Entries of the database itself are not compared with a copy's, and a setting may be a secret that its hash would let guess. */
function withoutDatabase(schema: SchemaPrint): SchemaPrint {
  return Object.fromEntries(Object.entries(schema).filter(([entry]) => !/^DATABASE|^(ACL|COMMENT|SECURITY LABEL) DATABASE$/.test(entry)))
}

interface Readiness {
  session: Session
  programs: Programs
  locale: Locale
  roles: { superuser: string; names: string[] }
  tablespaces: string[]
  /** Size of the database. */
  bytes: number
  warnings: string[]
}

/** Everything that can be known to fail before a byte is read. The session it gives is the caller's to end. */
async function preflight(options: BackupOptions, work: Work): Promise<Readiness> {
  const session = await connect(options.database, work)
  try {
    await checkPooler(session, work)
    const programs = await findPrograms(session.major, ['pg_dump'], options.bindirs, work)
    const { warnings } = await checkReadable(session)
    const locale = await readLocale(session)
    const roles = await readRoles(session)
    const tablespaces = await readTablespaces(session)
    const [size] = await session.query<{ bytes: string }>('SELECT pg_catalog.pg_database_size(pg_catalog.current_database())::pg_catalog.text AS bytes')
    await Promise.all(options.destinations.map((destination) => destination.probe({ signal: work.signal })))
    return { session, programs, locale, roles, tablespaces, bytes: Number(size?.bytes ?? 0), warnings }
  } catch (error) {
    await session.end()
    throw error
  }
}

/** Waits for both; when one fails, calls `stop` so that the other ends too, waits for it, and throws the first failure. */
async function together<A, B>(a: Promise<A>, b: Promise<B>, stop: () => void): Promise<[A, B]> {
  const failures: unknown[] = []
  const failed = (error: unknown): void => {
    failures.push(error)
    stop()
  }
  await Promise.allSettled([a.catch(failed), b.catch(failed)])
  if (failures.length) throw failures[0]
  return Promise.all([a, b])
}

/** Removes what a failed backup left, also when the work was cancelled: so by a signal of its own. */
async function discard(destinations: readonly Storage[], folder: string, work: Work): Promise<void> {
  const outcomes = await Promise.allSettled(destinations.map((destination) => removeBackup(destination, folder, AbortSignal.timeout(5000))))
  for (const [i, outcome] of outcomes.entries())
    if (outcome.status === 'rejected') work.log.debug(`could not clean up ${folder} in ${destinations[i]?.url}: ${messageOf(outcome.reason)}`)
}

/** Retention never fails a backup that is already whole: what it could not do is a warning. */
async function pruneAll(destinations: readonly Storage[], label: string, keep: number, warnings: string[], work: Work): Promise<BackupResult['removed']> {
  const removed: BackupResult['removed'] = []
  for (const destination of destinations) {
    try {
      const ids = await prune(destination, label, keep, work)
      if (ids.length) removed.push({ url: destination.url, ids })
    } catch (error) {
      work.signal.throwIfAborted()
      warnings.push(`The backup is stored, but old ones could not be removed from ${destination.url}: ${messageOf(error)}`)
    }
  }
  return removed
}

function largest(tables: readonly TablePrint[]): BackupResult['largest'] {
  return tables
    .map(({ table, rows, bytes }) => ({ table, rows, bytes }))
    .sort((a, b) => b.bytes - a.bytes || b.rows - a.rows)
    .slice(0, 10)
}
