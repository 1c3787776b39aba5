import { UserError } from '../../errors.ts'
import { input, join, text } from '../../text.ts'
import type { Connection } from '../connection/connection.ts'
import { isServerError } from '../connection/server-error.ts'
import { inUserSchema } from '../fingerprint/tables.ts'
import { quoteName, quoteText, type Session } from '../connection/session.ts'

/**
 * How a database encodes and sorts text. A copy needs the same, because the server hashes content.
 */
export interface Locale {
  encoding: string
  provider: 'libc' | 'icu' | 'builtin'
  collate: string
  ctype: string
  /** The locale of ICU or of the builtin provider. */
  locale?: string
  icuRules?: string
}

/**
 * Reads the locale of the session's own database or of another one; undefined if it does not exist.
 */
export async function readLocale(session: Session): Promise<Locale>
export async function readLocale(session: Session, database: string): Promise<Locale | undefined>
export async function readLocale(session: Session, database?: string): Promise<Locale | undefined> {
  const locale =
    session.major >= 17
      ? 'datlocale'
      : session.major >= 15
        ? 'daticulocale'
        : 'NULL::pg_catalog.text'
  const rules = session.major >= 16 ? 'daticurules' : 'NULL::pg_catalog.text'
  const provider = session.major >= 15 ? 'datlocprovider' : `'c'`
  const [row] = await session.query<{
    encoding: string
    provider: string
    collate: string
    ctype: string
    locale: string | null
    rules: string | null
  }>(
    `SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding,
       ${provider}::pg_catalog.text AS provider, datcollate AS collate, datctype AS ctype,
       ${locale} AS locale, ${rules} AS rules
     FROM pg_catalog.pg_database
     WHERE datname = coalesce($1, pg_catalog.current_database())`,
    [database ?? null],
  )
  if (!row && database !== undefined) return undefined
  if (!row) throw new Error('pg_database has no row of the current database')
  return {
    encoding: row.encoding,
    provider: row.provider === 'i' ? 'icu' : row.provider === 'b' ? 'builtin' : 'libc',
    collate: row.collate,
    ctype: row.ctype,
    ...(row.locale === null ? {} : { locale: row.locale }),
    ...(row.rules === null ? {} : { icuRules: row.rules }),
  }
}

/**
 * Creates an empty database with the given locale. `session` is on another database of the server,
 * outside any transaction. Throws `no-permission`, `locale-missing` and `disk-full`.
 */
export async function createDatabase(
  session: Session,
  name: string,
  locale: Locale,
): Promise<void> {
  const parts = [
    'TEMPLATE = template0',
    `ENCODING = ${quoteText(locale.encoding)}`,
    `LC_COLLATE = ${quoteText(locale.collate)}`,
    `LC_CTYPE = ${quoteText(locale.ctype)}`,
  ]
  if (session.major >= 15) parts.push(`LOCALE_PROVIDER = ${locale.provider}`)
  if (locale.provider === 'icu' && locale.locale)
    parts.push(`ICU_LOCALE = ${quoteText(locale.locale)}`)
  if (locale.provider === 'builtin' && locale.locale)
    parts.push(`BUILTIN_LOCALE = ${quoteText(locale.locale)}`)
  if (locale.icuRules && session.major >= 16)
    parts.push(`ICU_RULES = ${quoteText(locale.icuRules)}`)
  try {
    await session.query(`CREATE DATABASE ${quoteName(name)} ${parts.join(' ')}`)
  } catch (error) {
    throw createDatabaseError(error, session.connection, locale)
  }
}

