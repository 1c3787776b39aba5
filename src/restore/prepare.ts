import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { isServerError } from '../postgres/connection/server-error.ts'
import { connect, type Session } from '../postgres/connection/session.ts'
import { text } from '../text.ts'
import type { Work } from '../work.ts'

const timeouts = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']

/**
 * Runs the user's SQL in a side database, as one transaction, then runs ANALYZE, because the SQL
 * can make the statistics stale. The session has the database's own settings, such as
 * `search_path`, and no time limits. Throws `prepare-failed` if the SQL fails.
 */
export async function prepareDatabase(
  connection: Connection,
  sql: string,
  work: Work,
): Promise<void> {
  await withSession(connection, work, async (session) => {
    // Our sessions fix settings such as search_path. The user's SQL expects the database's own.
    await session.query('RESET ALL')
    for (const timeout of timeouts) await session.query(`SET ${timeout} = 0`)
    await session.query('BEGIN')
    try {
      await session.query(sql)
      await session.query('COMMIT')
    } catch (error) {
      work.signal.throwIfAborted()
      // Any other error is a bug in Holdfast and keeps its stack.
      if (!(error instanceof UserError) && !isServerError(error)) throw error
      throw prepareFailed(error, sql)
    }
    await session.query('ANALYZE')
  })
}

interface WithPosition {
  /** Where the SQL failed, in characters, counted from 1. */
  position?: string
}

function prepareFailed(error: Error & WithPosition, sql: string): UserError {
  const { position } = error
  const message = error instanceof UserError ? error.texts.message : error.message
  const before = [...sql].slice(0, Number(position) - 1)
  const line = before.filter((character) => character === '\n').length + 1
  const where = position === undefined ? '' : ` at line ${line}`
  return new UserError(
    'prepare-failed',
    text`The SQL of prepare failed${where}: ${message}.
      The new database was dropped, and nothing was replaced.`,
    undefined,
    { cause: error },
  )
}

/** Runs `body` with a session and closes it: an open session would block a rename. */
export async function withSession<T>(
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
