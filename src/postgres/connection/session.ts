/**
 * Connections to a server: how one is described, opened and set up, and what its errors mean. A
 * `Session` is one open connection.
 */
import { text } from '../../text.ts'
import type pg from 'pg'
import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { applicationName, destroyClient, openClient } from './client.ts'
import type { Connection } from './connection.ts'
import { damagedRelation } from './damaged-relation.ts'
import { isServerError } from './server-error.ts'
import { StandbyConflict, sessionError } from './session-errors.ts'

/** One connection to a server, open until `end`. */
export interface Session {
  readonly connection: Connection
  /** Major version of the server, for example 17. */
  readonly major: number
  /** The server's version without its build, for example `17.11`. */
  readonly version: string
  /** True if a pooler is in between: the cancel key's process is not the backend's. */
  readonly pooled: boolean
  /**
   * Runs a query after all earlier ones, and returns its rows. Throws a StandbyConflict, or a
   * UserError for what the server or the network can do to any session (see `session-errors.ts`;
   * its cause is the server's error). Throws every other error as the driver does, with its
   * SQLSTATE in `code`: see `isServerError`.
   */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: unknown[],
  ): Promise<Row[]>
  /**
   * Settles if the server or the network ends this connection before `end`, with a StandbyConflict
   * or a UserError `connection-lost`.
   */
  readonly lost: Promise<Error>
  end(): Promise<void>
}

/** A session of the driver, and not of a client program. */
export interface ClientSession extends Session {
  /**
   * Runs one statement that a user wrote; fails if the text holds two. Returns each row as a list
   * of values, because two columns may have the same name.
   */
  single(text: string): Promise<{ columns: number; rows: unknown[][] }>
}

/**
 * Settings of every session. No timeout of the server's configuration may end a backup, and values
 * are written the same way whatever the database's own settings are. With
 * `client_connection_check_interval` (PostgreSQL 14 and newer on Linux), a backend notices within a
 * second that its client was killed.
 */
