import { messageOf } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import type { TablePrint } from '../postgres/fingerprint/content.ts'
import { type Depth, type Fingerprint, sortPrints } from '../postgres/fingerprint/fingerprint.ts'
import type { SchemaPrint } from '../postgres/fingerprint/schema.ts'
import { readSequences } from '../postgres/fingerprint/sequences.ts'
import { type Table, tableName } from '../postgres/fingerprint/tables.ts'
import {
  withUniqueApplicationName,
  type Waiter,
  watchWaiters,
} from '../postgres/pg-dump/lock-waiters.ts'
import { Drift } from '../postgres/pg-dump/snapshot.ts'
import { folderOf, locationOf, newId } from '../repository/ids.ts'
import { assertManifest, type Manifest, writeManifest } from '../repository/manifest.ts'
import { recoveryGuide } from '../repository/recovery-guide.ts'
import { pruneAll, removeBackup } from '../repository/retention.ts'
import { storeText } from '../repository/write.ts'
import type { Storage } from '../storage/storage.ts'
import { checkRecipients } from '../stream/encrypt.ts'
import type { Held, Work } from '../work.ts'
import { openConsistentSnapshot, type ConsistentSnapshot, pauseFor } from './consistent-snapshot.ts'
import { DumpProgress } from './dump-progress.ts'
import { preflight, type PreflightResult } from './preflight.ts'
import { conflictOf, maxAttempts, errorOfLastAttempt } from './retry.ts'
import { storeArchives } from './store-archives.ts'

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
  /**
   * Archives that are read side by side, and sessions that read for the fingerprint. At least 1.
   */
  jobs: number
  /** Tables of this many bytes and more get an archive of their own. */
  largeTable: number
  /**
   * How closely what the database holds is measured; by `none`, a backup can be proven to restore,
   * and no more.
   */
  fingerprint: Depth
  /** Where this run can be seen, for the manifest. */
  runUrl?: string
  /** Made before a restore, of what it replaces. Default: an ordinary one. */
  kind?: 'pre-restore'
}

export interface BackupResult {
  id: string
  label: string
  database: string
  /** For example `17.11`. */
  server: string
  /**
   * When the snapshot was taken (ISO 8601, UTC): the backup holds all that was committed before.
   */
  snapshotAt: string
  /** One a destination: its URL as typed, and the backup's own place there. */
  locations: { url: string; location: string }[]
  objects: { name: string; bytes: number }[]
  /** Stored bytes, all objects, one destination. */
  bytes: number
  archives: number
  fingerprint: Depth
  /** Undefined where they were not counted. */
  rows?: number
  tables: number
  /** The largest tables, by their size on the server: at most 10. */
  largest: { table: string; rows?: number; bytes: number }[]
  /** Size of the database on the server, bytes. */
  databaseBytes: number
  recipients: string[] | 'none'
  /** 1 when the first snapshot held; more when tables moved while it was taken. */
  attempts: number
  /** Milliseconds. The fingerprint runs beside the dump. */
  timings: { dump: number; fingerprint: number; total: number }
  /** Who waited for more than three seconds behind the locks of this backup. */
  waiters: Waiter[]
  /** Ids that retention removed, by destination. */
  removed: { url: string; ids: string[] }[]
  warnings: string[]
}

/**
 * Makes a backup: looks whether it can be made at all; holds one consistent of the database still;
 * streams a fleet of dumps to every destination while the same moment is measured; writes the
 * manifest, and with that the backup exists; then, and only then, removes what retention lets go.
 * Whatever fails before the manifest leaves nothing behind.
 */
export async function backup(options: BackupOptions, work: Work): Promise<BackupResult> {
  const started = Date.now()
  if (options.recipients !== 'none') checkRecipients(options.recipients, 'encrypt-to')
  const label = options.label ?? options.database.database
  for (let attempt = 1; ; attempt++) {
    let preflightResult: PreflightResult | undefined
    try {
      preflightResult = await preflight(
        { ...options, database: withUniqueApplicationName(options.database) },
        work,
      )
      const made = await attemptBackup(
        { ...options, database: preflightResult.database, label },
        preflightResult,
        started,
        work,
      )
      made.attempts += attempt - 1
      made.removed =
        options.keep === undefined
          ? []
          : await pruneAll(options.destinations, label, options.keep, made.warnings, work)
      made.timings.total = Date.now() - started
      return made
    } catch (error) {
      const taken = error instanceof Drift ? error : await conflictOf(error, options.database, work)
      if (!taken) throw error
      if (attempt === maxAttempts) throw errorOfLastAttempt(taken, options.database.input)
      work.log.info(
        `${taken.message}; starting again with a new snapshot (${attempt} of ${maxAttempts - 1})`,
      )
      await pauseFor(1000 * 2 ** attempt * (0.5 + Math.random()), work)
    } finally {
      await preflightResult?.session.end()
    }
  }
}

