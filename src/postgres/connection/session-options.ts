import type { Connection } from './connection.ts'
import type { Session } from './session.ts'

/**
 * Returns a connection with English messages, on which event triggers do not fire (17 and newer,
 * superusers only). A copy can hold an event trigger that fires at each login.
 */
export async function withEventTriggersOff(
  session: Session,
  connection: Connection,
): Promise<Connection> {
  const english = await withEnglishMessages(session, connection)
  const [user] = await session.query<{ superuser: boolean }>(
    'SELECT rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user',
  )
  return session.major < 17 || !user?.superuser
    ? english
    : withOption(english, 'event_triggers=off')
}

/**
 * Returns a connection with English messages, if this role may set them. pg_dump and pg_restore
 * print no SQLSTATE, so their errors are known by their words.
 */
export async function withEnglishMessages(
  session: Session,
  connection: Connection,
): Promise<Connection> {
  const maySet =
    session.major >= 15
      ? `pg_catalog.has_parameter_privilege('lc_messages', 'SET')`
      : '(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)'
  const [row] = await session.query<{ language: string; may_set: boolean }>(
    `SELECT pg_catalog.current_setting('lc_messages') AS language, ${maySet} AS may_set`,
  )
  return !row?.may_set || /^(C|POSIX|en)(?![a-z])/i.test(row.language)
    ? connection
    : withOption(connection, 'lc_messages=C')
}

function withOption(connection: Connection, option: string): Connection {
  return {
    ...connection,
    settings: {
      ...connection.settings,
      PGOPTIONS: `${connection.settings['PGOPTIONS'] ?? ''} -c ${option}`.trim(),
    },
  }
}
