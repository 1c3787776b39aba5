import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { connect, type Session } from './session.ts'

/**
 * A pooler that is busy with other clients may hand out connections that look like ours for a
 * while: so often it is asked.
 */
const rounds = 12

/**
 * Refuses a transaction pooler: it hands each transaction to whichever server connection is free,
 * so that a snapshot, a lock and a setting are not where they were left. Seen by two sessions of
 * ours that, asked in turn, do not each keep a backend of its own. A pooler that keeps one server
 * connection a session passes.
 */
export async function checkPooler(session: Session, work: Work): Promise<void> {
  if (!session.pooled) return
  const other = await connect(session.connection, work)
  try {
    const own = await backendOf(session)
    const others = await backendOf(other)
    let kept = own !== others
    for (let i = 0; kept && i < rounds; i++) {
      // inside its transaction the other one keeps what it got, and the first must take something
      // else if that was its own
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
    `${input}: a transaction pooler (such as PgBouncer) stands at ${host}:${port}; a consistent dump needs one connection kept for the whole time.`,
    'Give the URL of the server itself (most providers name it the direct or session connection, often on port 5432).',
  )
}

async function backendOf(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
  return row?.pid
}