export const sessionSettings: Record<string, string> = {
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
  // the caller decides how many sessions read at a time
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

/** Connects and applies `sessionSettings`. Throws a UserError that names the connection's input. */
export async function connect(connection: Connection, work: Work): Promise<ClientSession> {
  work.signal.throwIfAborted()
  const session = new DriverSession(await openClient(connection, work.signal), connection, work)
  try {
    await session.setUp()
    checkMajor(session)
    return session
  } catch (error) {
    await session.end()
    throw error
  }
}

/**
 * Connects to read a live database. The session reads no view and no foreign table of a user:
 * the owner of a table or sequence can rename it while a session waits for its lock, and create a
 * view in its place, whose functions then run as this role (CVE-2024-7348). PostgreSQL 15.8, 16.4
 * and newer know the setting.
 */
export async function connectToRead(connection: Connection, work: Work): Promise<ClientSession> {
  const session = await connect(connection, work)
  try {
    await session.query(
      `SELECT pg_catalog.set_config(name, 'view, foreign-table', false)
       FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind'`,
    )
    return session
  } catch (error) {
    await session.end()
    throw error
  }
}

/** The oldest major that Holdfast supports: older ones are past their end of life. */
const oldestMajor = 15

/** Throws `server-too-old` for a server that Holdfast does not support. */
function checkMajor({ connection, major, version }: Session): void {
  if (major >= oldestMajor) return
  throw new UserError(
    'server-too-old',
    `${connection.input}: the server is PostgreSQL ${version}, and Holdfast supports ${oldestMajor} and newer.`,
  )
}

class DriverSession implements ClientSession {
  readonly connection: Connection
  readonly lost: Promise<Error>
  major = 0
  version = ''
  pooled = false
  readonly #client: pg.Client
  readonly #work: Work
  readonly #onAbort = (): void => destroyClient(this.#client)
  /** Why the server or the network ended the connection, as far as it is known. */
  #loss: Error | undefined
  #ending = false
  /** Settles when the queries so far have ended: pings and progress queries wait for others. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(client: pg.Client, connection: Connection, work: Work) {
    this.#client = client
    this.connection = connection
    this.#work = work
    // a server that crashes, or is stopped immediately, sends its reason as a warning only
    client.on('notice', ({ code, message }) => {
      if (code?.startsWith('57P')) this.#explain(Object.assign(new Error(message), { code }))
    })
    this.lost = new Promise((resolve) =>
      client.on('error', (error) => resolve(this.#explain(error) as Error)),
    )
    work.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  async setUp(): Promise<void> {
    const wanted = { ...sessionSettings, application_name: applicationName(this.connection) }
    await this.query(
      `SELECT pg_catalog.set_config(name, value, false) FROM json_each_text($1) AS s(name, value)
       WHERE name IN (SELECT lower(name) FROM pg_catalog.pg_settings)`,
      [JSON.stringify(wanted)],
    )
    const [server] = await this.query<{ number: string; version: string; pid: number }>(
      `SELECT pg_catalog.current_setting('server_version_num') AS number,
         pg_catalog.current_setting('server_version') AS version,
         pg_catalog.pg_backend_pid() AS pid`,
    )
    this.major = Math.floor(Number(server?.number) / 10_000)
    this.version = server?.version.split(' ')[0] ?? ''
    const { processID } = this.#client as unknown as { processID: number | null }
    this.pooled = processID !== server?.pid
  }

  query<Row extends object>(text: string, values?: unknown[]): Promise<Row[]> {
    return this.#enqueue(async () => (await this.#client.query<Row>(text, values)).rows)
  }

  single(text: string): Promise<{ columns: number; rows: unknown[][] }> {
    // the extended protocol takes one statement at a time
    const query = { text, rowMode: 'array', queryMode: 'extended' } as pg.QueryArrayConfig
    return this.#enqueue(async () => {
      const { fields, rows } = await this.#client.query<unknown[]>(query)
      return { columns: fields.length, rows }
    })
  }

  async end(): Promise<void> {
    this.#ending = true
    this.#work.signal.removeEventListener('abort', this.#onAbort)
    await Promise.race([
      this.#client.end(),
      this.lost,
      new Promise((resolve) => setTimeout(resolve, 2000).unref()),
    ])
    destroyClient(this.#client)
  }

  #enqueue<T>(request: () => Promise<T>): Promise<T> {
    const answer = this.#queue.then(() => this.#send(request))
    this.#queue = answer.catch(() => {})
    return answer
  }

  async #send<T>(request: () => Promise<T>): Promise<T> {
    try {
      const answer = await request()
      this.#loss = undefined
      return answer
    } catch (error) {
      if (this.#work.signal.aborted) throw this.#work.signal.reason
      if (this.#ending) throw error
      const explained = this.#explain(error)
      throw explained instanceof UserError && explained.code === 'data-damaged'
        ? await withRelation(explained, this.connection, this.#work)
        : explained
    }
  }

  /** Returns what the error means; the first reason for a lost connection stays the reason. */
  #explain(error: unknown): unknown {
    const explained = sessionError(this.connection, error)
    const isLoss = explained instanceof StandbyConflict || explained?.code === 'connection-lost'
    if (!isLoss) return explained ?? error
    // the server's own last message says more than the broken socket that follows it
    if (this.#loss === undefined || isServerError(error)) this.#loss = explained
    return this.#loss
  }
}

/**
 * Adds the name of the damaged relation to the error. Asks on a new connection, because the
 * session's transaction has failed; returns the error as it is if that does not work.
 */
async function withRelation(
  damaged: UserError,
  connection: Connection,
  work: Work,
): Promise<UserError> {
  let client: pg.Client | undefined
  try {
    const opened = (client = await openClient(connection, work.signal))
    const name = await damagedRelation(
      damaged.message,
      async (text, values) => (await opened.query<{ name: string }>(text, values)).rows,
    )
    if (name === undefined) return damaged
    const { message, hint } = damaged.texts
    const where = text`${message} The damage is in ${name}.`
    return new UserError(damaged.code, where, hint, { cause: damaged.cause })
  } catch {
    return damaged
  } finally {
    if (client) destroyClient(client)
  }
}

/** Returns an identifier quoted for SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Returns a text quoted for SQL, for statements that take no parameters. */
export function quoteText(text: string): string {
  return text.includes('\\')
    ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}
