import { readFileSync } from 'node:fs'
import pg from 'pg'
import { messageOf, UserError } from '../errors.ts'
import type { Work } from '../work.ts'
import { type Connection, describeConnection } from './connection.ts'

/** One connection to a server, in our hands until `end`. */
export interface Session {
  readonly connection: Connection
  /** Major version of the server, for example 17. */
  readonly major: number
  /** The server's version as it tells it, for example `17.11`. */
  readonly version: string
  /** True when something stands between us and the server: the cancel key's process is not the backend's. */
  readonly pooled: boolean
  query<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
  /** Settles with the reason when the server or the network ends this connection before `end` was called. */
  readonly lost: Promise<Error>
  end(): Promise<void>
}

/**
 * Settings of every session of ours: no timeout of the server's configuration may end a backup in the middle, and what
 * is read is written the same way whatever the database's own settings are. A backend whose client is gone (killed)
 * notices within a second (`client_connection_check_interval`, PostgreSQL 14 and newer on Linux).
 */
const settings: Record<string, string> = {
  application_name: 'holdfast',
  bytea_output: 'hex',
  client_connection_check_interval: '1000',
  client_min_messages: 'warning',
  datestyle: 'ISO, YMD',
  extra_float_digits: '1',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  intervalstyle: 'postgres',
  jit: 'off',
  lc_monetary: 'C',
  lock_timeout: '0',
  quote_all_identifiers: 'off',
  row_security: 'off',
  search_path: '',
  standard_conforming_strings: 'on',
  statement_timeout: '0',
  synchronize_seqscans: 'off',
  timezone: 'UTC',
  transaction_timeout: '0',
  xmlbinary: 'base64',
}

/** Connects, and sets up the session. What a user can mend is a UserError that names the input. */
export async function connect(connection: Connection, work: Work): Promise<Session> {
  work.signal.throwIfAborted()
  const client = await open(connection, work.signal)
  const lost = new Promise<Error>((resolve) => client.on('error', resolve))
  const onAbort = (): void => destroy(client)
  work.signal.addEventListener('abort', onAbort, { once: true })
  const end = async (): Promise<void> => {
    work.signal.removeEventListener('abort', onAbort)
    await Promise.race([client.end(), lost, new Promise((resolve) => setTimeout(resolve, 2000).unref())])
    destroy(client)
  }
  const query = async <Row extends object>(text: string, values?: unknown[]): Promise<Row[]> => {
    try {
      return (await client.query<Row>(text, values)).rows
    } catch (error) {
      if (work.signal.aborted) throw work.signal.reason
      throw error
    }
  }
  try {
    await query('SELECT pg_catalog.set_config(name, value, false) FROM json_each_text($1) AS s(name, value) WHERE name IN (SELECT lower(name) FROM pg_catalog.pg_settings)', [
      JSON.stringify(settings),
    ])
    const [about] = await query<{ number: string; version: string; pid: number }>(
      "SELECT pg_catalog.current_setting('server_version_num') AS number, pg_catalog.current_setting('server_version') AS version, pg_catalog.pg_backend_pid() AS pid",
    )
    const own = (client as unknown as { processID: number | null }).processID
    return {
      connection,
      major: Math.floor(Number(about?.number) / 10_000),
      version: about?.version.split(' ')[0] ?? '',
      pooled: own !== about?.pid,
      query,
      lost,
      end,
    }
  } catch (error) {
    await end()
    throw error
  }
}

async function open(connection: Connection, signal: AbortSignal): Promise<pg.Client> {
  const mode = connection.settings['PGSSLMODE'] ?? 'prefer'
  const socket = connection.host.startsWith('/')
  if (socket || mode === 'disable' || mode === 'allow') return attempt(connection, false, signal)
  if (mode !== 'prefer') return attempt(connection, mode, signal)
  try {
    return await attempt(connection, mode, signal)
  } catch (error) {
    if (error instanceof UserError && /does not support SSL/.test(messageOf(error.cause))) return attempt(connection, false, signal)
    throw error
  }
}

