import { UserError } from '../errors.ts'
import { isServerError } from '../postgres/connection/server-error.ts'
import { quoteName, type Session } from '../postgres/connection/session.ts'
import { connectToMaintenanceDatabase } from '../postgres/server/maintenance-session.ts'
import {
  isPreviousDatabaseName,
  type PreviousDatabase,
  listPreviousDatabases,
} from '../postgres/server/previous-databases.ts'
import { swapObstacles } from '../postgres/server/swap.ts'
import { input, join, text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import { lockTarget } from './preconditions.ts'

/** What a clean-up did with each previous database of a target. */
export interface Cleaned {
  /** The minimum age to drop, in milliseconds. */
  olderThan: number
  /** Dropped, or on a dry run: to be dropped. */
  dropped: { database: string; until: string; bytes?: number }[]
  /** Old enough, but not dropped. */
  left: { database: string; until: string; bytes?: number; why: string }[]
  /** Not old enough. */
  kept: { database: string; until: string; bytes?: number }[]
}

export interface CleanResult extends Cleaned {
  task: 'clean'
  target: string
  confirm: string
  environmentName?: string
  dryRun: boolean
  /** Milliseconds. */
  timings: { total: number }
}

/**
 * Drops previous databases of the target that are older than `keepPrevious`. Throws `bad-input`
 * without `keepPrevious`, and `database-missing` if the target does not exist.
 */
export async function clean(
  options: Omit<RestoreOptions, 'task'>,
  work: Work,
): Promise<CleanResult> {
  const started = Date.now()
  const { environmentName, dryRun, keepPrevious } = options
  const target = options.target.database
  if (keepPrevious === undefined)
    throw new UserError(
      'bad-input',
      text`${input('clean')} needs ${input('keep-previous')}.`,
      text`Say how long previous databases are kept, for example ${input('keep-previous', '7d')}.`,
    )
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const there = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      target,
    ])
    // If the target was dropped by mistake, the previous databases are needed to restore it.
    if (there.length === 0)
      throw new UserError(
        'database-missing',
        `The server has no database "${target}", so none of its previous databases was dropped.`,
        join(
          [
            text`If it was dropped by mistake, bring back a previous one: ${input('undo', true)}.`,
            text`If the name is misspelled, correct ${input('target-url')}.`,
          ],
          ' ',
        ),
      )
    if (!dryRun) options.known?.({ progress: 'changing' })
    const cleaned = await dropPreviousDatabases(session, target, keepPrevious, { dryRun }, work)
    return {
      task: 'clean',
      target,
      confirm: options.confirm.expected,
      ...(environmentName ? { environmentName } : {}),
      dryRun,
      ...cleaned,
      timings: { total: Date.now() - started },
    }
  } finally {
    await session.end()
  }
}

/**
 * Drops previous databases of `target` that are older than `olderThan` milliseconds, `except` one.
 *
 * Drops only databases that have our mark *and* the name that a swap gave them: a renamed database
 * is one the user wants to keep. Never drops a database in use, and never uses FORCE. A database
 * that cannot be dropped is part of the result, not an error.
 */
export async function dropPreviousDatabases(
  session: Session,
  target: string,
  olderThan: number,
  { dryRun, except }: { dryRun: boolean; except?: string | undefined },
  work: Work,
): Promise<Cleaned> {
  const cleaned: Cleaned = { olderThan, dropped: [], left: [], kept: [] }
  for (const previous of await listPreviousDatabases(session, target)) {
    work.signal.throwIfAborted()
    const {
      name: database,
      mark: { until },
      bytes,
    } = previous
    const entry = { database, until, ...(bytes === undefined ? {} : { bytes }) }
    if (database === except || Date.now() - Date.parse(until) < olderThan) {
      cleaned.kept.push(entry)
      continue
    }
    const why =
      (await whyLeft(session, target, previous)) ??
      (dryRun ? undefined : await drop(session, database))
    if (why === undefined) cleaned.dropped.push(entry)
    else cleaned.left.push({ ...entry, why })
    if (why === undefined && !dryRun) work.log.info(`Dropped "${database}", kept since ${until}`)
  }
  return cleaned
}

/** Returns why a previous database must not be dropped; undefined if it can be. */
async function whyLeft(
  session: Session,
  target: string,
  { name, sessions }: PreviousDatabase,
): Promise<string | undefined> {
  if (!isPreviousDatabaseName(name, target)) return 'it was renamed, so it is kept'
  if (sessions > 0)
    return `${sessions} ${sessions === 1 ? 'session is' : 'sessions are'} connected to it`
  const [first] = await swapObstacles(session, undefined, name)
  return first === undefined ? undefined : `it has ${first}`
}

/** Drops a database. Returns why it could not; undefined if it is gone. */
async function drop(session: Session, database: string): Promise<string | undefined> {
  try {
    await session.query(`DROP DATABASE ${quoteName(database)}`)
    return undefined
  } catch (error) {
    if (!isServerError(error)) throw error
    if (error.code === '3D000') return undefined // it is already gone
    if (error.code === '55006') return 'a session connected to it'
    return `it could not be dropped: ${error.message}`
  }
}