function createDatabaseError(
  cause: unknown,
  { input: source, user }: Connection,
  { collate, provider }: Locale,
): unknown {
  if (!isServerError(cause)) return cause
  if (cause.code === '42501')
    return new UserError(
      'no-permission',
      `${source}: "${user}" may not create databases.`,
      `Run on the server: ALTER ROLE ${quoteName(user)} CREATEDB;`,
      { cause },
    )
  if (/locale|encoding|collation/i.test(cause.message))
    return new UserError(
      'locale-missing',
      `${source}: the server cannot create a database with the backup's locale: ${cause.message}.`,
      join(
        [
          `The backup has ${collate} (${provider}).`,
          `Generate it on that machine (sudo locale-gen ${collate}),`,
          text`or give a ${input('scratch-url')} of a server that has it.`,
        ],
        ' ',
      ),
      { cause },
    )
  return cause
}

/** Drops a database, if it exists, and ends its sessions. */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  await session.query(`DROP DATABASE IF EXISTS ${quoteName(name)} WITH (FORCE)`)
}

/**
 * Returns the roles that a dump of this database names: owners, grantees, grantors, roles of
 * policies. Includes the bootstrap superuser, because the server does not record what it owns;
 * excludes predefined roles (`pg_…`).
 */
export async function readRoles(session: Session): Promise<{ superuser: string; names: string[] }> {
  const rows = await session.query<{ name: string; bootstrap: boolean }>(`
    SELECT r.rolname AS name, r.oid = 10 AS bootstrap
    FROM pg_catalog.pg_roles r
    WHERE r.oid = 10
      OR r.oid IN (
        SELECT datdba FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database())
      OR (r.rolname NOT LIKE 'pg\\_%' AND r.oid IN (
        SELECT d.refobjid
        FROM pg_catalog.pg_shdepend d
        WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
          AND d.dbid = (
            SELECT oid FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database())))
    ORDER BY r.rolname COLLATE "C"`)
  return {
    superuser: rows.find((row) => row.bootstrap)?.name ?? 'postgres',
    names: rows.map((row) => row.name),
  }
}

/** Returns the tablespaces of this database's tables and indexes, without its default one. */
export async function readTablespaces(session: Session): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT t.spcname AS name
     FROM pg_catalog.pg_tablespace t
     WHERE t.oid IN (
       SELECT c.reltablespace FROM pg_catalog.pg_class c WHERE NOT c.relisshared)
     ORDER BY 1`,
  )
  return rows.map((row) => row.name)
}

/**
 * Returns the cluster's system identifier, which its standbys share; undefined if the role may not
 * read it.
 */
export async function readSystemIdentifier(session: Session): Promise<string | undefined> {
  const [row] = await session
    .query<{ system: string }>(
      'SELECT system_identifier::pg_catalog.text AS system FROM pg_catalog.pg_control_system()',
    )
    .catch((error: unknown) => {
      if (!isServerError(error, '42501')) throw error
      return []
    })
  return row?.system
}

/** Returns the roles that the server does not have. */
export async function missingRoles(session: Session, names: readonly string[]): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT name
     FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name
     WHERE name NOT IN (SELECT rolname FROM pg_catalog.pg_roles)
     ORDER BY 1`,
    [names],
  )
  return rows.map((row) => row.name)
}

/**
 * Creates the missing roles on a scratch server, without LOGIN. A role that another run creates at
 * the same time is used. Throws `no-permission`.
 */
export async function createRoles(session: Session, names: readonly string[]): Promise<void> {
  const { input: source, user } = session.connection
  for (const name of await missingRoles(session, names)) {
    try {
      await session.query(`CREATE ROLE ${quoteName(name)} NOLOGIN`)
    } catch (error) {
      if (isServerError(error, '42501'))
        throw new UserError(
          'no-permission',
          `${source}: "${user}" may not create the role "${name}", which the backup names: ${error.message}.`,
          'Use the URL of a superuser of a disposable server.',
          { cause: error },
        )
      if (!isServerError(error, '42710', '23505')) throw error
    }
  }
}

/**
 * Creates roles and grants them CONNECT on a database of this run. As its grantees they cannot be
 * dropped until the database is gone, even by the run that created them. Retries if another run
 * drops a role in between.
 */
