import type { Connection } from './connection.ts'
import type { Session } from './session.ts'

/**
 * A connection on which a copy's event triggers do not act (17 and newer, superusers only): one may
 * fire at each login. And one that speaks English.
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
 * A connection on which the server speaks English, where this role may choose: what pg_dump and
 * pg_restore say of it is known by its words, since they pass on no SQLSTATE.
 */
export async function withEnglishMessages(
  session: Session,
  connection: Connection,
): Promise<Connection> {
  const may =
    session.major >= 15
      ? `pg_catalog.has_parameter_privilege('lc_messages', 'SET')`
      : '(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)'
  const [row] = await session.query<{ language: string; may: boolean }>(
    `SELECT pg_catalog.current_setting('lc_messages') AS language, ${may} AS may`,
  )
  return !row?.may || /^(C|POSIX|en)(?![a-z])/i.test(row.language)
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
