import { UserError } from '../../errors.ts'

/**
 * Where a database is and how to get in: everything libpq would want, in one value.
 * `input` is the input it came from, for messages.
 */
export interface Connection {
  /** A host's name or address, or the folder of a unix socket. */
  host: string
  port: number
  user: string
  password?: string
  database: string
  /** Further libpq settings by their PG* variable, for example `PGSSLMODE`. */
  settings: Record<string, string>
  input: string
}

/**
 * The parameters of a connection URI that we pass on, by their PG* variable (libpq, "Parameter Key
 * Words").
 */
const passedOn: Record<string, string> = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcrl: 'PGSSLCRL',
  sslnegotiation: 'PGSSLNEGOTIATION',
  channel_binding: 'PGCHANNELBINDING',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  options: 'PGOPTIONS',
  gssencmode: 'PGGSSENCMODE',
  krbsrvname: 'PGKRBSRVNAME',
}
const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`. Parameters that libpq does not
 * know (frameworks add their own, such as `schema=`) are left out. Throws a UserError that names
 * `input` and never shows the text.
 */
export function parseConnection(text: string, input: string): Connection {
  const wrong = (what: string): UserError =>
    new UserError(
      'bad-url',
      `${input} ${what}.`,
      'Give one line such as postgres://user:password@host:5432/database, with special characters percent-encoded (@ is %40, / is %2F, : is %3A).',
    )
  const trimmed = text.trim()
  if (!/^postgres(ql)?:\/\//i.test(trimmed))
    throw wrong('is not a PostgreSQL URL: it does not begin with postgres:// or postgresql://')
  if (/^[^:]+:\/\/[^/?]*,/.test(trimmed.replace(/\/\/.*@/, '//')))
    throw wrong('names several hosts; name one')
  if (/@/.test(trimmed.replace(/^[^:]+:\/\/[^/?#]*@/, '').replace(/[?#].*$/s, '')))
    throw wrong(
      'has an @ after its host: a special character of the password is not percent-encoded',
    )
  // an empty host (a socket given by ?host=) is legal for libpq, and not for URL
  const standIn = trimmed.replace(
    /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?]|$)/i,
    '$1socket.invalid',
  )
  let url: URL
  let parts: { user: string; password: string; database: string }
  try {
    url = new URL(standIn)
    parts = {
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
    }
  } catch {
    throw wrong('is not a URL that can be read')
  }
  const parameters = url.searchParams
  const host =
    parameters.get('host') ??
    (url.hostname === 'socket.invalid' ? 'localhost' : url.hostname.replace(/^\[|\]$/g, ''))
  const user = parameters.get('user') ?? parts.user
  const password = parameters.get('password') ?? parts.password
  if (!user) throw wrong('names no user')
  const database = parameters.get('dbname') ?? (parts.database || user)
  const settings: Record<string, string> = {}
  for (const [key, value] of parameters) {
    const variable = passedOn[key]
    if (variable && value) settings[variable] = value
  }
  const mode = settings['PGSSLMODE']
  if (mode && !sslModes.includes(mode))
    throw wrong(`has sslmode=${mode}, which is none of ${sslModes.join(', ')}`)
  const port = Number(parameters.get('port') ?? (url.port || 5432))
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw wrong('has a port that is not a number from 1 to 65535')
  return {
    host: decodeURIComponent(host),
    port,
    user,
    ...(password ? { password } : {}),
    database,
    settings,
    input,
  }
}

/** Reads libpq's PG* variables. Undefined when PGHOST, PGDATABASE and PGUSER are all unset. */
export function connectionFromEnv(
  env: Record<string, string | undefined>,
  input: string,
): Connection | undefined {
  if (!env['PGHOST'] && !env['PGDATABASE'] && !env['PGUSER']) return undefined
  const user = env['PGUSER'] || env['USER'] || 'postgres'
  const settings: Record<string, string> = {}
  for (const variable of Object.values(passedOn)) {
    const value = env[variable]
    if (value) settings[variable] = value
  }
  const password = env['PGPASSWORD']
  return {
    host: env['PGHOST'] || 'localhost',
    port: Number(env['PGPORT'] || 5432),
    user,
    ...(password ? { password } : {}),
    database: env['PGDATABASE'] || user,
    settings,
    input,
  }
}

/** The same server and user, another database. */
export function withDatabase(connection: Connection, database: string): Connection {
  return { ...connection, database }
}

/**
 * What a child of ours (pg_dump, psql, a migration) needs in its environment to get in. libpq
 * expands no URI in PGDATABASE, so the parts.
 */
export function libpqEnvironment(connection: Connection): Record<string, string> {
  return {
    ...connection.settings,
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    ...(connection.password === undefined ? {} : { PGPASSWORD: connection.password }),
    PGDATABASE: connection.database,
    PGAPPNAME: connection.settings['PGAPPNAME'] ?? 'holdfast',
  }
}

/**
 * The environment of a pg_dump: libpq's, and settings that would otherwise come from the database
 * or the role and change what it writes (a database may well have `quote_all_identifiers`, or a
 * time zone that its defaults are shown in). A backend whose client is gone notices within a second
 * (PostgreSQL 14 and newer).
 */
export function dumpEnvironment(connection: Connection, major: number): Record<string, string> {
  const pinned = [
    'quote_all_identifiers=off',
    'standard_conforming_strings=on',
    'timezone=UTC',
    'bytea_output=hex',
    'lc_monetary=C',
    'xmlbinary=base64',
    ...(major >= 14 ? ['client_connection_check_interval=1000'] : []),
  ]
  return {
    ...libpqEnvironment(connection),
    PGOPTIONS: [connection.settings['PGOPTIONS'] ?? '', ...pinned.map((setting) => `-c ${setting}`)]
      .join(' ')
      .trim(),
  }
}

/** The connection as one URL, password and all: for DATABASE_URL, never for a log. */
export function connectionUrl(connection: Connection): string {
  const secret =
    connection.password === undefined ? '' : `:${encodeURIComponent(connection.password)}`
  const socket = connection.host.startsWith('/')
  const host = socket
    ? ''
    : connection.host.includes(':')
      ? `[${connection.host}]`
      : connection.host
  const query = new URLSearchParams(
    socket ? { host: connection.host, port: String(connection.port) } : {},
  )
  for (const [key, variable] of Object.entries(passedOn)) {
    const value = connection.settings[variable]
    if (value) query.set(key, value)
  }
  const tail = query.size ? `?${query.toString().replaceAll('+', '%20')}` : ''
  return `postgres://${encodeURIComponent(connection.user)}${secret}@${host}${socket ? '' : `:${connection.port}`}/${encodeURIComponent(connection.database)}${tail}`
}

/** For messages: who, where, which database; never the password. */
export function describeConnection(connection: Connection): string {
  return `database "${connection.database}" on ${connection.host}:${connection.port} as "${connection.user}"`
}
