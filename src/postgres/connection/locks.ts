import type { Session } from './session.ts'

/**
 * Longest wait for a lock, milliseconds. It is below deadlock_timeout (1 s by default), so that a
 * session that waits behind our locks gets them before the server looks for deadlocks.
 */
export const lockWait = 700

/** How many locks the whole server has room for: `perTransaction` × `transactions`. */
export interface LockCapacity {
  /** max_locks_per_transaction. */
  perTransaction: number
  /** Connections and prepared transactions. */
  transactions: number
}

export async function readLockCapacity(session: Session): Promise<LockCapacity> {
  const [row] = await session.query<LockCapacity>(
    `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int4 AS "perTransaction",
       pg_catalog.current_setting('max_connections')::int4
         + pg_catalog.current_setting('max_prepared_transactions')::int4 AS transactions`,
  )
  if (!row) throw new Error('the server did not return its lock settings')
  return row
}
