import { UserError } from '../../errors.ts'
import { isServerError } from '../connection/server-error.ts'
import { quoteName, quoteText, type Session } from '../connection/session.ts'

/**
 * What belongs to a database but is in no dump of it: owner, grants, limits, comment, settings.
 */
export interface DatabaseSettings {
  owner: string
  connectionLimit: number
  comment: string | null
  /** Null: the default grants. */
  grants: { grantee: string | null; privilege: string; grantable: boolean }[] | null
  /** `role` is null for a setting of the database, or names the role it holds for in it. */
  settings: { role: string | null; name: string; value: string }[]
}

/** Reads the settings of any database of the server; undefined if it does not exist. */
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
    `SELECT d.oid::int8::float8 AS oid, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
       d.datconnlimit AS limit,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment, d.datacl IS NOT NULL AS acl
     FROM pg_catalog.pg_database d
     WHERE d.datname = $1`,
    [database],
  )
  if (!row) return undefined
  return {
    owner: row.owner,
    connectionLimit: row.limit,
    comment: row.comment,
    grants: row.acl ? await readGrants(session, row.oid) : null,
    settings: await readSettings(session, row.oid),
  }
}

async function readGrants(
  session: Session,
  oid: number,
): Promise<NonNullable<DatabaseSettings['grants']>> {
  return session.query(
    `SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END
         AS grantee,
       a.privilege_type AS privilege, a.is_grantable AS grantable
     FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) AS a
     WHERE d.oid = $1::pg_catalog.oid`,
    [oid],
  )
}

async function readSettings(session: Session, oid: number): Promise<DatabaseSettings['settings']> {
  const settings = await session.query<{ role: string | null; setting: string }>(
    `SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END AS role,
       pg_catalog.unnest(s.setconfig) AS setting
     FROM pg_catalog.pg_db_role_setting s
     WHERE s.setdatabase = $1::pg_catalog.oid`,
    [oid],
  )
  return settings.map(({ role, setting }) => ({
    role,
    name: setting.slice(0, setting.indexOf('=')),
    value: setting.slice(setting.indexOf('=') + 1),
  }))
}

/** Splits a stored list, such as `"$user", public`; an empty list holds one empty name. */
function namesIn(list: string): string[] {
  return [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,"]+)/g)].map(([, quoted, bare]) =>
    quoted === undefined ? (bare ?? '') : quoted.replaceAll('""', '"'),
  )
}

/**
 * Settings that are lists of names, each quoted by itself (GUC_LIST_QUOTE in the server's source).
 */
const listSettings = [
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]

/** Returns the statement that sets a database's comment; null removes it. */
export function commentOn(database: string, comment: string | null): string {
  return `COMMENT ON DATABASE ${quoteName(database)} IS ${comment === null ? 'NULL' : quoteText(comment)}`
}

/** Applies settings to a database, in one transaction. Throws `no-permission`. */
export async function writeDatabaseSettings(
  session: Session,
  database: string,
  settings: DatabaseSettings,
): Promise<void> {
  const name = quoteName(database)
  const statements = [
    `ALTER DATABASE ${name} CONNECTION LIMIT ${settings.connectionLimit}`,
    commentOn(database, settings.comment),
  ]
  for (const { role, name: setting, value } of settings.settings) {
    const target =
      role === null ? `DATABASE ${name}` : `ROLE ${quoteName(role)} IN DATABASE ${name}`
    // the dot in the name of an extension's setting separates two identifiers
    const quoted = setting.split('.').map(quoteName).join('.')
    const values = listSettings.includes(setting.toLowerCase()) ? namesIn(value) : [value]
    statements.push(`ALTER ${target} SET ${quoted} TO ${values.map(quoteText).join(', ')}`)
  }
  if (settings.grants) {
    statements.push(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC, ${quoteName(settings.owner)}`)
    for (const { grantee, privilege, grantable } of settings.grants) {
      const role = grantee === null ? 'PUBLIC' : quoteName(grantee)
      const option = grantable ? ' WITH GRANT OPTION' : ''
      statements.push(`GRANT ${privilege} ON DATABASE ${name} TO ${role}${option}`)
    }
  }
  await session.query('BEGIN')
  try {
    await session.query(`ALTER DATABASE ${name} OWNER TO ${quoteName(settings.owner)}`)
    for (const statement of statements) await session.query(statement)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK')
    if (!isServerError(error, '42501')) throw error
    throw new UserError(
      'no-permission',
      `"${session.connection.user}" may not set the owner, grants and settings of the restored ` +
        `database: ${error.message}.`,
      'Restore as the owner of the database or a superuser. Nothing was replaced.',
      { cause: error },
    )
  }
}
