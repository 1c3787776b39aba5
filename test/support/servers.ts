/**
 * The PostgreSQL servers that tests run against, one a major. Under `npm test` all files share
 * them, and they start when the first file imports this module. A test file that runs alone
 * (`node --test test/x.test.ts`, on Node 24) starts its own here, and stops them when it ends.
 */
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after } from 'node:test'
import { Client } from 'pg'
import {
  type Connection,
  connectionUrl,
  withDatabase,
} from '../../src/postgres/connection/connection.ts'
import { type ServerDescription, startServers } from './start-servers.ts'

export interface Server extends ServerDescription {
  /** A superuser's URL of one database there. */
  url(database: string): string
  /** The same as a value. */
  to(database: string): Connection
}

/**
 * How a database that tests clone is made: by SQL, in a database that is empty. Its name is for
 * people who look at the server.
 */
export interface Template {
  name: string
  sql: string
}

const socket = process.env.HOLDFAST_TEST_SERVERS
const all = (socket === undefined ? await startOwn() : await askFor(socket)).map(asServer)

const made: { server: Server; name: string }[] = []
// registered here, for the file: a hook that is registered inside `before` would run as soon as
// that is over
if (socket !== undefined)
  after(async () => {
    for (const { server, name } of made) {
      const sql = `SELECT datname FROM pg_database WHERE starts_with(datname, '${name}')`
      for (const { datname } of await query(server, 'postgres', sql))
        await query(server, 'postgres', `DROP DATABASE IF EXISTS "${String(datname)}" WITH (FORCE)`)
    }
  })

/** All of them, newest major first. There is at least one. */
export function servers(): Server[] {
  return all
}

/**
 * The newest and the oldest: for tests whose subject differs between majors only where a statement
 * or a catalog does. CI runs each major by itself, and so runs these tests on all of them.
 */
export function newestAndOldest(): Server[] {
  return all.filter((_, i) => i === 0 || i === all.length - 1)
}

/** The newest major's: for tests whose subject is not PostgreSQL's version. */
export function newestServer(): Server {
  const [newest] = all
  if (newest === undefined)
    throw new Error('No PostgreSQL was found. Type: npm test (it says what to install).')
  return newest
}

/**
 * A database of the caller's own, empty or cloned from a template. It is dropped when the test file
 * ends, with those that a restore named after it. A template is made once a server, by whichever
 * test file comes first.
 */
export async function freshDatabase(
  server: Server,
  template?: Template,
): Promise<{ name: string; url: string; connection: Connection }> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const source = template === undefined ? 'template0' : await ensureTemplate(server, template)
  await query(
    server,
    'postgres',
    `CREATE DATABASE ${name} TEMPLATE ${source} ${template === undefined ? likeUs : ''}`,
  )
  made.push({ server, name })
  return { name, url: server.url(name), connection: server.to(name) }
}

/** Runs SQL as superuser and gives the rows of its last statement. */
export async function query(
  server: Server,
  database: string,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: server.url(database) })
  await client.connect()
  try {
    const result: unknown = await client.query(sql)
    const last = (Array.isArray(result) ? result.at(-1) : result) as {
      rows: Record<string, unknown>[]
    }
    return last.rows
  } finally {
    await client.end()
  }
}

const likeUs = "ENCODING 'UTF8' LOCALE 'C.UTF-8'"

async function ensureTemplate(server: Server, template: Template): Promise<string> {
  const digest = createHash('sha256').update(template.sql).digest('hex').slice(0, 12)
  const name = `template_${template.name.replace(/\W/g, '_')}_${digest}`
  const client = new Client({ connectionString: server.url('postgres') })
  await client.connect()
  try {
    // Test files are processes of their own and run at the same time: one makes it, the others
    // wait.
    await client.query('SELECT pg_advisory_lock(hashtext($1))', [name])
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (rowCount !== 0) return name
    const making = `${name}_new`
    await client.query(`DROP DATABASE IF EXISTS ${making} WITH (FORCE)`)
    await client.query(`CREATE DATABASE ${making} TEMPLATE template0 ${likeUs}`)
    await query(server, making, template.sql)
    await client.query(`ALTER DATABASE ${making} RENAME TO ${name}`)
    return name
  } finally {
    await client.end()
  }
}

function asServer(server: ServerDescription): Server {
  const to = (database: string): Connection => withDatabase(server.connection, database)
  return { ...server, to, url: (database) => connectionUrl(to(database)) }
}

/** Asks `npm test` for its servers. The first file that asks has it start them. */
async function askFor(socket: string): Promise<ServerDescription[]> {
  const answer = JSON.parse(await text(connect(socket))) as {
    servers?: ServerDescription[]
    error?: string
  }
  if (!answer.servers) throw new Error(`The test servers did not start: ${answer.error}`)
  return answer.servers
}

async function startOwn(): Promise<ServerDescription[]> {
  const stopping = new AbortController()
  const { servers: started, stop } = await startServers(stopping.signal)
  after(stop)
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().finally(() => process.exit(1)))
  return started
}
