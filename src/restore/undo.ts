import { UserError } from '../errors.ts'
import { withDatabase } from '../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../postgres/connection/session-options.ts'
import { connect, quoteName, type Session } from '../postgres/connection/session.ts'
import { findPrograms } from '../postgres/programs/find-programs.ts'
import {
  type DatabaseSettings,
  readDatabaseSettings,
} from '../postgres/server/database-settings.ts'
import {
  nextFreeTimestamp,
  isPreviousDatabaseName,
  type PreviousDatabase,
  listPreviousDatabases,
  readSizeAndSessions,
  previousDatabaseName,
  parseMark,
  commentWithMark,
} from '../postgres/server/previous-databases.ts'
import { swapDatabases, swapObstacles } from '../postgres/server/swap.ts'
import { plainText, type Text } from '../text.ts'
import type { Work } from '../work.ts'
import { notOwner, swapUnsafe } from './errors.ts'
import type { RestoreOptions } from './options.ts'
import { type PlanStep, planStep } from './plan.ts'
import { runPostCommand } from './post-command.ts'
import { withLockedTarget } from './preconditions.ts'
import type { PostCommand } from './result.ts'

export interface UndoResult {
  task: 'undo'
  target: string
  confirm: string
  environmentName?: string
  dryRun: boolean
  /** The previous database that gets the target's name again. */
  database: string
  /** When it was replaced (ISO 8601, UTC), and by what, as the rest of a sentence. */
  until: string
  by: string
  bytes?: number
  /** The database in use before the undo; undefined if there is none. */
  inUse?: { bytes?: number; sessions: number }
  /** The name under which the database in use is kept. */
  previousDatabase?: string
  /** Other previous databases of the target, the newest first. */
  others: string[]
  plan: PlanStep[]
  sessionsEnded: number
  postCommand?: PostCommand
  /** Milliseconds. */
  timings: { swap: number; command?: number; total: number }
  warnings: Text[]
}

/**
 * Undoes the last restore of the target: the newest previous database gets the target's name and
 * its comment again. The database in use is kept and marked, so that an undo can be undone. Both
 * renames are one transaction. Needs no storage. Throws `nothing-to-undo` without a previous
 * database.
 */
export async function undo(options: Omit<RestoreOptions, 'task'>, work: Work): Promise<UndoResult> {
  const started = Date.now()
  const target = options.target.database
  return withLockedTarget(options.target, work, async (session) => {
    const current = await readDatabaseSettings(session, target)
    const found = await findPrevious(session, target, current)
    const until = await nextFreeTimestamp(session, target)
    const previous = current ? previousDatabaseName(target, until) : undefined
    const step = undoStep(target, found.newest.name, previous)
    const swap: UndoSwap = { current, found, until, previous, step }
    const databases = [...(current ? [target] : []), found.newest.name]
    await checkUndo(session, options, databases, work)
    const result = await beginUndoResult(session, options, swap)
    if (!options.dryRun) {
      await swapBack(session, options, swap, result, work)
      await runUndoPostCommand(session, options, result, work)
    }
    result.timings.total = Date.now() - started
    return result
  })
}

/** The marked databases of a target. */
interface FoundPrevious {
  /** The one to bring back. */
  newest: PreviousDatabase
  /** The older ones, the newest first. */
  older: PreviousDatabase[]
  /** Marked, but not used, because it was renamed or has another owner. */
  skipped: { database: PreviousDatabase; reason: 'renamed' | 'owner' }[]
}

interface UndoSwap {
  /** The settings of the database in use; undefined if there is none. */
  current: DatabaseSettings | undefined
  found: FoundPrevious
  /** The time stamp in the mark of the database that is replaced now. */
  until: string
  /** The name under which the database in use is kept. */
  previous: string | undefined
  step: PlanStep
}

/**
 * Finds the previous databases of a target. A swap keeps the owner, and the owner of any database
 * can write any comment. So a database counts only if it has the target's owner.
 */
async function findPrevious(
  session: Session,
  target: string,
  current: DatabaseSettings | undefined,
): Promise<FoundPrevious> {
  const usable: PreviousDatabase[] = []
  const skipped: FoundPrevious['skipped'] = []
  for (const database of await listPreviousDatabases(session, target)) {
    if (!isPreviousDatabaseName(database.name, target))
      skipped.push({ database, reason: 'renamed' })
    else if (current !== undefined && database.owner !== current.owner)
      skipped.push({ database, reason: 'owner' })
    else usable.push(database)
  }
  const [newest, ...older] = usable
  if (newest) return { newest, older, skipped }
  const [other] = skipped.filter(({ reason }) => reason === 'owner')
  throw other ? otherOwnerError(target, other.database) : await nothingToUndoError(session, target)
}

function undoStep(target: string, database: string, previous: string | undefined): PlanStep {
  return planStep(
    previous === undefined
      ? `Rename "${database}" to "${target}"`
      : `In one transaction: rename "${target}" to "${previous}" (kept), and "${database}" to ` +
          `"${target}"; the swap ends the sessions of both`,
  )
}

async function beginUndoResult(
  session: Session,
  options: Omit<RestoreOptions, 'task'>,
  { found: { newest, older, skipped }, step }: UndoSwap,
): Promise<UndoResult> {
  const { environmentName, dryRun, postCommand } = options
  const target = options.target.database
  const inUse = await readSizeAndSessions(session, target)
  return {
    task: 'undo',
    target,
    confirm: options.confirm.expected,
    ...(environmentName ? { environmentName } : {}),
    dryRun,
    database: newest.name,
    until: newest.mark.until,
    by: newest.mark.by,
    ...(newest.bytes === undefined ? {} : { bytes: newest.bytes }),
    ...(inUse ? { inUse } : {}),
    others: older.map(({ name }) => name),
    plan: [step, ...(postCommand === undefined ? [] : [planStep('Run the post-command')])],
    sessionsEnded: 0,
    timings: { swap: 0, total: 0 },
    warnings: [
      ...connectedWarning(newest),
      ...skipped.map(({ database, reason }) => skippedWarning(target, database, reason)),
    ],
  }
}

