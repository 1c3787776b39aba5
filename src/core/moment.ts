import type { Programs } from '../postgres/binaries.ts'
import type { Connection } from '../postgres/connection.ts'
import { emptyPrint, type TablePrint } from '../postgres/content.ts'
import { type Dump, startDump } from '../postgres/dump.ts'
import { dealOut, readSupplement, type Supplement } from '../postgres/fingerprint.ts'
import { type LargeObjectsPrint, measureLargeObjects } from '../postgres/large-objects.ts'
import { listTables } from '../postgres/relations.ts'
import { printSchema, type SchemaPrint } from '../postgres/schema.ts'
import { Drift, lockWait, openReader, type Reader, type Snapshot, takeSnapshot } from '../postgres/snapshot.ts'
import type { Session } from '../postgres/session.ts'
import { messageOf, UserError } from '../errors.ts'
import type { Work } from '../work.ts'

/** One moment of a database, held still: the dump and the readers of the fingerprint are all on it, hold their locks, and wait for us. */
export interface Moment {
  readonly snapshot: Snapshot
  readonly dump: Dump
  readonly schema: SchemaPrint
  readonly supplement: Supplement
  /** How many snapshots it took. */
  readonly attempts: number
  /** Settles if the server ends the session that holds the snapshot. */
  readonly lost: Promise<Error>
  /** Reads every table once. */
  measure(): Promise<{ tables: TablePrint[]; largeObjects: LargeObjectsPrint }>
  end(): Promise<void>
}

export interface MomentOptions {
  connection: Connection
  programs: Programs
  encoding: string
  /** Sessions that read for the fingerprint side by side. */
  readers: number
}

/** How long we try to get a moment in which nothing moves, milliseconds. Behind a lock that is held for longer, a backup is given up with its name. */
const patience = 5 * 60_000

/**
 * Takes a snapshot, starts everything that reads it, and looks whether anything moved meanwhile. If so, or if a lock was not
 * to be had at once, lets go of all and starts over after a while: nothing of ours ever waits in a queue of locks that
 * waits for us.
 */
export async function holdStill(options: MomentOptions, work: Work): Promise<Moment> {
  const deadline = Date.now() + patience
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt(options, attempts, work)
    } catch (error) {
      work.signal.throwIfAborted()
      if (!(error instanceof Drift)) throw error
      if (Date.now() > deadline)
        throw new UserError('tables-in-motion', `In ${patience / 60_000} minutes and ${attempts} attempts there was no moment in which all tables stood still: ${messageOf(error)}`, 'Something holds or takes exclusive locks all the time: a migration, VACUUM FULL, or a job that truncates. Run the backup at another time.', { cause: error })
      const pause = Math.min(200 * 1.4 ** attempts, 15_000) * (0.5 + Math.random())
      work.log.info(`Attempt ${attempts}: ${messageOf(error)}; starting over with a new snapshot`)
      await pauseFor(pause, work)
    }
  }
}

async function attempt(options: MomentOptions, attempts: number, work: Work): Promise<Moment> {
  const { connection, programs, encoding } = options
  const snapshot = await takeSnapshot(connection, work)
  const readers: Reader[] = []
  let dump: Dump | undefined
  const end = async (): Promise<void> => {
    await Promise.allSettled([dump?.stop(), ...readers.map((reader) => reader.end()), snapshot.end()])
  }
  try {
    const all = await listTables(snapshot.session)
    const tables = all.filter((table) => !table.unreadable)
    const lean = 3 * tables.length > (await lockCapacity(snapshot.session)) / 2
    const open = async (): Promise<void> => {
      // each opened reader is noted at once, so that `end` finds it also when another one fails
      const opened = dealOut(tables, options.readers).map(async (hand) => readers.push(await openReader(snapshot, hand, !lean, work)))
      const failure = (await Promise.allSettled(opened)).find((outcome) => outcome.status === 'rejected')
      if (failure) throw failure.reason
    }
    const begin = async (): Promise<void> => {
      dump = await startDump(programs, connection, { snapshot: snapshot.id, encoding }, work)
    }
    const print = (): Promise<SchemaPrint> => printSchema(programs, connection, { snapshot: snapshot.id, lockWait, encoding }, work).catch(asDrift)
    let schema: SchemaPrint
    if (lean) {
      // a lock table that many tables would fill: one pg_dump after the other
      work.log.info(`${tables.length} tables: the fingerprint locks them some at a time, to spare the server's lock table`)
      schema = await print()
      await begin()
      await open()
    } else {
      const [first, second, third] = await Promise.allSettled([print(), begin(), open()])
      for (const outcome of [second, third, first]) if (outcome.status === 'rejected') throw outcome.reason
      schema = (first as PromiseFulfilledResult<SchemaPrint>).value
    }
    const supplement = await readSupplement(snapshot.session)
    const moved = await snapshot.moved()
    if (moved.length) throw new Drift(`${moved.slice(0, 3).join(', ')}${moved.length > 3 ? ` and ${moved.length - 3} more` : ''} moved while the snapshot was taken`)
    const { lost } = snapshot.session
    const measure = async (): ReturnType<Moment['measure']> => {
      const measured = await read(snapshot, readers)
      return { ...measured, tables: [...measured.tables, ...all.filter((table) => table.unreadable).map((table) => emptyPrint(table, 'content'))] }
    }
    return { snapshot, dump: dump as unknown as Dump, schema, supplement, attempts, lost, measure, end }
  } catch (error) {
    await end()
    throw error
  }
}

async function read(snapshot: Snapshot, readers: readonly Reader[]): Promise<{ tables: TablePrint[]; largeObjects: LargeObjectsPrint }> {
  const tables = Promise.all(readers.map((reader) => reader.measure()))
  const largeObjects = measureLargeObjects(snapshot.session)
  // all are waited for, so that none goes on reading after a failure of another was told
  for (const outcome of await Promise.allSettled([tables, largeObjects])) if (outcome.status === 'rejected') throw outcome.reason
  return { tables: (await tables).flat(), largeObjects: await largeObjects }
}

/** How many locks the server has room for, by its settings. */
async function lockCapacity(session: Session): Promise<number> {
  const [row] = await session.query<{ capacity: number }>(
    `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int4 * (pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4) AS capacity`,
  )
  return row?.capacity ?? 0
}

function asDrift(error: unknown): never {
  if (/lock timeout|statement timeout|does not exist|cache lookup failed|could not open relation/.test(messageOf(error))) throw new Drift(messageOf(error).replace(/\s+/g, ' ').slice(0, 300))
  throw error
}

function pauseFor(milliseconds: number, work: Work): Promise<void> {
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
