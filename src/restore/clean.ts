import { messageOf, UserError } from '../errors.ts'
import { quoteName, type Session } from '../postgres/connection/session.ts'
import { connectToMaintenanceDatabase } from '../postgres/server/maintenance-session.ts'
import {
  isPreviousDatabaseName,
  type PreviousDatabase,
  listPreviousDatabases,
} from '../postgres/server/previous-databases.ts'
import { swapObstacles } from '../postgres/server/swap.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import { lockTarget } from './preconditions.ts'

/** What became of databases that were replaced and kept. */
export interface Cleaned {
  /** Older than this, milliseconds. */
  olderThan: number
  /** Dropped; on a dry run, those that would be. */
  dropped: { database: string; until: string; bytes?: number }[]
  /** Old enough, and left all the same. */
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
 * Drops what restores of this target replaced, and what was kept long enough. Touches nothing else.
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
      'clean is true, and keep-previous is empty.',
      'Say how long replaced databases are kept, for example keep-previous: 24h.',
    )
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const there = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      target,
    ])
    // whoever lost it will want what was kept
    if (there.length === 0)
      throw new UserError(
        'database-missing',
        `There is no database "${target}" on that server, so nothing that was kept of it was dropped.`,
        'If it was dropped by mistake, put back what was kept: undo: true. If the name is misspelt, correct target-url.',
      )
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
 * Drops the databases kept under this name whose mark is older; `except` the one just kept. Only
 * what bears our mark *and* the name that we gave it: who renamed one wants to keep it. Never one
 * that somebody uses, and never by force. What could not be dropped is told, not thrown.
 */
export async function dropPreviousDatabases(
  session: Session,
  target: string,
  olderThan: number,
  { dryRun, except }: { dryRun: boolean; except?: string | undefined },
  work: Work,
): Promise<Cleaned> {
  const cleaned: Cleaned = { olderThan, dropped: [], left: [], kept: [] }
  for (const kept of await listPreviousDatabases(session, target)) {
    work.signal.throwIfAborted()
    const {
      name: database,
      mark: { until },
      bytes,
    } = kept
    const one = { database, until, ...(bytes === undefined ? {} : { bytes }) }
    if (database === except || Date.now() - Date.parse(until) < olderThan) {
      cleaned.kept.push(one)
      continue
    }
    const why =
      (await whyLeft(session, target, kept)) ?? (dryRun ? undefined : await drop(session, database))
    if (why === undefined) cleaned.dropped.push(one)
    else cleaned.left.push({ ...one, why })
    if (why === undefined && !dryRun) work.log.info(`Dropped "${database}", kept since ${until}`)
  }
  return cleaned
}

async function whyLeft(
  session: Session,
  target: string,
  { name, sessions }: PreviousDatabase,
): Promise<string | undefined> {
  if (!isPreviousDatabaseName(name, target)) return 'it was renamed, so somebody wants to keep it'
  if (sessions > 0)
    return `${sessions} ${sessions === 1 ? 'session is' : 'sessions are'} connected to it`
  const [first] = await swapObstacles(session, undefined, name)
  return first === undefined ? undefined : `it has ${first}`
}

async function drop(session: Session, database: string): Promise<string | undefined> {
  try {
    await session.query(`DROP DATABASE ${quoteName(database)}`)
    return undefined
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === '3D000') return undefined
    if (code === undefined || !/^[0-9A-Z]{5}$/.test(code)) throw error
    return code === '55006'
      ? 'somebody connected to it'
      : `it could not be dropped: ${messageOf(error)}`
  }
}
