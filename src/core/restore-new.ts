import { UserError } from '../errors.ts'
import { connectBeside } from '../postgres/beside.ts'
import { quoteName } from '../postgres/session.ts'
import type { Work } from '../work.ts'
import { findReadable } from './copy.ts'
import { cutTies, prepareDatabase } from './prepare.ts'
import type { RestoreOptions, RestoreResult } from './restore.ts'
import { objectiveOf } from './restore-after.ts'
import { type Beside, buildAndName, emptyResult, finish, follow, programsFor, stepsAsked, withSteps } from './restore-beside.ts'
import { findObstacles, lockTarget } from './restore-guard.ts'
import { planOf } from './restore-plan.ts'
import { describeTarget } from './restore-target.ts'

/**
 * Makes a new database of a backup, under a name that is free: a copy of production for staging, say. It is built and compared under a name of ours,
 * its ties to the outside are cut, `prepare` changes what must not be seen, and only then does it get its name. It belongs to who makes it; what
 * is in it belongs to the roles that the backup names.
 */
export async function restoreAsNew(options: RestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const target = options.target.database
  // the new name is nobody's label: the one label that there is, unless it is told
  const backup = await findReadable(options, work)
  const { manifest } = backup
  options.known?.({ id: manifest.id })
  const session = await connectBeside(options.target, target, work)
  try {
    await lockTarget(session, target)
    const [there] = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [target])
    if (there) throw new UserError('target-exists', `mode is new, and there is already a database "${target}".`, `Name one in target-url that is not there yet; to put this one back, leave mode out. If it is a copy that nobody needs any more: DROP DATABASE ${quoteName(target)};`)
    const guarded = { session, target: options.target, exists: false, backup, owner: options.owner ?? 'keep' }
    const obstacles = await findObstacles(guarded, work)
    if (obstacles[0] && !options.dryRun) throw obstacles[0]
    const programs = await programsFor(backup, session, options, work)
    const steps = withSteps(planOf(backup, target, undefined, options.contents), {
      ...stepsAsked(options),
      cut: 'Cut its ties to the outside: user mappings are dropped, event triggers disabled, subscriptions were never in it',
    })
    const result = emptyResult('new', options, backup, session, steps)
    if (options.contents === 'schema') result.definitionsOnly = true
    result.warnings.push(`The new database belongs to "${options.target.user}", what is in it to the roles that the backup names. A backup holds no grants and settings of the database itself: the new one has the server's defaults.`)
    if (options.dryRun) {
      result.facts = await describeTarget(guarded, obstacles, programs.server, work)
      result.timings.total = Date.now() - started
      return result
    }
    const beside: Beside = { backup, options, session, programs, steps, result, started }
    await buildAndName(beside, { previous: undefined }, async (side) => {
      finish(beside, 'prepare', work)
      result.cut = await cutTies(side, work)
      finish(beside, 'cut', work)
      if (options.prepare === undefined) return
      await prepareDatabase(side, options.prepare, work)
      result.prepared = true
      finish(beside, 'sanitise', work)
    }, work)
    const objective = objectiveOf(options.maxRestoreTime, Date.now() - started, work)
    if (objective) result.objective = objective
    await follow(beside, work)
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}
