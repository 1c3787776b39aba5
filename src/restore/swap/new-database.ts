import { UserError } from '../../errors.ts'
import { quoteName, type Session } from '../../postgres/connection/session.ts'
import { input, join, type Text, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { isolateCopy } from '../isolate.ts'
import type { RestoreOptions } from '../options.ts'
import { markDone } from '../plan.ts'
import { withLockedTarget } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import { beginSwap } from './check-and-plan.ts'
import { buildAndRename, runAfterSwap } from './build-and-rename.ts'
import type { Source } from './source.ts'

/**
 * Creates a new database from a backup or an external dump, for example a copy of production for
 * staging. Restores into a side database, compares or counts it, isolates it from other systems,
 * runs `prepare`, and only then renames it to the target's name. The user of the target owns the
 * database; the roles that the source names own what is in it.
 */
export async function restoreAsNew<R extends Restored>(
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  return withLockedTarget(options.target, work, (session) =>
    createInSession(session, source, options, work),
  )
}

async function createInSession<R extends Restored>(
  session: Session,
  source: Source<R>,
  options: RestoreOptions,
  work: Work,
): Promise<R> {
  const target = options.target.database
  const [existing] = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
    target,
  ])
  if (existing) throw targetExists(target)
  const isolate =
    'Isolate it: drop user mappings and disable event triggers; subscriptions are never restored'
  const context = await beginSwap(
    session,
    source,
    options,
    { mode: 'new', exists: false, previous: undefined, steps: { isolate } },
    work,
  )
  const { result } = context
  result.warnings.push(ownerWarning(options, source.noun))
  if (options.dryRun) {
    result.timings.total = Date.now() - source.started
    return result
  }
  await buildAndRename(
    context,
    { previous: undefined },
    async (side) => {
      markDone(context, 'settings', work)
      result.isolated = await isolateCopy(side, work)
      markDone(context, 'isolate', work)
    },
    work,
  )
  await runAfterSwap(context, work)
  return result
}

function targetExists(target: string): UserError {
  return new UserError(
    'target-exists',
    text`${input('mode')} is new, but the database "${target}" already exists.`,
    join(
      [
        text`Set ${input('target-url')} to a database that does not exist yet.`,
        text`To restore "${target}" itself, leave out ${input('mode')}.`,
        `To replace a copy that is no longer needed, drop it first: DROP DATABASE ${quoteName(target)};`,
      ],
      ' ',
    ),
  )
}

function ownerWarning({ target, owner = 'keep' }: RestoreOptions, noun: string): Text {
  const objects =
    owner === 'drop'
      ? 'and so do all objects in it'
      : text`objects in it belong to the roles that ${owner === 'keep' ? `the ${noun}` : input('owner')} names`
  return join(
    [
      text`The new database belongs to "${target.user}", ${objects}.`,
      'It has no grants or settings of its own, only the server’s defaults.',
    ],
    ' ',
  )
}
