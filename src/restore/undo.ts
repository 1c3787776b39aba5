import { UserError } from '../errors.ts'
import { withDatabase } from '../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../postgres/connection/session-options.ts'
import { connect, quoteName, type Session } from '../postgres/connection/session.ts'
import { findPrograms } from '../postgres/programs/find-programs.ts'
import { readDatabaseSettings } from '../postgres/server/database-settings.ts'
import { connectToMaintenanceDatabase } from '../postgres/server/maintenance-session.ts'
import {
  nextFreeTimestamp,
  isPreviousName,
  type PreviousDatabase,
  listPreviousDatabases,
  readMarks,
  previousName,
  readMark,
  withMark,
} from '../postgres/server/previous-databases.ts'
import { swapDatabases, swapObstacles } from '../postgres/server/swap.ts'
import { plainText, type Text } from '../text.ts'
import type { Work } from '../work.ts'
import { confirmOf, type RestoreOptions } from './options.ts'
import type { PlanStep } from './plan.ts'
import { runPostCommand } from './post-command.ts'
import { lockTarget } from './preconditions.ts'
import type { PostCommand } from './result.ts'

export interface UndoResult {
  task: 'undo'
  target: string
  confirm: string
  environmentName?: string
  dryRun: boolean
  /** The name that the database had which takes its old one back. */
  database: string
  /** When it was replaced (ISO 8601, UTC), and by what, as the rest of a sentence. */
  until: string
  by: string
  bytes?: number
  /** The database that is in use; undefined if there is none. */
  inUse?: { bytes?: number; sessions: number }
  /** The name under which that one is kept now. */
  previousDatabase?: string
  /** Further databases of this target that are kept, the newest first. */
  others: string[]
  plan: PlanStep[]
  sessionsEnded: number
  postCommand?: PostCommand
  /** Milliseconds. */
  timings: { swap: number; command?: number; total: number }
  warnings: Text[]
}

/**
 * Takes the last restore back: the newest database that was replaced under this name and bears our
 * mark gets its name and its comment again, and the one in use is kept and marked in its turn, so
 * that an undo can be undone. Both in one transaction. Asks nothing of a storage.
 */
