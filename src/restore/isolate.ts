import type { Connection } from '../postgres/connection/connection.ts'
import { disableEventTriggers } from '../postgres/server/event-triggers.ts'
import { dropUserMappings } from '../postgres/server/user-mappings.ts'
import type { Work } from '../work.ts'
import { withSession } from './prepare.ts'

/** Drops user mappings and disables event triggers, so that a copy does not act like the original. */
export async function isolateCopy(
  connection: Connection,
  work: Work,
): Promise<{ ties: string[]; triggers: string[] }> {
  return withSession(connection, work, async (session) => {
    const triggers = await disableEventTriggers(session)
    return { ties: await dropUserMappings(session), triggers }
  })
}