/**
 * One attempt of a backup, under an id of its own: credentials that may only create could not write
 * the same objects again.
 */
async function attemptBackup(
  options: BackupOptions & { label: string },
  preflightResult: PreflightResult,
  started: number,
  work: Work,
): Promise<BackupResult> {
  const { database, destinations, recipients, label } = options
  const { session, programs } = preflightResult
  const warnings = [...preflightResult.warnings]
  const id = newId(new Date(), options.kind)
  const folder = folderOf(label, id)
  const held: Held = { kind: 'backup', label, id }
  const committed = new Set<Storage>()
  let consistent: ConsistentSnapshot | undefined
  let streams: Promise<unknown> | undefined
  let waiters: Waiter[] = []
  try {
    work.log.info(
      `Backing up "${database.database}" (PostgreSQL ${session.version}) as ${label}/${id}`,
    )
    const reading = new DumpProgress()
    consistent = await openConsistentSnapshot(
      {
        connection: database,
        programs,
        encoding: preflightResult.locale.encoding,
        largeTable: options.largeTable,
        depth: options.fingerprint,
        jobs: options.jobs,
        onTable: (archive, table) => reading.begin(archive, table),
      },
      work,
    )
    work.hold(held)
    const locked = consistent
    const { dumps, snapshot, tables } = consistent
    reading.plan(
      dumps.map(({ plan }) => plan),
      options.fingerprint === 'none' ? [] : tables,
    )
    const clock = { dump: 0, fingerprint: 0 }
    const timed = async <T>(name: 'dump' | 'fingerprint', body: Promise<T>): Promise<T> => {
      const from = Date.now()
      const value = await body
      clock[name] = Date.now() - from
      return value
    }
    const watch = watchWaiters(database, work)
    const lost = Promise.race([consistent.lost, watch.conflict]).then((error) =>
      Promise.reject(error),
    )
    lost.catch(() => {}) // after the reading nobody waits for it
    const [measured, objects] = await work.log.group(
      `Reading ${dumps.length === 1 ? 'one archive' : `${dumps.length} archives, ${Math.min(options.jobs, dumps.length)} at a time`}`,
      async () => {
        const done = reading.tell(session, database, work.log)
        try {
          const store = {
            folder,
            recipients,
            destinations,
            jobs: options.jobs,
            onStored: (archive: string) => reading.finish(archive),
          }
          let measuring: ReturnType<ConsistentSnapshot['measure']> | undefined
          const both = runBoth(
            (fail) =>
              (measuring = timed(
                'fingerprint',
                locked.measure((bytes) => reading.measured(bytes), fail),
              )),
            async (fail) => {
              if (locked.lean) await measuring
              return timed('dump', storeArchives(dumps, { ...store, onFailure: fail }, work))
            },
            () => void locked.end(),
          )
          streams = both
          return await Promise.race([both, lost])
        } finally {
          done()
          waiters = await watch.stop()
        }
      },
    )
    // without our locks first: whoever holds a sequence may wait for one of them
    await consistent.end()
    await session.query("SET lock_timeout = '5min'")
    const after = await readSequences(session)
    const sequences: Fingerprint['sequences'] = {}
    for (const [name, value] of Object.entries(snapshot.sequences))
      sequences[name] = { before: value, after: after[name] ?? value }
    for (const dump of dumps) warnings.push(...dump.warnings())
    const fingerprint: Fingerprint = {
      kind: options.fingerprint,
      ...measured,
      tables: sortPrints(measured.tables),
      schema: withoutDatabase(consistent.schema),
      sequences,
      supplement: consistent.supplement,
    }
    const draft: Omit<Manifest, 'sha256'> = {
      format: 1,
      id,
      ...(options.kind ? { kind: options.kind } : {}),
      label,
      createdAt: new Date().toISOString(),
      snapshot: { at: snapshot.at, lsn: snapshot.lsn },
      source: {
        database: database.database,
        server: session.version,
        major: session.major,
        bytes: preflightResult.bytes,
        locale: preflightResult.locale,
        roles: preflightResult.roles,
        tablespaces: preflightResult.tablespaces,
        ...(preflightResult.system ? { system: preflightResult.system } : {}),
      },
      client: programs.version,
      ...(options.runUrl ? { run: options.runUrl } : {}),
      encryption: recipients === 'none' ? 'none' : { recipients },
      objects,
      fingerprint,
      warnings,
    }
    const instructions = recoveryGuide(draft)
    objects.push({
      name: 'RECOVER.md',
      kind: 'recovery-guide',
      ...(await storeText(instructions, `${folder}RECOVER.md`, destinations, work)),
    })
    const manifest = writeManifest(draft)
    assertManifest(manifest)
    for (const destination of destinations) {
      await storeText(manifest, `${folder}manifest.json`, [destination], work)
      committed.add(destination)
    }
    work.release(held)
    return {
      id,
      label,
      database: database.database,
      server: session.version,
      snapshotAt: snapshot.at,
      locations: destinations.map((destination) => ({
        url: destination.url,
        location: locationOf(destination, label, id),
      })),
      objects: objects.map(({ name, bytes }) => ({ name, bytes })),
      bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
      archives: dumps.length,
      fingerprint: options.fingerprint,
      ...(options.fingerprint === 'none'
        ? {}
        : { rows: fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0) }),
      tables: tables.length,
      largest: largest(tables, fingerprint.tables),
      databaseBytes: preflightResult.bytes,
      recipients,
      attempts: consistent.attempts,
      timings: { ...clock, total: Date.now() - started },
      waiters,
      removed: [],
      warnings,
    }
  } catch (cause) {
    // what a cancel broke on its way is no failure of its own
    const error = work.signal.aborted ? (work.signal.reason as Error) : cause
    await consistent?.end().catch(() => {})
    await streams?.catch(() => {}) // what is on its way is taken back before what is left is swept
    const clean = await discard(
      destinations.filter((destination) => !committed.has(destination)),
      folder,
      work,
    )
    if (clean && committed.size === 0) work.release(held)
    throw error
  }
}

