import { UserError } from '../../errors.ts'
import { quoteName } from '../../postgres/connection/session.ts'
import { connectToMaintenanceDatabase } from '../../postgres/server/maintenance-session.ts'
import type { Work } from '../../work.ts'
import type { RestoreOptions } from '../options.ts'
import { finish, stepsAsked, withSteps } from '../plan.ts'
import { findObstacles, lockTarget } from '../preconditions.ts'
import { cutTies } from '../prepare.ts'
import type { Restored } from '../result.ts'
import { type SwapContext, buildAndRename, runAfterSwap } from './build-and-rename.ts'
import type { Source } from './source.ts'

/**
 * Makes a new database of a backup or a file, under a name that is free: a copy of production for
 * staging, say. It is built and compared (or counted) under a name of ours, its ties to the outside
 * are cut, `prepare` changes what must not be seen, and only then does it get its name. It belongs
 * to who makes it; what is in it belongs to the roles that the backup names.
 */
export async function restoreAsNew<R extends Restored>(
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  const { started } = source
  const target = options.target.database
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const [there] = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      target,
    ])
    if (there)
      throw new UserError(
        'target-exists',
        `mode is new, and there is already a database "${target}".`,
        `Name one in target-url that is not there yet; to put this one back, leave mode out. If it is a copy that nobody needs any more: DROP DATABASE ${quoteName(target)};`,
      )
    const guarded = {
      session,
      target: options.target,
      exists: false,
      backup: source.needs,
      owner: options.owner ?? 'keep',
    }
    const obstacles = await findObstacles(guarded, work)
    if (obstacles[0] && !options.dryRun) throw obstacles[0]
    const programs = await source.programs(session)
    const steps = withSteps(source.steps(target, undefined), {
      ...stepsAsked(options),
      cut: 'Cut its ties to the outside: user mappings are dropped, event triggers disabled, subscriptions were never in it',
    })
    const result = source.result('new', session, steps)
    result.warnings.push(
      `The new database belongs to "${options.target.user}", ${ownersOf(options, source.noun)}. Grants and settings of the database itself are not restored: the new one has the server's defaults.`,
    )
    if (options.dryRun) {
      result.facts = await source.facts(guarded, obstacles, programs.server)
      result.timings.total = Date.now() - started
      return result
    }
    const context: SwapContext<R> = { source, options, session, programs, steps, result }
    await buildAndRename(
      context,
      { previous: undefined },
      async (side) => {
        finish(context, 'settings', work)
        result.cut = await cutTies(side, work)
        finish(context, 'cut', work)
      },
      work,
    )
    await runAfterSwap(context, work)
    return result
  } finally {
    await session.end()
  }
}

function ownersOf({ owner = 'keep' }: RestoreOptions, noun: string): string {
  if (owner === 'drop') return 'and so does what is in it'
  return `what is in it to the roles that ${owner === 'keep' ? `the ${noun}` : 'owner'} names`
}
