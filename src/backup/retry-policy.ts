import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { connect } from '../postgres/connection/session.ts'
import { StandbyConflict } from '../postgres/connection/session-errors.ts'
import type { Drift } from '../postgres/pg-dump/snapshot.ts'
import type { Work } from '../work.ts'

/** How many times a backup is attempted while the server cancels its snapshot. */
export const maxAttempts = 4

/**
 * Returns the standby conflict that an error means; undefined if it is another failure. A lost
 * connection to a standby counts as a conflict: an idle session gets no other message.
 */
export async function conflictOf(
  error: unknown,
  database: Connection,
  work: Work,
): Promise<StandbyConflict | undefined> {
  if (error instanceof StandbyConflict) return error
  if (!(error instanceof UserError && error.code === 'connection-lost')) return undefined
  try {
    const session = await connect(database, work)
    try {
      const [row] = await session.query<{ standby: boolean }>(
        'SELECT pg_catalog.pg_is_in_recovery() AS standby',
      )
      return row?.standby ? new StandbyConflict(error.message, { cause: error }) : undefined
    } finally {
      await session.end()
    }
  } catch {
    return undefined
  }
}

/** The error to throw when the last attempt has failed. `input` names the database's URL. */
export function errorOfLastAttempt(error: Drift | StandbyConflict, input: string): UserError {
  if (error instanceof StandbyConflict)
    return new UserError(
      'standby-conflict',
      `${input}: this standby cancelled all ${maxAttempts} attempts, ` +
        `because its replay needed what was being read: ${error.message}`,
      undefined,
      { cause: error },
    )
  return new UserError(
    'tables-in-motion',
    `${input}: tables changed during all ${maxAttempts} attempts: ${error.message}`,
    undefined,
    { cause: error },
  )
}

/** Waits, in milliseconds; rejects with the signal's reason if the work is cancelled. */
export function pauseFor(milliseconds: number, work: Work): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer)
      work.signal.removeEventListener('abort', finish)
      if (work.signal.aborted) reject(work.signal.reason as Error)
      else resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    work.signal.addEventListener('abort', finish, { once: true })
  })
}
