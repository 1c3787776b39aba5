import { quoteName, type Session } from '../connection/session.ts'

/**
 * Disables a database's event triggers, as a superuser, because a restored event trigger would run
 * on this server. Returns the statements that enable them again, each in the state it had.
 */
export async function disableEventTriggers(session: Session): Promise<string[]> {
  const triggers = await session.query<{ name: string; enabled: string }>(
    `SELECT evtname AS name, evtenabled::pg_catalog.text AS enabled
     FROM pg_catalog.pg_event_trigger
     WHERE evtenabled <> 'D'
     ORDER BY evtname`,
  )
  const enableAgain: string[] = []
  for (const { name, enabled } of triggers) {
    await session.query(`ALTER EVENT TRIGGER ${quoteName(name)} DISABLE`)
    const how = enabled === 'R' ? ' REPLICA' : enabled === 'A' ? ' ALWAYS' : ''
    enableAgain.push(`ALTER EVENT TRIGGER ${quoteName(name)} ENABLE${how};`)
  }
  return enableAgain
}
