import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import type { Objective, Restored } from './result.ts'

/**
 * Returns whether `took` is within `limit` (both in milliseconds) and logs it; undefined without a
 * limit. An exceeded limit is only a warning, because the restore is done.
 */
export function objectiveOf(
  limit: number | undefined,
  took: number,
  work: Work,
): Objective | undefined {
  if (limit === undefined) return undefined
  const held = took <= limit
  const figures = `${(took / 1000).toFixed(1)} s of ${limit / 1000} s`
  if (held) work.log.info(`The restore met max-restore-time: ${figures}.`)
  else work.log.warning(`The restore exceeded max-restore-time: ${figures}.`)
  return { limit, took, held }
}

/** Records in the result whether the restore met `maxRestoreTime`. `started` is a time stamp. */
export function recordObjective(
  result: Restored,
  { maxRestoreTime }: Pick<RestoreOptions, 'maxRestoreTime'>,
  started: number,
  work: Work,
): void {
  const objective = objectiveOf(maxRestoreTime, Date.now() - started, work)
  if (objective) result.objective = objective
}
