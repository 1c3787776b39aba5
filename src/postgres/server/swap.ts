import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { messageOf, UserError } from '../../errors.ts'
import { isServerError } from '../connection/server-error.ts'
import { input, type Text, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { connect, quoteName, type Session } from '../connection/session.ts'
import { commentOn } from './database-settings.ts'

const maxAttempts = 6
const objectInUse = '55006'

export interface Swap {
  target: string
  side: string
  /** The name under which the target is kept; undefined if there is no target. */
  previous: string | undefined
  /**
   * New comments, set in the same transaction: of the database that is kept, and of the one that
   * replaces it.
   */
  comments?: { previous?: string; target?: string | null }
}

/**
 * Renames `target` to `previous` and `side` to `target` in one transaction, so that there is always
 * exactly one `target`. If `previous` is undefined, there is no target and `side` takes its name.
 *
 * Clients may reconnect within milliseconds, so the rename comes first: its lock stops new logins,
 * and it waits up to five seconds for existing sessions, which a second connection ends meanwhile
 * in both databases. (Ending them first loses against clients that reconnect.) `session` is on
 * another database of the server.
 *
 * Returns how many sessions were ended. Throws `commit-unknown`, `target-busy`, `target-exists` and
 * `no-permission`.
 */
export async function swapDatabases(session: Session, swap: Swap, work: Work): Promise<number> {
  const ended = new Set<number>()
  for (let attempt = 1; ; attempt++) {
    await session.query('BEGIN')
    let committing = false
    try {
      await renameWhileEnding(session, swap, ended, work)
      committing = true
      await session.query('COMMIT')
      return ended.size
    } catch (error) {
      await session.query('ROLLBACK').catch(() => {})
      work.signal.throwIfAborted()
      if (committing && !isServerError(error)) throw commitUnknown(error, swap)
      if (isServerError(error, objectInUse) && attempt < maxAttempts) continue
      throw refusalOf(error, session, swap.target)
    }
  }
}

/** Renames the databases and sets their comments, while a second connection ends their sessions. */
async function renameWhileEnding(
  session: Session,
  { target, side, previous, comments = {} }: Swap,
  ended: Set<number>,
  work: Work,
): Promise<void> {
  const statements = [
    ...(previous === undefined ? [] : [rename(target, previous)]),
    rename(side, target),
    ...(previous === undefined || comments.previous === undefined
      ? []
      : [commentOn(previous, comments.previous)]),
    ...(comments.target === undefined ? [] : [commentOn(target, comments.target)]),
  ]
  const done = new AbortController()
  const ending = endSessions(session, [target, side], ended, done.signal, work)
  try {
    for (const statement of statements) await session.query(statement)
  } finally {
    done.abort()
    await ending
  }
}

function commitUnknown(error: unknown, { side, previous }: Swap): UserError {
  return new UserError(
    'commit-unknown',
    `The connection was lost while the names changed (${messageOf(error)}). Either both names ` +
      'changed, or neither.',
    hintAfterLostCommit(side, previous),
    { cause: error },
  )
}

function hintAfterLostCommit(side: string, previous: string | undefined): Text {
  const list = 'List the databases (psql -l).'
  if (previous === undefined)
    return `${list} If "${side}" is still there, it did not get the new name.`
  const undo = text`and ${input('undo', true)} takes it back`
  return text`${list} If "${previous}" is there, the new database is in its place, ${undo}.`
}

/** Returns the UserError for what the server answered; every other error as it is. */
function refusalOf(error: unknown, session: Session, target: string): unknown {
  const refusal = isServerError(error) ? refusals[error.code] : undefined
  if (!refusal) return error
  const details = { target, message: messageOf(error), user: session.connection.user }
  return new UserError(
    refusal.code,
    refusal.message(details),
    `${refusal.hint(details)} Nothing was replaced.`,
    { cause: error },
  )
}

interface Refusal {
  code: ErrorCode
  message(details: { target: string; message: string; user: string }): string
  hint(details: { user: string }): string
}

/** What the server may answer to the renames, by SQLSTATE. */
const refusals: Readonly<Record<string, Refusal>> = {
  [objectInUse]: {
    code: 'target-busy',
    message: ({ target, message }) =>
      `"${target}" could not be renamed in ${maxAttempts} attempts: ${message}.`,
    hint: ({ user }) =>
      `"${user}" may not end some sessions of the database: stop the application, or run GRANT ` +
      `pg_signal_backend TO ${quoteName(user)} (only a superuser may end a superuser's session).`,
  },
  // duplicate_database
  '42P04': {
    code: 'target-exists',
    message: ({ message }) =>
      `Another client created a database of this name in the meantime: ${message}.`,
    hint: () => 'Check what it is, and run this again.',
  },
  // insufficient_privilege
  42501: {
    code: 'no-permission',
    message: ({ user, message }) => `"${user}" may not swap the databases: ${message}.`,
    hint: ({ user }) =>
      'It must own both and have CREATEDB; to end other sessions, it needs GRANT ' +
      `pg_signal_backend TO ${quoteName(user)}.`,
  },
}

function rename(from: string, to: string): string {
  return `ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)}`
}

/**
 * Ends the sessions of the databases, repeatedly until `done`, and adds their pids to `ended`. Skips
 * sessions that it may not end, such as a superuser's.
 */
async function endSessions(
  outside: Session,
  databases: string[],
  ended: Set<number>,
  done: AbortSignal,
  work: Work,
): Promise<void> {
  let killer: Session | undefined
  try {
    killer = await connect(outside.connection, work)
    while (!done.aborted && !work.signal.aborted) {
      // the server hides backend_type of other roles' sessions
      const others = await killer.query<{ pid: number }>(
        `SELECT pid
         FROM pg_catalog.pg_stat_activity
         WHERE datname = ANY ($1)
           AND coalesce(backend_type, 'client backend') = 'client backend'`,
        [databases],
      )
      for (const { pid } of others) {
        const [row] = await killer
          .query<{ done: boolean }>('SELECT pg_catalog.pg_terminate_backend($1) AS done', [pid])
          .catch((error: unknown) => {
            if (isServerError(error, '42501')) return []
            throw error
          })
        if (row?.done) ended.add(pid)
      }
      await sleep(50)
    }
  } catch (error) {
    // the rename fails if it was needed
    work.log.debug(`Could not end the sessions of ${databases.join(' and ')}: ${messageOf(error)}`)
  } finally {
    await killer?.end()
  }
}

/**
 * Returns what prevents the rename of a database, or what the swap would leave with the old one; as
 * phrases with names.
 */
export async function swapObstacles(
  session: Session,
  onTarget: Session | undefined,
  database: string,
): Promise<string[]> {
  const found: string[] = []
  const list = async (query: string): Promise<string[]> =>
    (await session.query<{ name: string }>(query, [database])).map(({ name }) => `"${name}"`)
  const prepared = await list(
    'SELECT gid AS name FROM pg_catalog.pg_prepared_xacts WHERE database = $1',
  )
  if (prepared.length)
    found.push(
      `prepared ${plural(prepared, 'transaction')} ${prepared.join(', ')} (COMMIT PREPARED or ROLLBACK PREPARED)`,
    )
  const slots = await list(
    'SELECT slot_name AS name FROM pg_catalog.pg_replication_slots WHERE database = $1',
  )
  if (slots.length)
    found.push(
      `logical replication ${plural(slots, 'slot')} ${slots.join(', ')}, which would stay with the old database`,
    )
  const subscriptions = await list(
    `SELECT s.subname AS name
     FROM pg_catalog.pg_subscription s
     JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
     WHERE d.datname = $1`,
  )
  if (subscriptions.length)
    found.push(
      `${plural(subscriptions, 'subscription')} ${subscriptions.join(', ')}, which would stay with the old database`,
    )
  const cron = await onTarget?.query(
    "SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron'",
  )
  if (cron?.length) found.push('pg_cron, whose jobs would stop without an error')
  return found
}

function plural(all: readonly unknown[], word: string): string {
  return all.length === 1 ? word : `${word}s`
}
