import { UserError } from '../errors.ts'
import type { Work } from '../work.ts'
import { connect, type Session } from './session.ts'

/**
 * Refuses a transaction pooler: it hands each transaction to whichever server connection is free, so that a snapshot, a lock and a
 * setting are not where they were left. Seen by two sessions of ours that get the same backend while both are connected.
 * A pooler that keeps one server connection a session passes.
 */
export async function checkPooler(session: Session, work: Work): Promise<void> {
  if (!session.pooled) return
  const backend = async (of: Session): Promise<number | undefined> => (await of.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid'))[0]?.pid
  const other = await connect(session.connection, work)
  try {
    const pids = [await backend(session), await backend(other), await backend(session)]
    if (new Set(pids).size === 2 && pids[0] === pids[2]) return
  } finally {
    await other.end()
  }
  const { host, port, input } = session.connection
  throw new UserError('transaction-pooler', `${input}: a transaction pooler (such as PgBouncer) stands at ${host}:${port}; a consistent dump needs one connection kept for the whole time.`, 'Give the URL of the server itself (most providers name it the direct or session connection, often on port 5432).')
}
