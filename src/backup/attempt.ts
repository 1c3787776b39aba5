import { messageOf } from '../errors.ts'
import type { TablePrint } from '../postgres/fingerprint/content.ts'
import { type Fingerprint, sortPrints } from '../postgres/fingerprint/fingerprint.ts'
import type { SchemaPrint } from '../postgres/fingerprint/schema.ts'
import { readSequences } from '../postgres/fingerprint/sequences.ts'
import { type Table, tableName } from '../postgres/fingerprint/tables.ts'
import { type Waiter, watchWaiters } from '../postgres/pg-dump/lock-waiters.ts'
import { folderOf, locationOf, newId } from '../repository/ids.ts'
import {
  assertManifest,
  type Manifest,
  type StoredArchive,
  writeManifest,
} from '../repository/manifest.ts'
import { recoveryGuide } from '../repository/recovery-guide.ts'
import { removeBackup } from '../repository/retention.ts'
import { storeText } from '../repository/write.ts'
import type { Storage } from '../storage/storage.ts'
import type { Held, Work } from '../work.ts'
import {
  type ConsistentSnapshot,
  type Measured,
  openConsistentSnapshot,
} from './consistent-snapshot.ts'
import { DumpProgress } from './dump-progress.ts'
import type { PreflightResult } from './preflight.ts'
import type { BackupOptions, BackupResult } from './result.ts'
import { runBoth } from './run-both.ts'
import { storeArchives } from './store-archives.ts'

type LabelledOptions = BackupOptions & { label: string }

/** What one attempt has opened and written so far: what a failure has to close and remove. */
interface Attempt {
  readonly options: LabelledOptions
  readonly preflight: PreflightResult
  readonly id: string
  /** The backup's folder in every destination, with its slash. */
  readonly folder: string
  readonly held: Extract<Held, { kind: 'backup' }>
  consistent?: ConsistentSnapshot
  /** Settles when no archive is being written any more. */
  writing?: Promise<unknown>
  /** Destinations that have the manifest. */
  readonly committed: Set<Storage>
}

/** What was read of the snapshot. */
interface Reading {
  consistent: ConsistentSnapshot
  objects: StoredArchive[]
  measured: Measured
  waiters: Waiter[]
  timings: Pick<BackupResult['timings'], 'dump' | 'fingerprint'>
}

/**
 * Takes a backup once, under a new id: create-only credentials cannot write the same objects again.
 * The total time and what retention removed are left to the caller.
 */
export async function attemptBackup(
  options: LabelledOptions,
  preflight: PreflightResult,
  work: Work,
): Promise<BackupResult> {
  const { label } = options
  const id = newId(new Date(), options.kind)
  const attempt: Attempt = {
    options,
    preflight,
    id,
    folder: folderOf(label, id),
    held: { kind: 'backup', label, id },
    committed: new Set(),
  }
  try {
    work.log.info(
      `Backing up "${options.database.database}" (PostgreSQL ${preflight.session.version}) ` +
        `as ${label}/${id}`,
    )
    const reading = await readAll(attempt, work)
    const draft = draftManifest(attempt, reading, await readSequenceRanges(attempt, reading))
    await commit(attempt, draft, work)
    return resultOf(attempt, reading, draft)
  } catch (cause) {
    // after a cancel, errors of the interrupted steps are not failures of their own
    const error = work.signal.aborted ? (work.signal.reason as Error) : cause
    await abandon(attempt, work)
    throw error
  }
}

