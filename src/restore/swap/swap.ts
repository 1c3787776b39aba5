/**
 * Restores into a side database, compares it, and renames it to the target's name. The source is a
 * backup or an external dump.
 */
import {
  type DatabaseSettings,
  readDatabaseSettings,
  writeDatabaseSettings,
} from '../../postgres/server/database-settings.ts'
import {
  nextFreeTimestamp,
  previousDatabaseName,
  parseMark,
  commentWithMark,
} from '../../postgres/server/previous-databases.ts'
import type { Swap } from '../../postgres/server/swap.ts'
import type { Session } from '../../postgres/connection/session.ts'
import type { Work } from '../../work.ts'
import { dropPreviousDatabases } from '../clean.ts'
import type { RestoreOptions } from '../options.ts'
import { markDone } from '../plan.ts'
import { withLockedTarget } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import { createSafetyBackup, safetyBackupObstacle, safetyStep } from '../safety-backup.ts'
import { beginSwap } from './check-and-plan.ts'
import { buildAndRename, runAfterSwap, type SwapContext } from './build-and-rename.ts'
import type { Source } from './source.ts'

/**
 * Restores a database by swap. Restores the source into a side database, compares or counts it, and
 * copies the target's owner, grants and settings to it. Then renames both databases in one
 * transaction, and keeps the target as the marked previous database. A failure before the renames
 * leaves the target unchanged, and leaves nothing behind but the safety backup.
 */
export async function restoreBySwap<R extends Restored>(
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  return withLockedTarget(options.target, work, (session) =>
    swapInSession(session, source, options, work),
  )
}

async function swapInSession<R extends Restored>(
  session: Session,
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  const target = options.target.database
  const current = await readCurrentSettings(session, target)
  const until = await nextFreeTimestamp(session, target)
  const previous = current ? previousDatabaseName(target, until) : undefined
  const safety = current !== undefined && options.safetyBackup !== false
  const context = await beginSwap(
    session,
    source,
    options,
    {
      mode: 'swap',
      exists: current !== undefined,
      previous,
      steps: { safety: safety ? safetyStep(target, source.safety) : undefined },
      obstacle: safety ? safetyBackupObstacle(options, source.safety) : undefined,
    },
    work,
  )
  const { result } = context
  if (!current)
    result.warnings.push(
      `The server has no database "${target}" to copy owner, grants and settings from: ` +
        "the new database has the server's defaults.",
    )
  if (options.dryRun) {
    await planCleanUp(context, work)
    result.timings.total = Date.now() - source.started
    return result
  }
  if (safety) await takeSafetyBackup(context, work)
  await buildAndRename(
    context,
    { previous, comments: commentsFor(source, target, current, until) },
    async (side) => {
      if (current) await writeDatabaseSettings(session, side.database, current)
      markDone(context, 'settings', work)
    },
    work,
  )
  await runAfterSwap(context, work)
  return result
}

/**
 * Reads the target's settings; undefined if it does not exist. Removes our mark from its comment:
 * a previous database that was renamed back by hand still has it, but is in use.
 */
async function readCurrentSettings(
  session: Session,
  target: string,
): Promise<DatabaseSettings | undefined> {
  const settings = await readDatabaseSettings(session, target)
  return settings && { ...settings, comment: parseMark(settings.comment).comment }
}

async function takeSafetyBackup(context: SwapContext, work: Work): Promise<void> {
  const { source, options, result } = context
  result.safetyBackup = await createSafetyBackup(options, source.safety, work)
  result.timings.safety = result.safetyBackup.took
  markDone(context, 'safety', work)
}

function commentsFor(
  source: Source,
  database: string,
  current: DatabaseSettings | undefined,
  until: string,
): NonNullable<Swap['comments']> {
  if (!current) return {}
  const mark = { database, until, by: `${source.by} took its place` }
  return { previous: commentWithMark(current.comment, mark) }
}

/** On a dry run: finds the previous databases that the restore would drop. */
async function planCleanUp({ session, options, result }: SwapContext, work: Work): Promise<void> {
  if (options.keepPrevious === undefined) return
  result.cleaned = await dropPreviousDatabases(
    session,
    result.target,
    options.keepPrevious,
    { dryRun: true },
    work,
  )
}
