import { after } from 'node:test'
import { Client } from 'pg'
import { findPostgres } from '../../scripts/postgres-programs.mjs'
import { startCluster } from '../../src/postgres/server/cluster.ts'
import {
  type Connection,
  connectionUrl,
  withDatabase,
} from '../../src/postgres/connection/connection.ts'
import { until } from './clock.ts'
import { quietWork } from './start-servers.ts'

/** A server that no other test file uses: for tests that look at everything there is on one. */
export interface OwnServer {
  major: number
  version: string
  bindir: string
  password: string
  to(database: string): Connection
  url(database: string): string
  query(database: string, sql: string): Promise<Record<string, unknown>[]>
  /** Makes a database, and fills it. */
  create(database: string, sql: string): Promise<void>
  /** Names of all databases that are not templates, sorted. */
  databases(): Promise<string[]>
  /** Waits until a query is in pg_sleep. */
  untilAsleep(): Promise<void>
  stop(): Promise<void>
}

const started: (() => Promise<void>)[] = []
// registered here, for the file: a hook that is registered inside `before` would run as soon as
// that is over
after(() => Promise.all(started.map((stop) => stop())))

/** The majors on this machine, newest first. */
export const majors = (): number[] => findPostgres(process.env).map(({ major }) => major)

/** The newest and the oldest of them: see `newestAndOldest` in servers.ts. */
export const newestAndOldestMajor = (): number[] =>
  majors().filter((_, i, all) => i === 0 || i === all.length - 1)

/**
 * Starts one; it is stopped when the test file ends. Its superuser's password has what a URL must
 * encode, and is no word that could stand in a log by chance.
 */
export async function startOwnServer(
  major?: number,
  settings: Record<string, string> = {},
): Promise<OwnServer> {
  const found = findPostgres(process.env).find(
    (each) => major === undefined || each.major === major,
  )
  if (found === undefined)
    throw new Error(
      `PostgreSQL ${major ?? ''} is not here. Type: npm test (it says what to install).`,
    )
  const cluster = await startCluster(
    { directory: found.bindir, major: found.major, version: found.version },
    {
      superuser: 'holdfast',
      settings: { max_connections: '60', shared_buffers: '64MB', ...settings },
    },
    quietWork(),
  )
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= cluster.stop())
  started.push(stop)
  const password = `p@ss/w:rd #${Math.random().toString(36).slice(2)}`
  const connection = { ...cluster.connection, input: 'test' }
  const query = async (to: Connection, sql: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: connectionUrl(to) })
    client.on('error', () => {})
    await client.connect()
    try {
      const result: unknown = await client.query(sql)
      return (
        (Array.isArray(result) ? result.at(-1) : result) as { rows: Record<string, unknown>[] }
      ).rows
    } finally {
      await client.end()
    }
  }
  await query(connection, `ALTER ROLE holdfast PASSWORD '${password}'`)
  const to = (database: string): Connection => ({ ...withDatabase(connection, database), password })
  return {
    major: found.major,
    version: found.version,
    bindir: found.bindir,
    password,
    to,
    stop,
    url: (database) => connectionUrl(to(database)),
    query: (database, sql) => query(to(database), sql),
    async create(database, sql) {
      await query(
        to('postgres'),
        `CREATE DATABASE "${database}" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'`,
      )
      await query(to(database), sql)
    },
    databases: async () =>
      (
        await query(
          to('postgres'),
          'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1',
        )
      ).map(({ datname }) => String(datname)),
    untilAsleep: () =>
      until('a query in pg_sleep', async () => {
        const sql = `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`
        return (await query(to('postgres'), sql)).length > 0
      }),
  }
}
