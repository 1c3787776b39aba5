import { UserError } from '../../errors.ts'
import { quoteName, quoteText, type Session } from '../connection/session.ts'

/**
 * What belongs to a database and stands in no dump of it: owner, grants, limits, comment, settings.
 */
export interface DatabaseSettings {
  owner: string
  connectionLimit: number
  comment: string | null
  /** Null: the default grants. */
  grants: { grantee: string | null; privilege: string; grantable: boolean }[] | null
  /** `role` null: of the database; otherwise of that role in it. */
  settings: { role: string | null; name: string; value: string }[]
}

/** Reads them from another database of the same server. Undefined if there is no such database. */
export async function readDatabaseSettings(
  session: Session,
  database: string,
): Promise<DatabaseSettings | undefined> {
  const [row] = await session.query<{
    oid: number
    owner: string
    limit: number
    comment: string | null
    acl: boolean
  }>(
    `SELECT d.oid::int8::float8 AS oid, pg_catalog.pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS limit, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment, d.datacl IS NOT NULL AS acl
     FROM pg_catalog.pg_database d WHERE d.datname = $1`,
    [database],
  )
  if (!row) return undefined
  const grants = await session.query<{
    grantee: string | null
    privilege: string
    grantable: boolean
  }>(
    `SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END AS grantee, a.privilege_type AS privilege, a.is_grantable AS grantable
     FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) AS a WHERE d.datname = $1`,
    [database],
  )
  const settings = await session.query<{ role: string | null; setting: string }>(
    `SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END AS role, pg_catalog.unnest(s.setconfig) AS setting FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = $1::pg_catalog.oid`,
    [row.oid],
  )
  return {
    owner: row.owner,
    connectionLimit: row.limit,
    comment: row.comment,
    grants: row.acl ? grants : null,
    settings: settings.map(({ role, setting }) => ({
      role,
      name: setting.slice(0, setting.indexOf('=')),
      value: setting.slice(setting.indexOf('=') + 1),
    })),
  }
}

/** The names in a stored list, such as `"$user", public`; an empty list holds one empty name. */
function namesIn(list: string): string[] {
  return [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,"]+)/g)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare ?? '') : quoted.replaceAll('""', '"'),
  )
}

/**
 * Settings that are lists of names, each to be quoted by itself (GUC_LIST_QUOTE in the server's
 * source).
 */
const listSettings = [
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]

/** Gives them to another database, in one transaction. */
export async function writeDatabaseSettings(
  session: Session,
  database: string,
  properties: DatabaseSettings,
): Promise<void> {
  const name = quoteName(database)
  const statements = [
    `ALTER DATABASE ${name} CONNECTION LIMIT ${properties.connectionLimit}`,
    `COMMENT ON DATABASE ${name} IS ${properties.comment === null ? 'NULL' : quoteText(properties.comment)}`,
  ]
  for (const { role, name: setting, value } of properties.settings) {
    const target =
      role === null ? `DATABASE ${name}` : `ROLE ${quoteName(role)} IN DATABASE ${name}`
    // an extension's setting has a dot in its name, which is no part of an identifier
    const quoted = setting.split('.').map(quoteName).join('.')
    statements.push(
      `ALTER ${target} SET ${quoted} TO ${listSettings.includes(setting.toLowerCase()) ? namesIn(value).map(quoteText).join(', ') : quoteText(value)}`,
    )
  }
  if (properties.grants) {
    statements.push(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC, ${quoteName(properties.owner)}`)
    for (const { grantee, privilege, grantable } of properties.grants)
      statements.push(
        `GRANT ${privilege} ON DATABASE ${name} TO ${grantee === null ? 'PUBLIC' : quoteName(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`,
      )
  }
  await session.query('BEGIN')
  try {
    await session.query(`ALTER DATABASE ${name} OWNER TO ${quoteName(properties.owner)}`)
    for (const statement of statements) await session.query(statement)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK')
    const { code, message } = error as { code?: string; message: string }
    if (code !== '42501') throw error
    throw new UserError(
      'no-permission',
      `"${session.connection.user}" may not give the restored database the owner, grants and settings that it had: ${message}.`,
      'Restore as the owner of the database or a superuser; nothing was replaced.',
      { cause: error },
    )
  }
}
