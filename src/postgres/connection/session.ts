import { readFileSync } from 'node:fs'
import pg from 'pg'
import { messageOf, UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { connectError } from './connect-errors.ts'
import type { Connection } from './connection.ts'
import { damagedRelation } from './damaged-relation.ts'
import { isServerError } from './server-error.ts'
import { StandbyConflict, sessionError } from './session-errors.ts'

/** One connection to a server, in our hands until `end`. */
export interface Session {
  readonly connection: Connection
  /** Major version of the server, for example 17. */
  readonly major: number
  /** The server's version as it tells it, for example `17.11`. */
  readonly version: string
  /**
   * True when something stands between us and the server: the cancel key's process is not the
   * backend's.
   */
  readonly pooled: boolean
  /**
   * Throws a StandbyConflict, or a UserError for what the server or the network may do to any of us
   * in the middle of work (`session-errors.ts`; the server's own error is its cause). Every other
   * error comes as it is, its SQLSTATE as `code`.
   */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: unknown[],
  ): Promise<Row[]>
  /**
   * Settles when the server or the network ends this connection before `end` was called, with a
   * StandbyConflict or a UserError `connection-lost`.
   */
  readonly lost: Promise<Error>
  end(): Promise<void>
}

/** A session of the driver's own. */
export interface ClientSession extends Session {
  /**
   * As `query`, for somebody else's text: one statement, and a second one is an error. Rows as
   * lists of values, since two columns may have one name.
   */
  single(text: string): Promise<{ columns: number; rows: unknown[][] }>
}

/**
 * Settings of every session of ours: no timeout of the server's configuration may end a backup in
 * the middle, and what is read is written the same way whatever the database's own settings are. A
 * backend whose client is gone (killed) notices within a second
 * (`client_connection_check_interval`, PostgreSQL 14 and newer on Linux).
 */
export const settings: Record<string, string> = {
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
  // the sessions of a fingerprint are as many as were asked for
  max_parallel_workers_per_gather: '0',
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
export async function connect(connection: Connection, work: Work): Promise<ClientSession> {
  work.signal.throwIfAborted()
  const client = await open(connection, work.signal)
  const ending: { why?: Error; byUs?: boolean } = {}
  const understand = (error: unknown): unknown => {
    const why = sessionError(connection, error)
    if (!(why instanceof StandbyConflict || why?.code === 'connection-lost')) return why ?? error
    // what the server said as it ended the session says more than the broken socket that comes
    // after it
    if (ending.why === undefined || isServerError(error)) ending.why = why
    return ending.why
  }
  // a server that crashes, or is stopped at once, says so by a warning: there is no time for more
  client.on('notice', ({ code, message }) => {
    if (code?.startsWith('57P')) understand(Object.assign(new Error(message), { code }))
  })
  const lost = new Promise<Error>((resolve) =>
    client.on('error', (error) => resolve(understand(error) as Error)),
  )
  const onAbort = (): void => destroy(client)
  work.signal.addEventListener('abort', onAbort, { once: true })
  const end = async (): Promise<void> => {
    ending.byUs = true
    work.signal.removeEventListener('abort', onAbort)
    await Promise.race([
      client.end(),
      lost,
      new Promise((resolve) => setTimeout(resolve, 2000).unref()),
    ])
    destroy(client)
  }
  // one after the other: a ping or a look at progress may come while another query runs
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(asking: () => Promise<T>): Promise<T> => {
    const asked = turn.then(() => ask(asking))
    turn = asked.catch(() => {})
    return asked
  }
  const query = <Row extends object>(text: string, values?: unknown[]): Promise<Row[]> =>
    inTurn(async () => (await client.query<Row>(text, values)).rows)
  // the extended protocol takes one statement at a time
  const one = (text: string): pg.QueryArrayConfig =>
    ({ text, rowMode: 'array', queryMode: 'extended' }) as pg.QueryArrayConfig
  const single = (text: string): Promise<{ columns: number; rows: unknown[][] }> =>
    inTurn(async () => {
      const { fields, rows } = await client.query<unknown[]>(one(text))
      return { columns: fields.length, rows }
    })
  const ask = async <T>(asking: () => Promise<T>): Promise<T> => {
    try {
      const answer = await asking()
      delete ending.why
      return answer
    } catch (error) {
      if (work.signal.aborted) throw work.signal.reason
      if (ending.byUs) throw error
      const why = understand(error)
      throw why instanceof UserError && why.code === 'data-damaged'
        ? await withRelation(why, connection, work)
        : why
    }
  }
  try {
    await query(
      'SELECT pg_catalog.set_config(name, value, false) FROM json_each_text($1) AS s(name, value) WHERE name IN (SELECT lower(name) FROM pg_catalog.pg_settings)',
      [JSON.stringify({ ...settings, application_name: applicationName(connection) })],
    )
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
      single,
      lost,
      end,
    }
  } catch (error) {
    await end()
    throw error
  }
}

/**
 * What the server shows of our sessions: `holdfast`, or the name that this run has given itself, so
 * that its sessions and pg_dumps are known as its own.
 */
function applicationName(connection: Connection): string {
  return connection.settings['PGAPPNAME'] ?? 'holdfast'
}

/**
 * Names what is damaged, asked on a connection of its own: the session's transaction is over.
 * Whatever goes wrong then, the first error is told.
 */
async function withRelation(
  damaged: UserError,
  connection: Connection,
  work: Work,
): Promise<UserError> {
  let client: pg.Client | undefined
  try {
    const asking = (client = await open(connection, work.signal))
    const name = await damagedRelation(
      damaged.message,
      async (text, values) => (await asking.query<{ name: string }>(text, values)).rows,
    )
    return name
      ? new UserError(damaged.code, `${damaged.message} That is in ${name}.`, damaged.hint, {
          cause: damaged.cause,
        })
      : damaged
  } catch {
    return damaged
  } finally {
    if (client) destroy(client)
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
    if (error instanceof UserError && /does not support SSL/.test(messageOf(error.cause)))
      return attempt(connection, false, signal)
    throw error
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
    ssl: sslMode ? tls(connection, sslMode) : false,
    application_name: applicationName(connection),
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
    throw connectError(connection, cause)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * libpq's sslmode in Node's words. `require` checks the certificate only if a root certificate is
 * given, as libpq does.
 */
function tls(connection: Connection, mode: string): pg.ClientConfig['ssl'] {
  const file = (variable: string): string | undefined => {
    const path = connection.settings[variable]
    if (!path || path === 'system') return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new UserError(
        'bad-url',
        `${connection.input}: the file ${path} (${variable}) cannot be read.`,
        'Correct the path, or write the file in a step before.',
        { cause },
      )
    }
  }
  const root = connection.settings['PGSSLROOTCERT']
  const ca = file('PGSSLROOTCERT')
  const cert = file('PGSSLCERT')
  const key = file('PGSSLKEY')
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
  return text.includes('\\')
    ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}