export async function pinRoles(
  session: Session,
  database: string,
  names: readonly string[],
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await createRoles(session, names)
    try {
      await session.query(
        `GRANT CONNECT ON DATABASE ${quoteName(database)} TO ${names.map(quoteName).join(', ')}`,
      )
      return
    } catch (error) {
      // undefined_object; or, of two at once, "tuple concurrently updated"
      if (attempt === 5 || !isServerError(error, '42704', 'XX000')) throw error
    }
  }
}

/**
 * Drops roles that this run created. Keeps those that can log in or are superusers, because this
 * run creates none, and those that other objects depend on, such as another run's copy.
 */
export async function dropRoles(
  session: Session,
  names: readonly string[],
): Promise<{ dropped: string[]; stay: string[] }> {
  const existing = await session.query<{ name: string; ours: boolean }>(
    `SELECT rolname AS name, NOT rolcanlogin AND NOT rolsuper AS ours
     FROM pg_catalog.pg_roles
     WHERE rolname = ANY ($1)`,
    [names],
  )
  const [dropped, stay]: [string[], string[]] = [[], []]
  for (const { name, ours } of existing) {
    if (!ours) {
      stay.push(name)
      continue
    }
    try {
      await session.query(`DROP ROLE IF EXISTS ${quoteName(name)}`)
      dropped.push(name)
    } catch (error) {
      // dependent_objects_still_exist; insufficient_privilege; two at once
      if (!isServerError(error, '2BP01', '42501', 'XX000')) throw error
      stay.push(name)
    }
  }
  return { dropped, stay }
}

/** A table whose rows a dump leaves out because an extension owns it. */
const extensionOwned = `EXISTS (
  SELECT FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
    AND d.deptype = 'e' AND c.oid <> ALL (coalesce(e.extconfig, '{}')))`

/**
 * Checks that the role may read every table, before a backup starts. Returns warnings about rows
 * that a dump leaves out. Throws `no-permission` and `row-security`, which name the tables.
 */
export async function checkReadable(session: Session): Promise<{ warnings: string[] }> {
  const user = session.connection.user
  const names = async (condition: string): Promise<string[]> => {
    const rows = await session.query<{ name: string }>(
      `SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
       FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE ${inUserSchema} AND c.relpersistence <> 't' AND (${condition})
       ORDER BY 1`,
    )
    return rows.map((row) => row.name)
  }
  const list = (all: string[]): string =>
    `${all.slice(0, 5).join(', ')}${all.length > 5 ? ` and ${all.length - 5} more` : ''}`
  const closed = await names(
    `c.relkind IN ('r', 'S') AND NOT ${extensionOwned}
       AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))`,
  )
  if (closed.length)
    throw new UserError(
      'no-permission',
      `"${user}" may not read ${list(closed)}.`,
      `Run on the server: GRANT pg_read_all_data TO ${quoteName(user)};`,
    )
  const filtered = await names(`c.relkind = 'r' AND pg_catalog.row_security_active(c.oid)`)
  if (filtered.length)
    throw new UserError(
      'row-security',
      `Row-level security hides rows of ${list(filtered)} from "${user}", so the backup would ` +
        'lack them.',
      `Run on the server: ALTER ROLE ${quoteName(user)} BYPASSRLS;`,
    )
  const warnings: string[] = []
  const unlogged = await names(
    `c.relkind = 'r' AND c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery()`,
  )
  if (unlogged.length)
    warnings.push(
      `This is a standby: the rows of the unlogged ` +
        `${unlogged.length === 1 ? 'table' : 'tables'} ${list(unlogged)} are not in the backup.`,
    )
  const left = await names(`c.relkind = 'r' AND c.relpages > 0 AND ${extensionOwned}`)
  if (left.length)
    warnings.push(
      `Rows of ${list(left)} are not in the backup: they belong to an extension, whose tables ` +
        'pg_dump leaves out.',
    )
  return { warnings }
}