/** Opens the snapshot; dumps, stores and measures it, and watches who waits behind its locks. */
async function readAll(attempt: Attempt, work: Work): Promise<Reading> {
  const { options, preflight } = attempt
  const { database, jobs } = options
  const progress = new DumpProgress()
  const consistent = await openConsistentSnapshot(
    {
      connection: database,
      programs: preflight.programs,
      encoding: preflight.locale.encoding,
      largeTable: options.largeTable,
      depth: options.fingerprint,
      jobs,
      onTable: (archive, table) => progress.begin(archive, table),
    },
    work,
  )
  attempt.consistent = consistent
  work.hold(attempt.held)
  const { dumps, tables } = consistent
  progress.plan(
    dumps.map(({ plan }) => plan),
    options.fingerprint === 'none' ? [] : tables,
  )
  const watch = watchWaiters(database, work)
  const lost = Promise.race([consistent.lost, watch.conflict]).then((error) =>
    Promise.reject(error),
  )
  lost.catch(() => {}) // nothing awaits it after the reading
  let waiters: Waiter[] = []
  const archives =
    dumps.length === 1
      ? 'one archive'
      : `${dumps.length} archives, ${Math.min(jobs, dumps.length)} at a time`
  const read = await work.log.group(`Reading ${archives}`, async () => {
    const stopReport = progress.report(preflight.session, database, work.log)
    try {
      const reading = dumpAndMeasure(attempt, consistent, progress, work)
      attempt.writing = reading
      return await Promise.race([reading, lost])
    } finally {
      stopReport()
      waiters = await watch.stop()
    }
  })
  return { consistent, ...read, waiters }
}

/** Stores all archives and measures the tables, at the same time. */
async function dumpAndMeasure(
  { options, folder }: Attempt,
  consistent: ConsistentSnapshot,
  progress: DumpProgress,
  work: Work,
): Promise<Pick<Reading, 'measured' | 'objects' | 'timings'>> {
  const { recipients, destinations, jobs } = options
  const timings = { dump: 0, fingerprint: 0 }
  const timed = async <T>(name: 'dump' | 'fingerprint', body: Promise<T>): Promise<T> => {
    const from = Date.now()
    const value = await body
    timings[name] = Date.now() - from
    return value
  }
  const onStored = (archive: string): void => progress.finish(archive)
  let measuring: Promise<Measured> | undefined
  const [measured, objects] = await runBoth(
    (onFailure) =>
      (measuring = timed(
        'fingerprint',
        consistent.measure((bytes) => progress.measured(bytes), onFailure),
      )),
    async (onFailure) => {
      // the readers rely on the locks of the base archive's pg_dump
      if (consistent.lean) await measuring
      const store = { folder, recipients, destinations, jobs, onStored, onFailure }
      return timed('dump', storeArchives(consistent.dumps, store, work))
    },
    () => void consistent.end(),
  )
  return { measured, objects, timings }
}

/**
 * Closes the snapshot and reads the sequences again. Closes it first: a session that holds a lock on
 * a sequence may be waiting for a lock of this backup.
 */
async function readSequenceRanges(
  { preflight: { session } }: Attempt,
  { consistent }: Reading,
): Promise<Fingerprint['sequences']> {
  await consistent.end()
  await session.query("SET lock_timeout = '5min'")
  await session.query('BEGIN READ ONLY')
  const after = await readSequences(session).finally(() =>
    session.query('ROLLBACK').catch(() => {}),
  )
  return Object.fromEntries(
    Object.entries(consistent.snapshot.sequences).map(([name, before]) => [
      name,
      { before, after: after[name] ?? before },
    ]),
  )
}

/** The manifest without the recovery guide, which is written from it, and without its digest. */
function draftManifest(
  { options, preflight, id }: Attempt,
  { consistent, objects, measured }: Reading,
  sequences: Fingerprint['sequences'],
): Omit<Manifest, 'sha256'> {
  const { session, programs, system } = preflight
  const { snapshot, dumps } = consistent
  const fingerprint: Fingerprint = {
    kind: options.fingerprint,
    ...measured,
    tables: sortPrints(measured.tables),
    schema: withoutDatabase(consistent.schema),
    sequences,
    supplement: consistent.supplement,
  }
  return {
    format: 1,
    id,
    ...(options.kind ? { kind: options.kind } : {}),
    label: options.label,
    createdAt: new Date().toISOString(),
    snapshot: { at: snapshot.at, lsn: snapshot.lsn },
    source: {
      database: options.database.database,
      server: session.version,
      major: session.major,
      bytes: preflight.bytes,
      locale: preflight.locale,
      roles: preflight.roles,
      tablespaces: preflight.tablespaces,
      ...(system ? { system } : {}),
    },
    client: programs.version,
    ...(options.runUrl ? { run: options.runUrl } : {}),
    encryption: options.recipients === 'none' ? 'none' : { recipients: options.recipients },
    objects: [...objects],
    fingerprint,
    warnings: [...preflight.warnings, ...dumps.flatMap((dump) => dump.warnings())],
  }
}

