import { isServerError } from '../connection/server-error.ts'
import type { Session } from '../connection/session.ts'

/**
 * Drops a copy's user mappings: they hold passwords of foreign servers, so code that runs on the
 * copy could write to the servers that the original uses. Returns what was dropped, as phrases.
 */
export async function dropUserMappings(session: Session): Promise<string[]> {
  const mappings = await session.query<{ role: string; server: string; name: string }>(
    `SELECT CASE WHEN umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END AS role,
       pg_catalog.quote_ident(srvname) AS server, srvname AS name
     FROM pg_catalog.pg_user_mappings
     ORDER BY 2, 1`,
  )
  if (mappings.length === 0) return []
  // the copy's event triggers may refuse it, and before 17 nothing else turns them off; only a
  // superuser may set this
  await session.query('SET session_replication_role = replica').catch((error: unknown) => {
    if (!isServerError(error, '42501')) throw error
  })
  for (const { role, server } of mappings)
    await session.query(`DROP USER MAPPING IF EXISTS FOR ${role} SERVER ${server}`)
  await session.query('RESET session_replication_role')
  return [...new Set(mappings.map(({ name }) => `the user mappings of the foreign server ${name}`))]
}
