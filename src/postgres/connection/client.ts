import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { messageOf, UserError } from '../../errors.ts'
import { connectError } from './connect-errors.ts'
import type { Connection } from './connection.ts'

/**
 * Connects the driver, with or without TLS as libpq's `sslmode` says. Throws a UserError that names
 * the connection's input; throws the signal's reason if it aborts.
 */
export async function openClient(connection: Connection, signal: AbortSignal): Promise<pg.Client> {
  const mode = connection.settings['PGSSLMODE'] ?? 'prefer'
  const socket = connection.host.startsWith('/')
  if (socket || mode === 'disable' || mode === 'allow') return attempt(connection, false, signal)
  if (mode !== 'prefer') return attempt(connection, mode, signal)
  try {
    return await attempt(connection, mode, signal)
  } catch (error) {
    if (error instanceof UserError && /does not support SSL/.test(messageOf(error.cause)))
      return attempt(connection, false, signal)
    throw error
  }
}

/** Closes the socket without a goodbye to the server. */
export function destroyClient(client: pg.Client): void {
  const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } }
  connection?.stream?.destroy()
}

/**
 * The name of this run's sessions in `pg_stat_activity`: `holdfast`, or a unique name that the run
 * gave its sessions and pg_dumps.
 */
export function applicationName(connection: Connection): string {
  return connection.settings['PGAPPNAME'] ?? 'holdfast'
}

/**
 * Returns the connection with a unique application name, which identifies all sessions and pg_dumps
 * of this run on the server.
 */
export function withUniqueApplicationName(connection: Connection): Connection {
  return {
    ...connection,
    settings: { ...connection.settings, PGAPPNAME: `holdfast-${randomBytes(4).toString('hex')}` },
  }
}

async function attempt(
  connection: Connection,
  sslMode: string | false,
  signal: AbortSignal,
): Promise<pg.Client> {
  const client = new pg.Client({
    host: connection.host,
    port: connection.port,
    user: connection.user,
    database: connection.database,
    ...(connection.password === undefined ? {} : { password: connection.password }),
    ...(connection.settings['PGOPTIONS'] ? { options: connection.settings['PGOPTIONS'] } : {}),
    ssl: sslMode ? tlsOptions(connection, sslMode) : false,
    application_name: applicationName(connection),
    keepAlive: true,
    // network address translation forgets a connection after minutes of silence
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 1000 * Number(connection.settings['PGCONNECT_TIMEOUT'] ?? 15),
  })
  client.on('error', () => {})
  const onAbort = (): void => destroyClient(client)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await client.connect()
    signal.throwIfAborted()
    return client
  } catch (cause) {
    destroyClient(client)
    signal.throwIfAborted()
    // the driver also reads PGPASSWORD and the password file
    const { password } = client
    throw connectError(password ? { ...connection, password } : connection, cause)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * Translates libpq's sslmode to Node's options. As in libpq, `require` checks the certificate only
 * if a root certificate is given.
 */
function tlsOptions(connection: Connection, mode: string): pg.ClientConfig['ssl'] {
  const root = connection.settings['PGSSLROOTCERT']
  const ca = readSettingFile(connection, 'PGSSLROOTCERT')
  const cert = readSettingFile(connection, 'PGSSLCERT')
  const key = readSettingFile(connection, 'PGSSLKEY')
  return {
    rejectUnauthorized: mode.startsWith('verify') || (mode === 'require' && root !== undefined),
    ...(mode === 'verify-full' || root === 'system'
      ? {}
      : { checkServerIdentity: () => undefined }),
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
  }
}

function readSettingFile(connection: Connection, variable: string): string | undefined {
  const path = connection.settings[variable]
  if (!path || path === 'system') return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new UserError(
      'bad-url',
      `${connection.input}: the file ${path} (${variable}) cannot be read.`,
      'Correct the path, or write the file in an earlier step.',
      { cause },
    )
  }
}