/** Stores the recovery guide and then, at one destination after the other, the manifest. */
async function commit(
  { options, folder, held, committed }: Attempt,
  draft: Omit<Manifest, 'sha256'>,
  work: Work,
): Promise<void> {
  const { destinations } = options
  const guide = recoveryGuide(draft)
  draft.objects.push({
    name: 'RECOVER.md',
    kind: 'recovery-guide',
    ...(await storeText(guide, `${folder}RECOVER.md`, destinations, work)),
  })
  const manifest = writeManifest(draft)
  assertManifest(manifest)
  for (const destination of destinations) {
    await storeText(manifest, `${folder}manifest.json`, [destination], work)
    committed.add(destination)
  }
  work.release(held)
}

function resultOf(
  { options, preflight, id }: Attempt,
  { consistent, waiters, timings }: Reading,
  { objects, fingerprint, warnings }: Omit<Manifest, 'sha256'>,
): BackupResult {
  const { label, database, destinations } = options
  const { tables } = consistent
  return {
    id,
    label,
    database: database.database,
    server: preflight.session.version,
    snapshotAt: consistent.snapshot.at,
    locations: destinations.map((destination) => ({
      url: destination.url,
      location: locationOf(destination, label, id),
    })),
    objects: objects.map(({ name, bytes }) => ({ name, bytes })),
    bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    archives: consistent.dumps.length,
    fingerprint: options.fingerprint,
    ...(options.fingerprint === 'none'
      ? {}
      : { rows: fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0) }),
    tables: tables.length,
    largest: largest(tables, fingerprint.tables),
    databaseBytes: preflight.bytes,
    recipients: options.recipients,
    attempts: consistent.attempts,
    timings: { ...timings, total: 0 },
    waiters,
    removed: [],
    warnings,
  }
}

/** Closes what a failed attempt has open, and removes what it stored where it has no manifest. */
async function abandon(
  { options, folder, held, consistent, writing, committed }: Attempt,
  work: Work,
): Promise<void> {
  await consistent?.end().catch(() => {})
  // objects that are still being written are removed by their writers; the rest is swept after that
  await writing?.catch(() => {})
  const clean = await discard(
    options.destinations.filter((destination) => !committed.has(destination)),
    folder,
    work,
  )
  if (clean && committed.size === 0) work.release(held)
}

/**
 * Removes what a failed backup stored. Has its own deadline, because it also runs after a cancel.
 * Returns false if something may be left.
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

/**
 * The schema's print without the entries of the database itself. They are not compared with those
 * of a copy, and a setting may be a secret that its hash would allow to guess.
 */
function withoutDatabase(schema: SchemaPrint): SchemaPrint {
  return Object.fromEntries(
    Object.entries(schema).filter(
      ([entry]) => !/^DATABASE|^(ACL|COMMENT|SECURITY LABEL) DATABASE$/.test(entry),
    ),
  )
}

function largest(tables: readonly Table[], prints: readonly TablePrint[]): BackupResult['largest'] {
  const rowsByTable = new Map(prints.map(({ table, rows }) => [table, rows]))
  return tables
    .map((table) => {
      const rows = rowsByTable.get(tableName(table))
      const { bytes } = table
      return { table: tableName(table), bytes, ...(rows === undefined ? {} : { rows }) }
    })
    .sort((a, b) => b.bytes - a.bytes || (b.rows ?? 0) - (a.rows ?? 0))
    .slice(0, 10)
}