function connectedWarning({ name, sessions }: PreviousDatabase): string[] {
  if (sessions === 0) return []
  return [`${sessions === 1 ? '1 session is' : `${sessions} sessions are`} connected to "${name}".`]
}

function skippedWarning(
  target: string,
  { name, owner }: PreviousDatabase,
  reason: 'renamed' | 'owner',
): string {
  return reason === 'owner'
    ? `"${name}" was skipped: it has the mark, but belongs to "${owner}", not to the owner of "${target}".`
    : `"${name}" was skipped: it has the mark, but was renamed, so it is kept.`
}

/** Swaps the databases, and records it in the result. */
async function swapBack(
  session: Session,
  options: Omit<RestoreOptions, 'task'>,
  { current, found: { newest }, until, previous, step }: UndoSwap,
  result: UndoResult,
  work: Work,
): Promise<void> {
  const target = options.target.database
  const from = Date.now()
  const mark =
    current &&
    commentWithMark(parseMark(current.comment).comment, {
      database: target,
      until,
      by: `"${newest.name.replaceAll('\n', ' ')}" was brought back`,
    })
  const comments = { ...(mark === undefined ? {} : { previous: mark }), target: newest.comment }
  options.known?.({ progress: 'changing' })
  result.sessionsEnded = await swapDatabases(
    session,
    { target, side: newest.name, previous, comments },
    work,
  )
  result.timings.swap = Date.now() - from
  step.done = true
  work.log.info(`Done: ${plainText(step.step)}`)
  if (previous !== undefined) result.previousDatabase = previous
  options.known?.({
    progress: 'done',
    database: target,
    ...(previous === undefined ? {} : { previousDatabase: previous }),
  })
}

async function runUndoPostCommand(
  session: Session,
  options: Omit<RestoreOptions, 'task'>,
  result: UndoResult,
  work: Work,
): Promise<void> {
  if (options.postCommand === undefined) return
  const programs = await findPrograms(session.major, ['pg_dump'], options.bindirs, work)
  const postCommand = await runPostCommand(options, programs, work)
  if (!postCommand) return
  result.postCommand = postCommand
  result.timings.command = postCommand.took
  const [, step] = result.plan
  if (step) step.done = postCommand.failed === undefined
}

/** The only previous databases have another owner than the target. */
function otherOwnerError(target: string, { name, owner }: PreviousDatabase): UserError {
  const statement = `ALTER DATABASE ${quoteName(name)} OWNER TO <owner>;`
  return new UserError(
    'nothing-to-undo',
    `"${name}" has the mark of a previous database, but belongs to "${owner}", not to the owner ` +
      `of "${target}".`,
    `If the owner was changed since the restore, give it the owner of "${target}": ${statement}`,
  )
}

/** No previous database has the mark; names those that look like one. */
async function nothingToUndoError(session: Session, target: string): Promise<UserError> {
  const suffix = '_before_\\d{8}T\\d{6}$'
  const rows = await session.query<{ name: string }>(
    'SELECT datname AS name FROM pg_catalog.pg_database WHERE datname ~ $1 ORDER BY 1',
    [suffix],
  )
  // A long name is cut before the suffix.
  const alike = rows
    .map(({ name }) => name)
    .filter((name) => target.startsWith(name.replace(new RegExp(suffix), '')))
  const newest = alike.at(-1)
  const message = `The server has no previous database of "${target}".`
  if (newest === undefined) return new UserError('nothing-to-undo', message)
  const rename = (from: string, to: string): string =>
    `ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)};`
  const statements = [
    'BEGIN;',
    rename(target, `${target.slice(0, 40)}_restored`),
    rename(newest, target),
    'COMMIT;',
  ]
  const has = alike.length === 1 ? 'has such a name' : 'have such a name'
  return new UserError(
    'nothing-to-undo',
    `${message} ${alike.join(', ')} ${has}, but not the mark in the comment. ` +
      'A name alone is not enough.',
    'If you know that it is the right one, rename it by hand, connected to another database: ' +
      statements.join(' '),
  )
}

/** Throws if the renames would fail or break something. Runs on a dry run too. */
async function checkUndo(
  session: Session,
  { target }: Pick<RestoreOptions, 'target'>,
  databases: string[],
  work: Work,
): Promise<void> {
  const [role] = await session.query<{ create: boolean; others: string[] }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create,
       ARRAY(
         SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d
         WHERE d.datname = ANY ($1) AND NOT r.rolsuper
           AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS others
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [databases],
  )
  if (!role?.create)
    throw new UserError(
      'no-permission',
      `"${target.user}" cannot rename databases.`,
      `Run on the server: ALTER ROLE ${quoteName(target.user)} CREATEDB;`,
    )
  if (role.others.length) throw notOwner(target.user, role.others, 'rename')
  for (const database of databases) {
    const inside = await connect(
      await withEventTriggersOff(session, withDatabase(target, database)),
      work,
    )
    try {
      const obstacles = await swapObstacles(session, inside, database)
      if (obstacles.length) throw swapUnsafe(database, obstacles)
    } finally {
      await inside.end()
    }
  }
}
