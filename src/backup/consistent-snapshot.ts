import type { Programs } from '../postgres/programs/find-programs.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { lockWait, readLockCapacity } from '../postgres/connection/locks.ts'
import {
  emptyPrint,
  mergePrints,
  type Part,
  type TablePrint,
} from '../postgres/fingerprint/content.ts'
import { type Dump, startDump } from '../postgres/pg-dump/pg-dump.ts'
import {
  splitWork,
  type Depth,
  type Fingerprint,
  readSupplement,
  type Supplement,
} from '../postgres/fingerprint/fingerprint.ts'
import {
  type Archive,
  freeConnections,
  maxArchives,
  planArchives,
} from '../postgres/pg-dump/archive-plan.ts'
import { countLargeObjects, measureLargeObjects } from '../postgres/fingerprint/large-objects.ts'
import { listTables, type Table } from '../postgres/fingerprint/tables.ts'
import { printSchema, type SchemaPrint } from '../postgres/fingerprint/schema.ts'
import {
  rethrowAsDrift,
  Drift,
  openReader,
  type Reader,
  type Snapshot,
  takeSnapshot,
} from '../postgres/pg-dump/snapshot.ts'
import type { Session } from '../postgres/connection/session.ts'
import { messageOf, UserError } from '../errors.ts'
import { pauseFor } from './retry-policy.ts'
import type { Work } from '../work.ts'

/**
 * A snapshot of a database under which no table can change: every archive's pg_dump and every
 * reader of the fingerprint has imported it, holds its locks, and waits to be read.
 */
export interface ConsistentSnapshot {
  readonly snapshot: Snapshot
  /** The base archive first. */
  readonly dumps: Dump[]
  readonly tables: Table[]
  readonly schema: SchemaPrint
  readonly supplement: Supplement
  /**
   * True if readers lock tables only just before they read them. The base archive's pg_dump then
   * holds all locks, so it must not end before the readers.
   */
  readonly lean: boolean
  /** How many snapshots were taken. */
  readonly attempts: number
  /** Settles if the server ends the session that holds the snapshot. */
  readonly lost: Promise<Error>
  /**
   * Reads every table once. Calls `onRead` with the bytes of tables read since the last call, and
   * `onFailure` with the first failure, at once.
   */
  measure(onRead: (bytes: number) => void, onFailure: (error: unknown) => void): Promise<Measured>
  end(): Promise<void>
}

/** The part of a fingerprint that reads rows and large objects. */
export type Measured = Pick<Fingerprint, 'largeObjects'> & { tables: TablePrint[] }

export interface ConsistentSnapshotOptions {
  connection: Connection
  programs: Programs
  encoding: string
  /** Tables of at least this many bytes get an archive of their own. */
  largeTable: number
  depth: Depth
  /** Number of archives that are read at a time, and of sessions for the fingerprint. */
  jobs: number
  /** Called when a pg_dump starts to read a table, with its archive's name. */
  onTable: (archive: string, table: string) => void
}

/** How long to retry before the backup fails, milliseconds. */
const snapshotTimeout = 5 * 60_000

/**
 * Takes a snapshot, starts everything that reads it, and then checks whether a table changed in
 * between. If one did, or if a lock was not granted at once, closes everything and retries with a
 * new snapshot: Holdfast's sessions never wait in a lock queue that waits for another of them.
 *
 * Throws `tables-in-motion` if it does not succeed within five minutes.
 */
export async function openConsistentSnapshot(
  options: ConsistentSnapshotOptions,
  work: Work,
): Promise<ConsistentSnapshot> {
  const minutes = snapshotTimeout / 60_000
  const deadline = Date.now() + snapshotTimeout
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt(options, attempts, work)
    } catch (error) {
      work.signal.throwIfAborted()
      if (!(error instanceof Drift)) throw error
      if (Date.now() > deadline)
        throw new UserError(
          'tables-in-motion',
          `In ${minutes} minutes and ${attempts} attempts, tables changed or were locked ` +
            `every time: ${messageOf(error)}`,
          'Something takes exclusive locks all the time: a migration, VACUUM FULL, or a job that ' +
            'truncates tables. Run the backup at another time.',
          { cause: error },
        )
      const pause = Math.min(200 * 1.4 ** attempts, 15_000) * (0.5 + Math.random())
      work.log.info(
        `Attempt ${attempts}: ${messageOf(error)}; retrying with a new snapshot ` +
          `(for up to ${minutes} minutes)`,
      )
      await pauseFor(pause, work)
    }
  }
}

/** What is open on one snapshot. */
class SnapshotUsers {
  readonly snapshot: Snapshot
  readonly dumps: Dump[] = []
  readonly readers: Reader[] = []

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot
  }

  async end(): Promise<void> {
    await Promise.allSettled([
      ...this.dumps.map((dump) => dump.stop()),
      ...this.readers.map((reader) => reader.end()),
      this.snapshot.end(),
    ])
  }
}

