import { randomBytes } from 'node:crypto'
import { UserError } from '../../errors.ts'
import { type Connection, withDatabase } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { dropHeldDatabase } from '../../postgres/server/maintenance-session.ts'
import { type Swap, swapDatabases, swapObstacles } from '../../postgres/server/swap.ts'
import type { Work } from '../../work.ts'
import { dropPreviousDatabases } from '../clean.ts'
import type { RestoreOptions } from '../options.ts'
import { type AllSteps, finish } from '../plan.ts'
import { command, judgeTime } from '../post-command.ts'
import { prepareDatabase } from '../prepare.ts'
import type { Restored } from '../result.ts'
import type { SidePrograms } from './side-database.ts'
import type { Source } from './source.ts'

/**
 * What restoring beside a target and naming it so has in common, whether there was a target or not.
 */
export interface SwapContext<R extends Restored = Restored> {
  source: Source<R>
  options: RestoreOptions
  /** On another database of the server. */
  session: Session
  programs: SidePrograms
  steps: AllSteps
  result: R & { age?: number }
}

/**
 * Builds the new database under a name of ours, has `ready` do to it what the mode needs, runs
 * `prepare`, and gives it the target's name. Whatever fails before drops it, and leaves the target
 * as it was.
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
    name: `holdfast_side_${randomBytes(6).toString('hex')}`,
    input: 'target-url',
  } as const
  const connection = await withEventTriggersOff(session, withDatabase(options.target, held.name))
  work.hold(held)
  try {
    const built = await source.build({ session, programs, connection }, (step) =>
      finish(context, step, work),
    )
    result.warnings.push(...built.warnings)
    Object.assign(result.timings, built.timings)
    Object.assign(result, built.counted)
    const from = Date.now()
    await ready(connection)
    if (options.prepare !== undefined) {
      await prepareDatabase(connection, options.prepare, work)
      result.prepared = true
      finish(context, 'prepare', work)
    }
    result.timings.prepare = Date.now() - from
    work.signal.throwIfAborted()
    // what was looked for at the beginning may have come meanwhile
    const obstacles =
      swap.previous === undefined ? [] : await swapObstacles(session, undefined, target)
    if (obstacles.length)
      throw new UserError(
        'swap-unsafe',
        `A swap of "${target}" would break: ${obstacles.join('; ')}. Nothing was replaced.`,
        'Remove them first, and make them anew after the restore.',
      )
    const swapping = Date.now()
    result.sessionsEnded = await swapDatabases(session, { target, side: held.name, ...swap }, work)
    result.timings.swap = Date.now() - swapping
    work.release(held)
    finish(context, 'swap', work)
  } catch (error) {
    if (!context.steps.swap.done) await dropHeldDatabase(session.connection, held, work)
    throw error
  }
  const lost =
    source.snapshotAt === undefined ? undefined : Date.now() - Date.parse(source.snapshotAt)
  if (lost !== undefined) result.age = lost
  if (swap.previous !== undefined) result.previousDatabase = swap.previous
  options.known?.({
    database: target,
    ...(lost === undefined ? {} : { lost }),
    ...(swap.previous === undefined ? {} : { previousDatabase: swap.previous }),
  })
}

/**
 * After the swap: checks max-restore-time, runs the post-command and, if that succeeded, drops old
 * previous databases. Nothing here undoes the restore.
 */
export async function runAfterSwap(context: SwapContext, work: Work): Promise<void> {
  const { options, source, programs, result } = context
  judgeTime(result, options, source.started, work)
  const ran = await command(result, options, programs.server, work)
  if (ran?.failed === undefined) finish(context, 'command', work)
  if (options.keepPrevious !== undefined)
    await cleanUp(context, options.keepPrevious, ran?.failed !== undefined, work)
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
    result.warnings.push(
      'No database that was kept has been dropped, since the post-command failed.',
    )
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
    finish(context, 'clean', work)
  } catch (error) {
    work.signal.throwIfAborted()
    result.warnings.push(
      `The restore is done, but databases that were kept could not be looked at: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}
