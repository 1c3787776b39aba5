import type { UserError } from '../../errors.ts'
import type { Session } from '../../postgres/connection/session.ts'
import type { Work } from '../../work.ts'
import type { RestoreOptions } from '../options.ts'
import { optionalSteps, withSteps } from '../plan.ts'
import { findObstacles, type RestoreCheck } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import type { SwapContext } from './build-and-rename.ts'
import type { Source } from './source.ts'

/** What differs between a swap and a new database. */
interface Beginning {
  mode: 'swap' | 'new'
  /** The target exists. */
  exists: boolean
  /** The name under which the target is kept; undefined if there is no target. */
  previous: string | undefined
  /** Steps that only this mode has. */
  steps: Parameters<typeof withSteps>[1]
  /** What prevents this mode, apart from what prevents every restore. */
  obstacle?: UserError | undefined
}

/**
 * Checks the target and plans the restore, and changes nothing. Throws the first obstacle; on a dry
 * run, puts all obstacles and the facts about the target into the result.
 */
export async function beginSwap<R extends Restored>(
  session: Session,
  source: Source<R>,
  options: RestoreOptions,
  { mode, exists, previous, steps: more, obstacle }: Beginning,
  work: Work,
): Promise<SwapContext<R>> {
  const { target, owner = 'keep' } = options
  const check: RestoreCheck = { session, target, exists, backup: source.needs, owner }
  const obstacles = [...(await findObstacles(check, work)), ...(obstacle ? [obstacle] : [])]
  if (obstacles[0] && !options.dryRun) throw obstacles[0]
  const programs = await source.programs(session)
  const steps = withSteps(source.steps(target.database, previous), {
    ...optionalSteps(options),
    ...more,
  })
  const result = source.result(mode, session, steps)
  if (options.dryRun) result.facts = await source.facts(check, obstacles, programs.server)
  return { source, options, session, programs, steps, result }
}