async function attempt(connection: Connection, sslMode: string | false, signal: AbortSignal): Promise<pg.Client> {
  const client = new pg.Client({
    host: connection.host,
    port: connection.port,
    user: connection.user,
    database: connection.database,
    ...(connection.password === undefined ? {} : { password: connection.password }),
    ...(connection.settings['PGOPTIONS'] ? { options: connection.settings['PGOPTIONS'] } : {}),
    ssl: sslMode ? tls(connection, sslMode) : false,
    application_name: 'holdfast',
    keepAlive: true,
    // a network address translation on the way forgets a connection after minutes of silence
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 1000 * Number(connection.settings['PGCONNECT_TIMEOUT'] ?? 15),
  })
  client.on('error', () => {})
  const onAbort = (): void => destroy(client)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await client.connect()
    signal.throwIfAborted()
    return client
  } catch (cause) {
    destroy(client)
    signal.throwIfAborted()
    throw whyNot(connection, cause)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** libpq's sslmode in Node's words. `require` checks the certificate only if a root certificate is given, as libpq does. */
function tls(connection: Connection, mode: string): pg.ClientConfig['ssl'] {
  const file = (variable: string): string | undefined => {
    const path = connection.settings[variable]
    if (!path || path === 'system') return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new UserError('bad-url', `${connection.input}: the file ${path} (${variable}) cannot be read.`, 'Correct the path, or write the file in a step before.', { cause })
    }
  }
  const root = connection.settings['PGSSLROOTCERT']
  const ca = file('PGSSLROOTCERT')
  const cert = file('PGSSLCERT')
  const key = file('PGSSLKEY')
  return {
    rejectUnauthorized: mode.startsWith('verify') || (mode === 'require' && root !== undefined),
    ...(mode === 'verify-full' || root === 'system' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
  }
}

/** Why a connection was refused, and what to do about it. */
function whyNot(connection: Connection, cause: unknown): UserError {
  const { code = '' } = cause as { code?: string }
  const text = messageOf(cause) || messageOf((cause as AggregateError).errors?.[0])
  const where = `${connection.host}:${connection.port}`
  const say = (name: string, message: string, hint: string): UserError => new UserError(name, `${connection.input}: ${message}`, hint, { cause })
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return say('host-unknown', `there is no host named "${connection.host}" (${code}).`, 'Check the name; a private name resolves only on a runner inside that network.')
  if (code === 'ECONNREFUSED' || code === 'ENOENT')
    return say('unreachable', `nothing listens at ${where} (connection refused).`, 'Check host and port, that the server runs, and that it listens on that address (listen_addresses).')
  if (['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET'].includes(code) || /timeout expired|terminated unexpectedly/.test(text))
    return say('unreachable', `${where} cannot be reached: ${text}.`, 'A firewall or an allow-list usually stands between: let this runner in, or use a runner inside that network.')
  if (code === '28P01' || /SASL|password must be a string/.test(text))
    return say('wrong-password', `the server at ${where} does not accept the password of "${connection.user}".`, 'Correct the password in the secret; in a URL, percent-encode its special characters (@ is %40, / is %2F, : is %3A).')
  if (code === '28000') return say('login-refused', `the server at ${where} refuses "${connection.user}": ${text}.`, 'Check that the role exists with LOGIN, and that pg_hba.conf lets it in from here (with or without SSL: sslmode=require).')
  if (code === '3D000') return say('database-missing', `there is no database "${connection.database}" on ${where}.`, 'Check the name after the last slash of the URL; list them with: psql -l')
  if (code === '42501') return say('login-refused', `"${connection.user}" may not connect to "${connection.database}".`, `Run on the server: GRANT CONNECT ON DATABASE "${connection.database}" TO "${connection.user}";`)
  if (code === '53300') return say('too-many-connections', `${where} has no free connection: ${text}.`, 'Try at a quieter time, raise max_connections, or reserve some for this role.')
  if (code === '57P03') return say('starting-up', `${where} is not ready: ${text}.`, 'Wait until pg_isready says so; for a service container, give it a health check.')
  if (/does not support SSL/.test(text)) return say('no-ssl', `${where} does not speak SSL, which sslmode asks for.`, 'Turn SSL on at the server, or set sslmode=disable inside a network that you trust.')
  if (/certificate|self.signed|altnames|SSL|TLS/i.test(text + code)) return say('certificate', `the certificate of ${where} is not accepted: ${text}.`, 'Give the authority that signed it as sslrootcert=FILE, or correct the host name.')
  return say('cannot-connect', `cannot connect to ${describeConnection(connection)}: ${text || code}.`, 'Try the same connection with psql from the same machine.')
}

function destroy(client: pg.Client): void {
  const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } }
  connection?.stream?.destroy()
}

/** An identifier, quoted for SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text, quoted for SQL where no parameter can stand. */
export function quoteText(text: string): string {
  return text.includes('\\') ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`
}