async function attempt(
  options: ConsistentSnapshotOptions,
  attempts: number,
  work: Work,
): Promise<ConsistentSnapshot> {
  const { connection, depth } = options
  const snapshot = await takeSnapshot(connection, work)
  const users = new SnapshotUsers(snapshot)
  try {
    const all = await listTables(snapshot.session).catch(rethrowAsDrift)
    const tables = all.filter((table) => !table.unreadable)
    // pg_dump reads extensions' configuration tables without a lock
    await snapshot.lock(tables.filter(({ condition }) => condition !== undefined))
    const plan = await planReading(snapshot.session, all, tables, options, work)
    const schema = await startAll(users, plan, options, work)
    users.dumps.sort((a, b) => plan.archives.indexOf(a.plan) - plan.archives.indexOf(b.plan))
    const supplement = await readSupplement(snapshot.session)
    await expectUnmoved(snapshot)
    const measure: ConsistentSnapshot['measure'] = async (onRead, onFailure) => {
      if (depth === 'none') return { tables: [] }
      const measured = await measureAll(users, depth, onRead, onFailure)
      const unreadable = all.filter((table) => table.unreadable)
      const empty = unreadable.map((table) => emptyPrint(table, depth))
      return { ...measured, tables: [...measured.tables, ...empty] }
    }
    return {
      snapshot,
      dumps: users.dumps,
      tables: all,
      schema,
      supplement,
      lean: plan.lean,
      attempts,
      lost: snapshot.session.lost,
      measure,
      end: () => users.end(),
    }
  } catch (error) {
    await users.end()
    throw error
  }
}

interface ReadingPlan {
  archives: Archive[]
  /** The parts of tables that each reader of the fingerprint measures. */
  buckets: Part[][]
  lean: boolean
}

/** Divides the database among archives and readers, within the server's locks and connections. */
async function planReading(
  session: Session,
  all: readonly Table[],
  tables: readonly Table[],
  { depth, jobs, largeTable, encoding }: ConsistentSnapshotOptions,
  work: Work,
): Promise<ReadingPlan> {
  const { perTransaction, transactions } = await readLockCapacity(session)
  const capacity = perTransaction * transactions
  const lean = 3 * tables.length > capacity / 2
  if (lean)
    work.log.info(
      `${tables.length} tables, and room for about ${capacity} locks: ` +
        "the fingerprint locks them in groups, to spare the server's lock table",
    )
  const free = await freeConnections(session)
  const buckets =
    depth === 'none' ? [] : splitWork(tables, Math.max(1, Math.min(jobs, Math.floor(free / 3))))
  // each archive reads the whole catalogue, so there are few: twice as many as are read at a time
  // keep all jobs busy to the end; two more are the base archive and the large objects
  const most = Math.min(maxArchives, 2 + Math.max(4, 2 * jobs), free - buckets.length - 1)
  const archives = await planArchives(session, all, {
    largeTable,
    archives: Math.max(1, most),
    encoding,
  })
  return { archives, buckets, lean }
}

/**
 * Starts every pg_dump and reader of the plan, and hashes the schema. Each is noted in `users` as
 * soon as it is open, so that `end` closes it also if another one fails to open.
 */
async function startAll(
  users: SnapshotUsers,
  { archives, buckets, lean }: ReadingPlan,
  { connection, programs, encoding, depth, onTable }: ConsistentSnapshotOptions,
  work: Work,
): Promise<SchemaPrint> {
  const { snapshot, dumps, readers } = users
  const lockFirst = !lean
  const readerDepth = depth === 'counts' ? depth : 'content'
  const openReaders = (): Promise<void> =>
    allSettled(
      buckets.map(async (bucket) => {
        const options = { lockFirst, depth: readerDepth } as const
        readers.push(await openReader(snapshot, bucket, options, work))
      }),
    )
  const startDumps = (): Promise<void> =>
    allSettled(
      archives.map(async (plan) => {
        const options = {
          snapshot: snapshot.id,
          encoding,
          plan,
          onTable: (table: string): void => onTable(plan.name, table),
        }
        dumps.push(await startDump(programs, connection, options, work))
      }),
    )
  let schema: SchemaPrint = {}
  const hashSchema = async (): Promise<void> => {
    if (depth === 'none') return
    const options = { snapshot: snapshot.id, lockWait, encoding }
    schema = await printSchema(programs, connection, options, work).catch(asDriftByMessage)
  }
  if (lean) {
    // several pg_dumps that lock everything at the same time would fill the lock table
    await hashSchema()
    await startDumps()
    await openReaders()
  } else await allSettled([startDumps(), openReaders(), hashSchema()])
  return schema
}

async function expectUnmoved(snapshot: Snapshot): Promise<void> {
  const moved = await snapshot.moved()
  if (moved.length === 0) return
  const more = moved.length > 3 ? ` and ${moved.length - 3} more` : ''
  throw new Drift(`${moved.slice(0, 3).join(', ')}${more} changed while the snapshot was taken`)
}

async function measureAll(
  { snapshot, readers }: SnapshotUsers,
  depth: 'content' | 'counts',
  onRead: (bytes: number) => void,
  onFailure: (error: unknown) => void,
): Promise<Measured> {
  const tables: TablePrint[] = []
  const measured: Measured = { tables }
  const measureObjects = async (): Promise<void> => {
    measured.largeObjects = await (depth === 'content'
      ? measureLargeObjects(snapshot.session)
      : countLargeObjects(snapshot.session))
  }
  const bodies: Promise<unknown>[] = [
    ...readers.map(async (reader) => tables.push(...(await reader.measure(onRead)))),
    measureObjects(),
  ]
  for (const body of bodies) body.catch(onFailure)
  await allSettled(bodies)
  return { ...measured, tables: mergePrints(tables) }
}

/** Waits for all, then throws the first failure in their order, if there is one. */
async function allSettled(all: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(all))
    if (outcome.status === 'rejected') throw outcome.reason
}

/** The same as `rethrowAsDrift`, for an error that has pg_dump's message and no SQLSTATE. */
function asDriftByMessage(error: unknown): never {
  const message = messageOf(error)
  const drifted =
    /lock timeout|statement timeout|does not exist|cache lookup failed|could not open relation/
  if (drifted.test(message)) throw new Drift(message.replace(/\s+/g, ' ').slice(0, 300))
  throw error
}
