import { UserError } from '../../errors.ts'

/** A database on a server, and how to log in: all that libpq needs. */
export interface Connection {
  /** A host name, an address, or the folder of a unix socket. */
  host: string
  port: number
  user: string
  password?: string
  database: string
  /** Other libpq settings, by PG* variable, for example `PGSSLMODE`. */
  settings: Record<string, string>
  /** The input that the connection came from, for messages. */
  input: string
}

/** URI parameters that are kept, with their PG* variable (libpq, "Parameter Key Words"). */
const keptParameters: Record<string, string> = {
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
 * Parses `postgres://user:password@host:port/database?sslmode=…`. Ignores parameters that libpq
 * does not know (frameworks add their own, such as `schema=`). Throws a UserError `bad-url` that
 * names `input` and never shows the text.
 */
export function parseConnection(text: string, input: string): Connection {
  const wrong = (what: string): UserError => new UserError('bad-url', `${input} ${what}.`)
  const trimmed = text.trim()
  const problem = problemOf(trimmed)
  if (problem) throw wrong(problem)
  const url = splitUrl(trimmed)
  if (!url) throw wrong('is not a URL that can be parsed')
  const { parameters } = url
  const user = parameters.get('user') ?? url.user
  if (!user) throw wrong('names no user')
  const password = parameters.get('password') ?? url.password
  const settings = settingsOf(parameters)
  const mode = settings['PGSSLMODE']
  if (mode && !sslModes.includes(mode))
    throw wrong(`has sslmode=${mode}; use one of ${sslModes.join(', ')}`)
  const port = Number(parameters.get('port') ?? (url.port || 5432))
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw wrong('has a port that is not a number from 1 to 65535')
  return {
    host: decodeURIComponent(parameters.get('host') ?? url.host),
    port,
    user,
    ...(password ? { password } : {}),
    database: parameters.get('dbname') ?? (url.database || user),
    settings,
    input,
  }
}

/** Returns what is wrong with a URL, for mistakes that a parser would accept or misread. */
function problemOf(url: string): string | undefined {
  if (!/^postgres(ql)?:\/\//i.test(url))
    return 'is not a PostgreSQL URL: it does not start with postgres:// or postgresql://'
  if (/^[^:]+:\/\/[^/?]*,/.test(url.replace(/\/\/.*@/, '//'))) return 'names several hosts; use one'
  const afterHost = url.replace(/^[^:]+:\/\/[^/?#]*@/, '').replace(/[?#].*$/s, '')
  return afterHost.includes('@')
    ? 'has an @ after its host: a special character in the password is not percent-encoded'
    : undefined
}

/** The parts of a URL, decoded; only the host is still as it was written. */
interface UrlParts {
  user: string
  password: string
  host: string
  port: string
  database: string
  parameters: URLSearchParams
}

function splitUrl(text: string): UrlParts | undefined {
  // libpq allows an empty host (a socket in ?host=), URL does not
  const withHost = text.replace(
    /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)(?=[/?]|$)/i,
    '$1socket.invalid',
  )
  try {
    const url = new URL(withHost)
    const { hostname } = url
    return {
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      host: hostname === 'socket.invalid' ? 'localhost' : hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      database: decodeURIComponent(url.pathname.slice(1)),
      parameters: url.searchParams,
    }
  } catch {
    return undefined
  }
}

function settingsOf(parameters: URLSearchParams): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const [key, value] of parameters) {
    const variable = keptParameters[key]
    if (variable && value) settings[variable] = value
  }
  return settings
}

/**
 * Returns the connection that libpq's PG* variables describe; undefined if PGHOST, PGDATABASE and
 * PGUSER are all unset.
 */
export function connectionFromEnv(
  env: Record<string, string | undefined>,
  input: string,
): Connection | undefined {
  if (!env['PGHOST'] && !env['PGDATABASE'] && !env['PGUSER']) return undefined
  const user = env['PGUSER'] || env['USER'] || 'postgres'
  const settings: Record<string, string> = {}
  for (const variable of Object.values(keptParameters)) {
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

/** Returns the connection to another database with the same server and user. */
export function withDatabase(connection: Connection, database: string): Connection {
  return { ...connection, database }
}

/**
 * Returns the variables by which a child process (pg_dump, psql, a migration) connects. They are
 * separate, because libpq does not expand a URI in PGDATABASE.
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
 * Returns the environment of a pg_dump: libpq's variables, and settings that the database or the
 * role could otherwise change, and pg_dump's text with them (`quote_all_identifiers`, or the time
 * zone of defaults). On `major` 14 and newer, a backend notices within a second that its client is
 * gone.
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

/** Returns the connection as one URL with its password: for DATABASE_URL, never for a log. */
export function connectionUrl(connection: Connection): string {
  const { host, port, user, password } = connection
  const login = [user, ...(password === undefined ? [] : [password])]
  const socket = host.startsWith('/')
  const address = socket ? '' : `${host.includes(':') ? `[${host}]` : host}:${port}`
  const query = new URLSearchParams(socket ? { host, port: String(port) } : {})
  for (const [key, variable] of Object.entries(keptParameters)) {
    const value = connection.settings[variable]
    if (value) query.set(key, value)
  }
  const parameters = query.size ? `?${query.toString().replaceAll('+', '%20')}` : ''
  const path = encodeURIComponent(connection.database) + parameters
  return `postgres://${login.map(encodeURIComponent).join(':')}@${address}/${path}`
}

/** Returns database, server and user for messages; never the password. */
export function describeConnection(connection: Connection): string {
  const { database, host, port, user } = connection
  return `database "${database}" on ${host}:${port} as "${user}"`
}
