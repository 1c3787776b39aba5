import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { disableEventTriggers } from '../postgres/server/event-triggers.ts'
import { connect, type Session } from '../postgres/connection/session.ts'
import { dropUserMappings } from '../postgres/server/isolate.ts'
import type { Work } from '../work.ts'

/**
 * Runs the user's SQL in a database that nobody sees yet, as one transaction, by a session that has
 * the database's own settings (`search_path` among them) and no time limit. Then ANALYZE, since
 * what was counted before may no longer be so. Throws `prepare-failed`.
 */
export async function prepareDatabase(
  connection: Connection,
  sql: string,
  work: Work,
): Promise<void> {
  await within(connection, work, async (session) => {
    // what our sessions pin is not what such SQL is written for
    await session.query('RESET ALL')
    for (const timeout of [
      'statement_timeout',
      'lock_timeout',
      'idle_in_transaction_session_timeout',
    ])
      await session.query(`SET ${timeout} = 0`)
    await session.query('BEGIN')
    try {
      await session.query(sql)
      await session.query('COMMIT')
    } catch (error) {
      work.signal.throwIfAborted()
      const { code, message, position } = error as {
        code?: string
        message: string
        position?: string
      }
      // what is neither of the server nor for users is a fault of ours
      if (!(error instanceof UserError) && !/^[0-9A-Z]{5}$/.test(code ?? '')) throw error
      const line =
        position === undefined
          ? ''
          : ` at line ${[...sql].slice(0, Number(position) - 1).filter((character) => character === '\n').length + 1}`
      throw new UserError(
        'prepare-failed',
        `The SQL of prepare failed${line}: ${message}. The new database was dropped, and nothing was replaced.`,
        'It runs as one transaction, so without psql’s own commands (such as \\set), and without statements that refuse to be in one (such as VACUUM).',
        { cause: error },
      )
    }
    await session.query('ANALYZE')
  })
}

/**
 * Cuts a new database's ties to the outside: it is a copy, and must not act as the original does.
 */
export async function cutTies(
  connection: Connection,
  work: Work,
): Promise<{ ties: string[]; triggers: string[] }> {
  return within(connection, work, async (session) => {
    const triggers = await disableEventTriggers(session)
    return { ties: await dropUserMappings(session), triggers }
  })
}

/** No session of ours may stand in the way of a rename. */
async function within<T>(
  connection: Connection,
  work: Work,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await connect(connection, work)
  try {
    return await body(session)
  } finally {
    await session.end()
  }
}