/**
 * Entries of the database itself are not compared with a copy's, and a setting may be a secret that
 * its hash would let guess.
 */
function withoutDatabase(schema: SchemaPrint): SchemaPrint {
  return Object.fromEntries(
    Object.entries(schema).filter(
      ([entry]) => !/^DATABASE|^(ACL|COMMENT|SECURITY LABEL) DATABASE$/.test(entry),
    ),
  )
}

type Fail = (error: unknown) => void

/**
 * Runs both; at the first failure calls `stop`, so that the other ends too, waits for it, and
 * throws that first failure. A body may tell of its failure before it ends.
 */
async function runBoth<A, B>(
  a: (fail: Fail) => Promise<A>,
  b: (fail: Fail) => Promise<B>,
  stop: () => void,
): Promise<[A, B]> {
  const failures: unknown[] = []
  const fail = (error: unknown): void => {
    failures.push(error)
    stop()
  }
  const both = [a(fail), b(fail)] as const
  await Promise.allSettled(both.map((body: Promise<unknown>) => body.catch(fail)))
  if (failures.length) throw failures[0]
  return Promise.all(both)
}

/**
 * Removes what a failed backup left, also when the work was cancelled: so by a signal of its own.
 * False when something may still be there.
 */
async function discard(
  destinations: readonly Storage[],
  folder: string,
  work: Work,
): Promise<boolean> {
  const outcomes = await Promise.allSettled(
    destinations.map((destination) => removeBackup(destination, folder, AbortSignal.timeout(5000))),
  )
  for (const [i, outcome] of outcomes.entries())
    if (outcome.status === 'rejected')
      work.log.debug(
        `could not clean up ${folder} in ${destinations[i]?.url}: ${messageOf(outcome.reason)}`,
      )
  return outcomes.every(({ status }) => status === 'fulfilled')
}

function largest(tables: readonly Table[], prints: readonly TablePrint[]): BackupResult['largest'] {
  const rows = new Map(prints.map((print) => [print.table, print.rows]))
  return tables
    .map((table) => ({
      table: tableName(table),
      bytes: table.bytes,
      ...(rows.has(tableName(table)) ? { rows: rows.get(tableName(table)) as number } : {}),
    }))
    .sort((a, b) => b.bytes - a.bytes || (b.rows ?? 0) - (a.rows ?? 0))
    .slice(0, 10)
}
