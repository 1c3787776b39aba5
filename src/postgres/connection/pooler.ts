import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { connect, type Session } from './session.ts'

/** A pooler that is busy with other clients can look like a server for some rounds. */
const rounds = 12

/**
 * Refuses a transaction pooler. It runs each transaction on any free server connection, so a
 * snapshot, a lock or a setting is lost after it. Compares two sessions: behind such a pooler, each
 * does not keep a backend of its own. A pooler that keeps one server connection per session passes.
 * Throws a UserError `transaction-pooler`.
 */
export async function checkPooler(session: Session, work: Work): Promise<void> {
  if (!session.pooled) return
  const other = await connect(session.connection, work)
  try {
    const own = await backendOf(session)
    const others = await backendOf(other)
    let kept = own !== others
    for (let i = 0; kept && i < rounds; i++) {
      // in a transaction, the other session keeps its backend; if that was the first session's,
      // the first must get a different one
      await other.query('BEGIN')
      kept = (await backendOf(other)) === others && (await backendOf(session)) === own
      await other.query('COMMIT')
    }
    if (kept) return
  } finally {
    await other.end()
  }
  const { host, port, input } = session.connection
  throw new UserError(
    'transaction-pooler',
    `${input}: ${host}:${port} is a transaction pooler (such as PgBouncer), ` +
      'but a consistent dump needs one connection from start to end.',
  )
}

async function backendOf(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  return row?.pid
}
