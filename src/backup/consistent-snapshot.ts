import type { Programs } from '../postgres/programs/find-programs.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { emptyPrint, mergePrints, type TablePrint } from '../postgres/fingerprint/content.ts'
import { type Dump, startDump } from '../postgres/pg-dump/pg-dump.ts'
import {
  splitWork,
  type Depth,
  type Fingerprint,
  readSupplement,
  type Supplement,
} from '../postgres/fingerprint/fingerprint.ts'
import { freeConnections, maxArchives, planArchives } from '../postgres/pg-dump/archive-plan.ts'
import { countLargeObjects, measureLargeObjects } from '../postgres/fingerprint/large-objects.ts'
import { listTables, type Table } from '../postgres/fingerprint/tables.ts'
import { printSchema, type SchemaPrint } from '../postgres/fingerprint/schema.ts'
import {
  rethrowAsDrift,
  Drift,
  lockWait,
  openReader,
  type Reader,
  type Snapshot,
  takeSnapshot,
} from '../postgres/pg-dump/snapshot.ts'
import type { Session } from '../postgres/connection/session.ts'
import { messageOf, UserError } from '../errors.ts'
import type { Work } from '../work.ts'

/**
 * One moment of a database, held still: every archive's pg_dump and the readers of the fingerprint
 * are all on it, hold their locks, and wait for us.
 */
export interface ConsistentSnapshot {
  readonly snapshot: Snapshot
  /** The base archive first. */
  readonly dumps: Dump[]
  readonly tables: Table[]
  readonly schema: SchemaPrint
  readonly supplement: Supplement
  /**
   * Whether readers lock tables only when they come to them: the base archive's pg_dump then holds
   * all locks, and must not end before them.
   */
  readonly lean: boolean
  /** How many snapshots it took. */
  readonly attempts: number
  /** Settles if the server ends the session that holds the snapshot. */
  readonly lost: Promise<Error>
  /**
   * Reads every table once; `onRead` is told how many bytes of tables were gone through,
   * `onFailure` at once of the first thing that went wrong.
   */
  measure(onRead: (bytes: number) => void, onFailure: (error: unknown) => void): Promise<Measured>
  end(): Promise<void>
}

/** What a fingerprint says of rows and large objects. */
export type Measured = Pick<Fingerprint, 'largeObjects'> & { tables: TablePrint[] }

export interface ConsistentSnapshotOptions {
  connection: Connection
  programs: Programs
  encoding: string
  /** Tables of this many bytes and more get an archive of their own. */
  largeTable: number
  depth: Depth
  /** Archives that will be read side by side, and sessions that read for the fingerprint. */
  jobs: number
  /** Told when a pg_dump begins to read a table, by its archive's name. */
  onTable: (archive: string, table: string) => void
}

/**
 * How long we try to get a moment in which nothing moves, milliseconds. Behind a lock that is held
 * for longer, a backup is given up with its name.
 */
const snapshotTimeout = 5 * 60_000

/**
 * Takes a snapshot, starts everything that reads it, and looks whether anything moved meanwhile. If
 * so, or if a lock was not to be had at once, lets go of all and starts over after a while: nothing
 * of ours ever waits in a queue of locks that waits for us.
 */
export async function openConsistentSnapshot(
  options: ConsistentSnapshotOptions,
  work: Work,
): Promise<ConsistentSnapshot> {
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
          `In ${snapshotTimeout / 60_000} minutes and ${attempts} attempts there was no moment in which all tables stood still: ${messageOf(error)}`,
          'Something holds or takes exclusive locks all the time: a migration, VACUUM FULL, or a job that truncates. Run the backup at another time.',
          { cause: error },
        )
      const pause = Math.min(200 * 1.4 ** attempts, 15_000) * (0.5 + Math.random())
      work.log.info(
        `Attempt ${attempts}: ${messageOf(error)}; starting over with a new snapshot (this is tried for ${snapshotTimeout / 60_000} minutes)`,
      )
      await pauseFor(pause, work)
    }
  }
}