export async function undo(options: Omit<RestoreOptions, 'task'>, work: Work): Promise<UndoResult> {
  const started = Date.now()
  const { environmentName, dryRun } = options
  const target = options.target.database
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const there = await readDatabaseSettings(session, target)
    const marked = await listPreviousDatabases(session, target)
    // a swap keeps the owner; whoever owns another database may write what he likes into its
    // comment
    const named = marked.filter(({ name }) => isPreviousName(name, target))
    const ours = named.filter(({ owner }) => there === undefined || owner === there.owner)
    const strange = marked.filter((one) => !ours.includes(one))
    const [kept, ...older] = ours
    if (!kept)
      throw await nothingToUndo(
        session,
        target,
        strange.filter((one) => named.includes(one)),
      )
    const inUse = await readMarks(session, target)
    const until = await nextFreeTimestamp(session, target)
    const previous = there ? previousName(target, until) : undefined
    await guardUndo(session, options, [...(there ? [target] : []), kept.name], work)
    const step: PlanStep = {
      step:
        previous === undefined
          ? `Name "${kept.name}" "${target}" again`
          : `In one transaction: rename "${target}" to "${previous}" (kept), and "${kept.name}" to "${target}"; sessions of both are ended for it`,
      done: false,
    }
    const after: PlanStep | undefined =
      options.postCommand === undefined ? undefined : { step: 'Run the post-command', done: false }
    const result: UndoResult = {
      task: 'undo',
      target,
      confirm: confirmOf(options),
      ...(environmentName ? { environmentName } : {}),
      dryRun,
      database: kept.name,
      until: kept.mark.until,
      by: kept.mark.by,
      ...(kept.bytes === undefined ? {} : { bytes: kept.bytes }),
      ...(inUse ? { inUse } : {}),
      others: older.map(({ name }) => name),
      plan: [step, ...(after ? [after] : [])],
      sessionsEnded: 0,
      timings: { swap: 0, total: 0 },
      warnings: [
        ...(kept.sessions > 0
          ? [
              `${kept.sessions === 1 ? 'Somebody is' : `${kept.sessions} sessions are`} connected to "${kept.name}".`,
            ]
          : []),
        ...strange.map(
          (one) =>
            `"${one.name}" bears the mark too, but ${named.includes(one) ? `belongs to "${one.owner}", not to the owner of "${target}"` : 'was renamed, so somebody keeps it for something else'}: it was left out.`,
        ),
      ],
    }
    if (!dryRun) {
      const from = Date.now()
      const mark =
        there &&
        withMark(readMark(there.comment).comment, {
          database: target,
          until,
          by: `"${kept.name.replaceAll('\n', ' ')}" was put back`,
        })
      const comments = { ...(mark === undefined ? {} : { previous: mark }), target: kept.comment }
      result.sessionsEnded = await swapDatabases(
        session,
        { target, side: kept.name, previous, comments },
        work,
      )
      result.timings.swap = Date.now() - from
      step.done = true
      work.log.info(`Done: ${plainText(step.step)}`)
      if (previous !== undefined) result.previousDatabase = previous
      options.known?.({
        database: target,
        ...(previous === undefined ? {} : { previousDatabase: previous }),
      })
      const ran =
        options.postCommand === undefined
          ? undefined
          : await runPostCommand(
              options,
              await findPrograms(session.major, ['pg_dump'], options.bindirs, work),
              work,
            )
      if (ran) {
        result.postCommand = ran
        result.timings.command = ran.took
        if (after) after.done = ran.failed === undefined
      }
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

async function nothingToUndo(
  session: Session,
  target: string,
  strange: readonly PreviousDatabase[],
): Promise<UserError> {
  const [first] = strange
  if (first)
    return new UserError(
      'nothing-to-undo',
      `"${first.name}" is marked as kept, but belongs to "${first.owner}", and "${target}" does not.`,
      `If that is right, and the owner was changed since: ALTER DATABASE ${quoteName(first.name)} OWNER TO the owner of ${quoteName(target)};`,
    )
  const rows = await session.query<{ name: string }>(
    `SELECT datname AS name FROM pg_catalog.pg_database WHERE datname ~ '_before_\\d{8}T\\d{6}$' ORDER BY 1`,
  )
  // a long name is cut in it
  const alike = rows
    .map(({ name }) => name)
    .filter((name) => target.startsWith(name.replace(/_before_\d{8}T\d{6}$/, '')))
  const what = `No database that a restore of "${target}" replaced is kept on this server.`
  if (alike.length === 0)
    return new UserError(
      'nothing-to-undo',
      what,
      'It was dropped, or nothing was restored here. The safety backup of that restore (its id ends with -pre-restore) can be restored like any other.',
    )
  return new UserError(
    'nothing-to-undo',
    `${what} ${alike.join(', ')} ${alike.length === 1 ? 'is called so, and has' : 'are called so, and have'} no mark of ours in the comment: a name alone is not enough.`,
    `If you know that it is the one, put it back by hand, connected to another database: BEGIN; ALTER DATABASE ${quoteName(target)} RENAME TO ${quoteName(`${target.slice(0, 40)}_restored`)}; ALTER DATABASE ${quoteName(alike.at(-1) as string)} RENAME TO ${quoteName(target)}; COMMIT;`,
  )
}

/** What would make the renames fail, or break: found before, on a dry run too. */
async function guardUndo(
  session: Session,
  { target }: Pick<RestoreOptions, 'target'>,
  databases: string[],
  work: Work,
): Promise<void> {
  const user = quoteName(target.user)
  const [may] = await session.query<{ create: boolean; others: string[] }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create,
       ARRAY(SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d WHERE d.datname = ANY ($1) AND NOT r.rolsuper AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS others
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [databases],
  )
  if (!may?.create)
    throw new UserError(
      'no-permission',
      `"${target.user}" may not rename databases.`,
      `Run on the server: ALTER ROLE ${user} CREATEDB;`,
    )
  if (may.others.length)
    throw new UserError(
      'no-permission',
      `"${target.user}" does not own ${may.others.map(quoteName).join(' and ')}, and cannot rename ${may.others.length === 1 ? 'it' : 'them'}.`,
      `Undo as the owner, or a role that is a member of the owner: GRANT its owner TO ${user};`,
    )
  for (const database of databases) {
    const inside = await connect(
      await withEventTriggersOff(session, withDatabase(target, database)),
      work,
    )
    try {
      const obstacles = await swapObstacles(session, inside, database)
      if (obstacles.length)
        throw new UserError(
          'swap-unsafe',
          `A swap of "${database}" would break: ${obstacles.join('; ')}.`,
          'Remove them first, and make them anew after the undo.',
        )
    } finally {
      await inside.end()
    }
  }
}
