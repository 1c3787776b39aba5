import { messageOf, UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { connect, quoteName, quoteText, type Session } from '../connection/session.ts'

const attempts = 6

export interface Swap {
  target: string
  side: string
  /** The name under which the target is kept; undefined where there is no target. */
  previous: string | undefined
  /**
   * New comments, given in the same transaction: of the database that is kept, and of the one that
   * takes its place.
   */
  comments?: { previous?: string; target?: string | null }
}

/**
 * Puts `side` in the place of `target`, which is kept as `previous`: both renames in one
 * transaction, so that at no moment there is none, or another. Where there is no target, `previous`
 * is undefined and `side` just takes the name.
 *
 * Busy clients come back within milliseconds. The rename is issued first: its lock stops new
 * logins, and it waits up to five seconds for the sessions that are there, which a second
 * connection ends meanwhile, in both databases. (Ending them first loses against clients that
 * reconnect.) `session` is on another database of the server. Gives how many sessions were ended.
 */
export async function swapDatabases(
  session: Session,
  { target, side, previous, comments = {} }: Swap,
  work: Work,
): Promise<number> {
  const ended = new Set<number>()
  const statements = [
    ...(previous === undefined ? [] : [rename(target, previous)]),
    rename(side, target),
    ...(previous === undefined || comments.previous === undefined
      ? []
      : [commentOn(previous, comments.previous)]),
    ...(comments.target === undefined ? [] : [commentOn(target, comments.target)]),
  ]
  for (let attempt = 1; ; attempt++) {
    await session.query('BEGIN')
    let committing = false
    try {
      const done = new AbortController()
      const ending = endSessions(session, [target, side], ended, done.signal, work)
      try {
        for (const statement of statements) await session.query(statement)
      } finally {
        done.abort()
        await ending
      }
      committing = true
      await session.query('COMMIT')
      return ended.size
    } catch (error) {
      await session.query('ROLLBACK').catch(() => {})
      work.signal.throwIfAborted()
      const { code, message } = error as { code?: string; message: string }
      if (committing && !/^[0-9A-Z]{5}$/.test(code ?? ''))
        throw new UserError(
          'commit-unknown',
          `The connection was lost while the names changed (${message}): they have changed, both, or neither.`,
          `Look which databases there are. If there is "${previous ?? side}"${previous === undefined ? ', the new one has not got its name' : ', the new one is in its place, and undo: true takes it back'}.`,
          { cause: error },
        )
      if (code === '55006' && attempt < attempts) continue
      const who = session.connection.user
      if (code === '55006')
        throw new UserError(
          'target-busy',
          `"${target}" could not be renamed in ${attempts} attempts: ${message}.`,
          `Somebody is connected whom "${who}" may not end: stop the application, or GRANT pg_signal_backend TO ${quoteName(who)} (a superuser's session only a superuser may end). Nothing was replaced.`,
          { cause: error },
        )
      if (code === '42P04')
        throw new UserError(
          'target-exists',
          `Somebody has made a database of the name meanwhile: ${message}.`,
          'Look what it is, and run this again; nothing was replaced.',
          { cause: error },
        )
      if (code === '42501')
        throw new UserError(
          'no-permission',
          `"${who}" may not swap the databases: ${message}.`,
          `It must own both and have CREATEDB, and may end other sessions: GRANT pg_signal_backend TO ${quoteName(who)}; nothing was replaced.`,
          { cause: error },
        )
      throw error
    }
  }
}

function rename(from: string, to: string): string {
  return `ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)}`
}

function commentOn(database: string, comment: string | null): string {
  return `COMMENT ON DATABASE ${quoteName(database)} IS ${comment === null ? 'NULL' : quoteText(comment)}`
}

/**
 * Ends whoever is connected to the databases, again and again until told to stop, and notes whom.
 * Whom it may not end (a superuser's session, seen from a lesser role) it leaves.
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
      // another role's session shows no backend_type to a lesser one
      const others = await killer.query<{ pid: number }>(
        "SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname = ANY ($1) AND coalesce(backend_type, 'client backend') = 'client backend'",
        [databases],
      )
      for (const { pid } of others) {
        const [row] = await killer
          .query<{ done: boolean }>('SELECT pg_catalog.pg_terminate_backend($1) AS done', [pid])
          .catch((error: { code?: string }) => {
            if (error.code === '42501') return []
            throw error as Error
          })
        if (row?.done) ended.add(pid)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  } catch (error) {
    // the rename itself tells whether it was needed
    work.log.debug(`could not end the sessions of ${databases.join(' and ')}: ${messageOf(error)}`)
  } finally {
    await killer?.end()
  }
}

/**
 * What would break when the database is renamed, or be left behind with the old one; each as a
 * sentence.
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
    'SELECT s.subname AS name FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1',
  )
  if (subscriptions.length)
    found.push(
      `${plural(subscriptions, 'subscription')} ${subscriptions.join(', ')}, which would stay with the old database`,
    )
  const cron = await onTarget?.query(
    "SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron'",
  )
  if (cron?.length) found.push('pg_cron, whose jobs would stop in silence')
  return found
}

function plural(all: readonly unknown[], word: string): string {
  return all.length === 1 ? word : `${word}s`
}
