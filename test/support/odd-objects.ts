import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Connection } from '../../src/postgres/connection/connection.ts'

/** What loading needs to know of a server: its programs and how to reach it as superuser. */
export interface OddServer {
  bindir: string
  to(database: string): Connection
}

/**
 * Parts that are not in the zoo by default, since a stock pg_dump and pg_restore do not bring them
 * back whole: `check` needs a failed table loaded again, `lossy` restores in silence and differs,
 * `broken` does not restore at all, `login` (17 and newer) is changed by whoever connects. Each
 * file says more.
 */
export type OddPart = 'check' | 'lossy' | 'broken' | 'login'

/**
 * Fills a database, which is empty and has UTF8, with odd but legal objects (odd-objects.sql), by
 * the server's own psql. Makes the cluster's roles if they are missing. It holds a subscription:
 * DROP DATABASE refuses until `dropOddSubscription`.
 */
export async function loadOddObjects(
  server: OddServer,
  database: string,
  parts: OddPart[] = [],
): Promise<void> {
  await runFiles(server, database, ['odd-objects.sql', ...parts.map((part) => `odd-${part}.sql`)])
}

/** Loads some parts alone, into any database. */
export async function loadOddParts(
  server: OddServer,
  database: string,
  parts: OddPart[],
): Promise<void> {
  await runFiles(
    server,
    database,
    parts.map((part) => `odd-${part}.sql`),
  )
}

/** Takes the subscription out of a database, so that it can be dropped. Talks to no publisher. */
export async function dropOddSubscription(server: OddServer, database: string): Promise<void> {
  await psql(server, database, ['-c', 'DROP SUBSCRIPTION IF EXISTS "odd subscription"'])
}

/** One session a file: what the zoo sets for its database shows in the next. */
async function runFiles(server: OddServer, database: string, files: string[]): Promise<void> {
  for (const file of files) await psql(server, database, ['-f', join(import.meta.dirname, file)])
}

async function psql(server: OddServer, database: string, args: string[]): Promise<void> {
  const { host, port, user, password } = server.to(database)
  const env = {
    ...process.env,
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGCLIENTENCODING: 'UTF8',
    ...(password === undefined ? {} : { PGPASSWORD: password }),
  }
  const child = spawn(join(server.bindir, 'psql'), ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  )
  if (code !== 0) throw new Error(`psql ${args.join(' ')} in ${database} failed:\n${said}`)
}
