import { messageOf } from '../../errors.ts'
import { type Connection, withDatabase } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { dropHeldDatabase } from '../../postgres/server/maintenance-session.ts'
import { newOwnName } from '../../postgres/server/own-names.ts'
import { type Swap, swapDatabases, swapObstacles } from '../../postgres/server/swap.ts'
import type { Work } from '../../work.ts'
import { dropPreviousDatabases } from '../clean.ts'
import { swapUnsafe } from '../errors.ts'
import { recordObjective } from '../objective.ts'
import type { RestoreOptions } from '../options.ts'
import { type AllSteps, markDone } from '../plan.ts'
import { runAndRecordPostCommand } from '../post-command.ts'
import { prepareDatabase } from '../prepare.ts'
import type { Restored } from '../result.ts'
import type { SidePrograms } from './side-database.ts'
import type { Source } from './source.ts'

/** A restore into a side database, while it runs. */
export interface SwapContext<R extends Restored = Restored> {
  source: Source<R>
  options: RestoreOptions
  /** Connected to another database of the server. */
  session: Session
  programs: SidePrograms
  steps: AllSteps
  result: R & { age?: number }
}

/**
 * Builds the side database, calls `ready` for what the mode needs, runs `prepare`, and renames the
 * side database to the target's name. A failure before the rename drops the side database and
 * leaves the target unchanged.
 */
export async function buildAndRename(
  context: SwapContext,
  swap: Omit<Swap, 'target' | 'side'>,
  ready: (side: Connection) => Promise<void>,
  work: Work,
): Promise<void> {
  const { source, options, session, programs, result } = context
  const target = options.target.database
  const held = {
    kind: 'database',
    name: newOwnName('side'),
    input: 'target-url',
  } as const
  const connection = await withEventTriggersOff(session, withDatabase(options.target, held.name))
  options.known?.({ progress: 'begun' })
  work.hold(held)
  try {
    const built = await source.build({ session, programs, connection }, (step) =>
      markDone(context, step, work),
    )
    result.warnings.push(...built.warnings)
    Object.assign(result.timings, built.timings)
    Object.assign(result, built.counted)
    const from = Date.now()
    await ready(connection)
    if (options.prepare !== undefined) {
      await prepareDatabase(connection, options.prepare, work)
      result.prepared = true
      markDone(context, 'prepare', work)
    }
    result.timings.prepare = Date.now() - from
    work.signal.throwIfAborted()
    if (swap.previous !== undefined) await checkSwap(session, target)
    const swapping = Date.now()
    options.known?.({ progress: 'changing' })
    result.sessionsEnded = await swapDatabases(session, { target, side: held.name, ...swap }, work)
    result.timings.swap = Date.now() - swapping
    work.release(held)
    markDone(context, 'swap', work)
  } catch (error) {
    if (!context.steps.swap.done) await dropHeldDatabase(session.connection, held, work)
    throw error
  }
  recordSwap(context, swap.previous)
}

/** Throws `swap-unsafe` for obstacles that appeared since the restore began. */
async function checkSwap(session: Session, target: string): Promise<void> {
  const obstacles = await swapObstacles(session, undefined, target)
  if (obstacles.length) throw swapUnsafe(target, obstacles, 'Nothing was replaced.')
}

/** Records the age of the data and the previous database, and reports both at once. */
function recordSwap({ source, options, result }: SwapContext, previous: string | undefined): void {
  const age =
    source.snapshotAt === undefined ? undefined : Date.now() - Date.parse(source.snapshotAt)
  if (age !== undefined) result.age = age
  if (previous !== undefined) result.previousDatabase = previous
  options.known?.({
    progress: 'done',
    database: options.target.database,
    ...(age === undefined ? {} : { lost: age }),
    ...(previous === undefined ? {} : { previousDatabase: previous }),
  })
}

/**
 * After the swap: checks max-restore-time, runs the post-command and, if that succeeded, drops old
 * previous databases. Nothing here undoes the restore.
 */
export async function runAfterSwap(context: SwapContext, work: Work): Promise<void> {
  const { options, source, programs, result } = context
  recordObjective(result, options, source.started, work)
  const postCommand = await runAndRecordPostCommand(result, options, programs.server, work)
  const failed = postCommand?.failed !== undefined
  if (!failed) markDone(context, 'command', work)
  if (options.keepPrevious !== undefined) await cleanUp(context, options.keepPrevious, failed, work)
  result.timings.total = Date.now() - source.started
}

async function cleanUp(
  context: SwapContext,
  keepPrevious: number,
  failed: boolean,
  work: Work,
): Promise<void> {
  const { session, result } = context
  if (failed) {
    result.warnings.push('No previous database was dropped, because the post-command failed.')
    return
  }
  try {
    result.cleaned = await dropPreviousDatabases(
      session,
      result.target,
      keepPrevious,
      { dryRun: false, except: result.previousDatabase },
      work,
    )
    markDone(context, 'clean', work)
  } catch (error) {
    work.signal.throwIfAborted()
    result.warnings.push(
      `The restore is done, but old previous databases could not be dropped: ${messageOf(error)}`,
    )
  }
}
