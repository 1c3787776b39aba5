import { quoteName, type Session } from '../connection/session.ts'

/**
 * Disables a database's event triggers, as a superuser; they came from elsewhere, and may act on
 * what they meet here. Gives the statements that make each of them what it was.
 */
export async function disableEventTriggers(session: Session): Promise<string[]> {
  const triggers = await session.query<{ name: string; enabled: string }>(
    "SELECT evtname AS name, evtenabled::pg_catalog.text AS enabled FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' ORDER BY evtname",
  )
  const back: string[] = []
  for (const { name, enabled } of triggers) {
    await session.query(`ALTER EVENT TRIGGER ${quoteName(name)} DISABLE`)
    back.push(
      `ALTER EVENT TRIGGER ${quoteName(name)} ENABLE${enabled === 'R' ? ' REPLICA' : enabled === 'A' ? ' ALWAYS' : ''};`,
    )
  }
  return back
}
