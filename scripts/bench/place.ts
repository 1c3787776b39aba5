/**
 * Where the bench runs: a server with the database, a server to restore to, an S3 server, and
 * folders. The bench starts all of them, on the loopback interface only, in one temporary folder
 * that it deletes when it closes.
 */
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'
import { messageOf } from '../../src/errors.ts'
import { type Cluster, startCluster } from '../../src/postgres/server/cluster.ts'
import { connectionUrl, withDatabase } from '../../src/postgres/connection/connection.ts'
import { findS3Server, type RunningS3, startS3 } from '../../test/support/s3.ts'
import { quietWork } from '../../test/support/start-servers.ts'
import { findPostgres } from '../postgres-programs.mjs'

/**
 * The source's settings: those of a new PostgreSQL, because `startCluster` would set those of a
 * scratch server. Autovacuum stays off, because it would start at random times.
 */
const sourceSettings = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  wal_level: 'replica',
  max_wal_senders: '10',
  max_wal_size: '1GB',
  checkpoint_timeout: '5min',
  shared_buffers: '128MB',
  maintenance_work_mem: '64MB',
  max_connections: '100',
  max_locks_per_transaction: '64',
}

export interface Server {
  url(database: string): string
  /** libpq's variables. */
  env(database: string): Record<string, string>
  query(database: string, sql: string): Promise<Record<string, unknown>[]>
  /** The postmaster. */
  pid: number
  dataDirectory: string
}

export interface Place {
  postgres: { version: string; major: number; bindir: string }
  source: Server
  target: Server
  s3: RunningS3
  /** age keys, and a passphrase for openssl. */
  identity: string
  recipient: string
  passphrase: string
  identityFile: string
  /** Returns a folder of the place, and creates it if it does not exist. */
  folder: (...names: string[]) => string
  /** The folder in which the S3 server keeps a prefix of its bucket. */
  s3Folder: (prefix: string) => string
  /** With PostgreSQL's programs first. */
  path: string
  close(): Promise<string[]>
}

/** Starts everything. Throws if the disk has no room for a database of `bytes` bytes. */
export async function openPlace(
  bytes: number,
  major: number | undefined,
  signal: AbortSignal,
): Promise<Place> {
  const postgres = findPostgres(process.env).find(
    (each) => major === undefined || each.major === major,
  )
  if (postgres === undefined)
    throw new Error(
      `No PostgreSQL ${major ?? ''} was found. Type: npm run bench (it says what to install).`,
    )
  const outside = process.env.TMPDIR
  requireRoom(bytes)
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'bench-')))
  // The servers' user, which is not root, must be able to enter the folder.
  chmodSync(root, 0o755)
  const folder = (...names: string[]): string => {
    mkdirSync(join(root, ...names), { recursive: true, mode: 0o755 })
    return join(root, ...names)
  }
  const clusters: Cluster[] = []
  let s3: RunningS3 | undefined
  const close = async (): Promise<string[]> => {
    const stopped = await Promise.allSettled([
      s3?.stop(),
      ...clusters.map((cluster) => cluster.stop()),
    ])
    if (outside === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = outside
    rmSync(root, { recursive: true, force: true, maxRetries: 3 })
    return stopped.flatMap((each) => (each.status === 'rejected' ? [messageOf(each.reason)] : []))
  }
  try {
    process.env.TMPDIR = folder('servers')
    const start = async (settings: Record<string, string>): Promise<Server> => {
      const cluster = await startCluster(
        { directory: postgres.bindir, ...postgres },
        { superuser: 'bench', settings },
        quietWork(signal),
      )
      clusters.push(cluster)
      return describe(cluster)
    }
    const [source, target] = [await start(sourceSettings), await start({})]
    s3 = await startS3(['backups'], findS3Server())
    if (s3.kind === 'stand-in')
      throw new Error(
        'The bench needs a real S3 server. Put versitygw on PATH, or Go, which builds it.',
      )
    const s3Root = s3.root
    const identity = await generateIdentity()
    const identityFile = join(folder('keys'), 'identity.txt')
    writeFileSync(identityFile, `${identity}\n`, { mode: 0o600 })
    return {
      postgres,
      source,
      target,
      s3,
      identity,
      recipient: await identityToRecipient(identity),
      passphrase: randomBytes(24).toString('hex'),
      identityFile,
      folder,
      close,
      s3Folder: (prefix) => join(s3Root, 'backups', prefix),
      path: [postgres.bindir, process.env.PATH].join(delimiter),
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function describe({ connection }: Cluster): Promise<Server> {
  const to = (database: string): string => connectionUrl(withDatabase(connection, database))
  const query = async (database: string, sql: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: to(database) })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows
    } finally {
      await client.end()
    }
  }
  const dataDirectory = String((await query('postgres', 'SHOW data_directory'))[0]?.data_directory)
  return {
    query,
    dataDirectory,
    url: to,
    env: (database) => ({
      PGHOST: connection.host,
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGPASSWORD: connection.password ?? '',
      PGDATABASE: database,
      PGSSLMODE: 'disable',
    }),
    pid: Number(readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n')[0]),
  }
}

/**
 * Throws if the disk has no room for the source with its indexes, the copy, one backup of each
 * contestant, and the uncompressed files of the floor.
 */
function requireRoom(bytes: number): void {
  const { bavail, bsize } = statfsSync(tmpdir())
  const needed = bytes * 6 + 3e9
  if (bavail * bsize < needed)
    throw new Error(
      `The bench needs about ${Math.ceil(needed / 1e9)} GB in ${tmpdir()}, and ` +
        `${Math.floor((bavail * bsize) / 1e9)} GB are free. Set TMPDIR to a larger folder.`,
    )
}
