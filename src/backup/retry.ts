import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { connect } from '../postgres/connection/session.ts'
import { StandbyConflict } from '../postgres/connection/session-errors.ts'
import type { Drift } from '../postgres/pg-dump/snapshot.ts'
import type { Work } from '../work.ts'

/** How often a backup is begun anew when the server ends its snapshot in the middle. */
export const maxAttempts = 4

/**
 * A standby's conflict; also one of which no more was heard than that the connection was gone,
 * which is all that an idle session may hear.
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

/** The error of a backup that was begun often enough. */
export function errorOfLastAttempt(error: Drift | StandbyConflict, input: string): UserError {
  if (error instanceof StandbyConflict)
    return new UserError(
      'standby-conflict',
      `${input}: in ${maxAttempts} attempts this standby ended what was being read, because its replay needed it: ${error.message}`,
      'Set hot_standby_feedback = on at the standby, or raise max_standby_streaming_delay there above the time that a backup takes; or back up from the primary.',
      { cause: error },
    )
  return new UserError(
    'tables-in-motion',
    `${input}: in ${maxAttempts} attempts tables changed while they were being read: ${error.message}`,
    'Run the backup again, best when no migration runs.',
    { cause: error },
  )
}
