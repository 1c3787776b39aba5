import {
  readDatabaseSettings,
  writeDatabaseSettings,
} from '../../postgres/server/database-settings.ts'
import { connectToMaintenanceDatabase } from '../../postgres/server/maintenance-session.ts'
import {
  nextFreeTimestamp,
  previousDatabaseName,
  parseMark,
  commentWithMark,
} from '../../postgres/server/previous-databases.ts'
import type { Work } from '../../work.ts'
import { dropPreviousDatabases } from '../clean.ts'
import type { RestoreOptions } from '../options.ts'
import { finish, stepsAsked, withSteps } from '../plan.ts'
import { findObstacles, lockTarget } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import { backUpTarget, safetyStep, whyNoSafety } from '../safety-backup.ts'
import { type SwapContext, buildAndRename, runAfterSwap } from './build-and-rename.ts'
import type { Source } from './source.ts'

/**
 * Puts a database back as a backup, or a file, has it. Everything that takes long happens beside: a
 * new database is restored, compared with the fingerprint (or counted), given the target's own
 * owner, grants and settings; only then do the two change names, in one transaction. The old one is
 * kept, and marked as such. Whatever fails before leaves the target as it was, and nothing beside
 * it but the safety backup.
 */
export async function restoreBySwap<R extends Restored>(
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  const { started } = source
  const target = options.target.database
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const found = await readDatabaseSettings(session, target)
    // a database that was named back by hand may still bear our mark: it is what is used now, and
    // no longer kept
    const there = found && { ...found, comment: parseMark(found.comment).comment }
    const until = await nextFreeTimestamp(session, target)
    const previous = there ? previousDatabaseName(target, until) : undefined
    const guarded = {
      session,
      target: options.target,
      exists: there !== undefined,
      backup: source.needs,
      owner: options.owner ?? 'keep',
    }
    const safety = there !== undefined && options.safetyBackup !== false
    const unsafe = safety ? whyNoSafety(options, source.safety) : undefined
    const obstacles = [...(await findObstacles(guarded, work)), ...(unsafe ? [unsafe] : [])]
    if (obstacles[0] && !options.dryRun) throw obstacles[0]
    const programs = await source.programs(session)
    const steps = withSteps(source.steps(target, previous), {
      ...stepsAsked(options),
      safety: safety ? safetyStep(target, source.safety) : undefined,
    })
    const result = source.result('swap', session, steps)
    if (!there)
      result.warnings.push(
        `There is no database "${target}" to take owner, grants and settings from: the new one has the server's defaults.`,
      )
    if (options.dryRun) {
      result.facts = await source.facts(guarded, obstacles, programs.server)
      if (options.keepPrevious !== undefined)
        result.cleaned = await dropPreviousDatabases(
          session,
          target,
          options.keepPrevious,
          { dryRun: true },
          work,
        )
      result.timings.total = Date.now() - started
      return result
    }
    const context: SwapContext<R> = { source, options, session, programs, steps, result }
    if (safety) {
      result.safetyBackup = await backUpTarget(options, source.safety, work)
      result.timings.safety = result.safetyBackup.took
      finish(context, 'safety', work)
    }
    const comments = there
      ? {
          previous: commentWithMark(there.comment, {
            database: target,
            until,
            by: `${source.by} took its place`,
          }),
        }
      : {}
    await buildAndRename(
      context,
      { previous, comments },
      async (side) => {
        if (there) await writeDatabaseSettings(session, side.database, there)
        finish(context, 'settings', work)
      },
      work,
    )
    await runAfterSwap(context, work)
    return result
  } finally {
    await session.end()
  }
}