async function attempt(
  options: ConsistentSnapshotOptions,
  attempts: number,
  work: Work,
): Promise<ConsistentSnapshot> {
  const { connection, programs, encoding, depth } = options
  const snapshot = await takeSnapshot(connection, work)
  const readers: Reader[] = []
  const dumps: Dump[] = []
  const end = async (): Promise<void> => {
    await Promise.allSettled([
      ...dumps.map((dump) => dump.stop()),
      ...readers.map((reader) => reader.end()),
      snapshot.end(),
    ])
  }
  try {
    const all = await listTables(snapshot.session).catch(rethrowAsDrift)
    const tables = all.filter((table) => !table.unreadable)
    // pg_dump locks no table of an extension, and reads those that hold its configuration
    await snapshot.lock(tables.filter(({ condition }) => condition !== undefined))
    const capacity = await lockCapacity(snapshot.session)
    const lean = 3 * tables.length > capacity / 2
    const free = await freeConnections(snapshot.session)
    const buckets =
      depth === 'none'
        ? []
        : splitWork(tables, Math.max(1, Math.min(options.jobs, Math.floor(free / 3))))
    // each archive is a reading of the whole catalogue: twice as many as are read at a time keep
    // all busy to the end, beside the base archive and large objects
    const archives = Math.max(
      1,
      Math.min(maxArchives, 2 + Math.max(4, 2 * options.jobs), free - buckets.length - 1),
    )
    const plans = await planArchives(snapshot.session, all, {
      largeTable: options.largeTable,
      archives,
      encoding,
    })
    // each one is noted at once, so that `end` finds it also when another one fails
    const open = (): Promise<void> =>
      settled(
        buckets.map(async (bucket) => {
          const reader = await openReader(
            snapshot,
            bucket,
            { lockFirst: !lean, depth: depth === 'counts' ? depth : 'content' },
            work,
          )
          readers.push(reader)
        }),
      )
    const begin = (): Promise<void> =>
      settled(
        plans.map(async (plan) => {
          const onTable = (table: string): void => options.onTable(plan.name, table)
          const dump = await startDump(
            programs,
            connection,
            { snapshot: snapshot.id, encoding, plan, onTable },
            work,
          )
          dumps.push(dump)
        }),
      )
    let schema: SchemaPrint = {}
    const print = async (): Promise<void> => {
      if (depth !== 'none')
        schema = await printSchema(
          programs,
          connection,
          { snapshot: snapshot.id, lockWait, encoding },
          work,
        ).catch(asDriftByWords)
    }
    if (lean) {
      // a lock table that many tables would fill: one pg_dump that locks all after the other
      work.log.info(
        `${tables.length} tables, and room for some ${capacity} locks: the fingerprint locks them some at a time, to spare the server's lock table`,
      )
      await print()
      await begin()
      await open()
    } else await settled([begin(), open(), print()])
    dumps.sort((a, b) => plans.indexOf(a.plan) - plans.indexOf(b.plan))
    const supplement = await readSupplement(snapshot.session)
    const moved = await snapshot.moved()
    if (moved.length)
      throw new Drift(
        `${moved.slice(0, 3).join(', ')}${moved.length > 3 ? ` and ${moved.length - 3} more` : ''} moved while the snapshot was taken`,
      )
    const { lost } = snapshot.session
    const measure: ConsistentSnapshot['measure'] = async (onRead, onFailure) => {
      if (depth === 'none') return { tables: [] }
      const measured = await read(snapshot, readers, depth, onRead, onFailure)
      return {
        ...measured,
        tables: [
          ...measured.tables,
          ...all.filter((table) => table.unreadable).map((table) => emptyPrint(table, depth)),
        ],
      }
    }
    return { snapshot, dumps, tables: all, schema, supplement, lean, attempts, lost, measure, end }
  } catch (error) {
    await end()
    throw error
  }
}

async function read(
  snapshot: Snapshot,
  readers: readonly Reader[],
  depth: 'content' | 'counts',
  onRead: (bytes: number) => void,
  onFailure: (error: unknown) => void,
): Promise<Measured> {
  const tables: TablePrint[] = []
  const measured: Measured = { tables }
  const bodies = [
    ...readers.map(async (reader) => tables.push(...(await reader.measure(onRead)))),
    (async () =>
      (measured.largeObjects = await (depth === 'content'
        ? measureLargeObjects(snapshot.session)
        : countLargeObjects(snapshot.session))))(),
  ]
  for (const body of bodies as Promise<unknown>[]) body.catch(onFailure)
  await settled(bodies)
  return { ...measured, tables: mergePrints(tables) }
}

/**
 * Waits for all, so that none goes on after a failure of another was told; then throws the first
 * failure, if there is one.
 */
async function settled(all: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(all))
    if (outcome.status === 'rejected') throw outcome.reason
}

/** How many locks the server has room for, by its settings. */
async function lockCapacity(session: Session): Promise<number> {
  const [row] = await session.query<{ capacity: number }>(
    `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int4 * (pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4) AS capacity`,
  )
  return row?.capacity ?? 0
}

/** The same of pg_dump's words. */
function asDriftByWords(error: unknown): never {
  if (
    /lock timeout|statement timeout|does not exist|cache lookup failed|could not open relation/.test(
      messageOf(error),
    )
  )
    throw new Drift(messageOf(error).replace(/\s+/g, ' ').slice(0, 300))
  throw error
}

export function pauseFor(milliseconds: number, work: Work): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer)
      work.signal.removeEventListener('abort', finish)
      if (work.signal.aborted) reject(work.signal.reason as Error)
      else resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    work.signal.addEventListener('abort', finish, { once: true })
  })
}
