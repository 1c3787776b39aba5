import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf, UserError } from '../../errors.ts'
import { capture, signalGroup, start, startTicks } from '../../stream/process.ts'
import type { Held, Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, withDatabase } from '../connection/connection.ts'
import { connect } from '../connection/session.ts'

/** A PostgreSQL server of our own, for as long as we need it. */
export interface Cluster {
  /** As its superuser, to the database `postgres`. Reached by 127.0.0.1 with a random password. */
  readonly connection: Connection
  readonly programs: Programs
  stop(): Promise<void>
}

/**
 * Nothing in a scratch cluster has to survive a crash, so nothing waits for the disk. Memory is
 * kept small on purpose: measured on 2 cores with 1.4 GB, COPY took 15 % more CPU with 2 GB of
 * shared buffers than with 256 MB, and index builds 20 % more with 512 MB of working memory than
 * with 64 MB, since what fits the processor's caches is faster than what does not. Write-ahead log
 * is kept to 1 GB: without fsync its checkpoints cost nearly nothing, and a runner's disk is small.
 * The lock table holds a whole restore of some ten thousand tables.
 */
const configuration: Record<string, string> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '1GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  shared_buffers: '256MB',
  maintenance_work_mem: '64MB',
  max_connections: '100', // of jobs there may be 64
  max_locks_per_transaction: '1024',
  max_prepared_transactions: '0',
  logging_collector: 'off',
  log_min_messages: 'warning',
}

/**
 * Makes and starts a cluster with the given programs. `superuser` is the bootstrap superuser's
 * name: the source's own, so that what belonged to it belongs to it here too. As root, the server
 * runs as an unprivileged user, since PostgreSQL refuses root. Data, socket and log are in one
 * private folder, which `stop` removes.
 */
export async function startCluster(
  programs: Programs,
  options: { superuser?: string; settings?: Record<string, string> },
  work: Work,
): Promise<Cluster> {
  const superuser =
    options.superuser && !options.superuser.startsWith('pg_') ? options.superuser : 'postgres'
  const user = unprivilegedUser()
  // not under the runner's temporary folder: a socket's path may have 107 bytes, and the server's
  // user must be able to walk there
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-cluster-'))
  const held: Held = { kind: 'cluster', directory }
  work.hold(held)
  const own = (path: string, mode: number): void => {
    chmodSync(path, mode)
    if (user) chownSync(path, user.uid, user.gid)
  }
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true })
    work.release(held)
  }
  try {
    own(directory, 0o700)
    const password = randomBytes(18).toString('hex')
    const passwordFile = join(directory, 'password')
    writeFileSync(passwordFile, `${password}\n`)
    own(passwordFile, 0o600)
    const data = join(directory, 'data')
    const env = { ...work.env, LC_ALL: 'C' }
    const made = await capture(
      program(programs, 'initdb'),
      [
        '-D',
        data,
        '-U',
        superuser,
        '-A',
        'scram-sha-256',
        `--pwfile=${passwordFile}`,
        '-E',
        'UTF8',
        '--locale=C',
        '--no-sync',
        '--no-instructions',
      ],
      { env, cwd: '/', ...(user ? { user } : {}) },
      work,
    )
    if (made.code !== 0)
      throw new UserError(
        'scratch-failed',
        `initdb of PostgreSQL ${programs.version} failed: ${lastLine(made.stderr)}`,
        `Run ${program(programs, 'initdb')} by hand to see why, or give scratch-url.`,
      )
    rmSync(passwordFile)
    const lines = Object.entries({
      ...configuration,
      ...options.settings,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: directory,
    })
    appendFileSync(
      join(data, 'postgresql.conf'),
      `\n${lines.map(([name, value]) => `${name} = '${value}'`).join('\n')}\n`,
    )
    return await serve(
      programs,
      directory,
      { superuser, password, ...(user ? { user } : {}) },
      remove,
      work,
    )
  } catch (error) {
    remove()
    throw error
  }
}

interface Serving {
  superuser: string
  password: string
  user?: { uid: number; gid: number }
}

async function serve(
  programs: Programs,
  directory: string,
  how: Serving,
  remove: () => void,
  work: Work,
): Promise<Cluster> {
  const { superuser, password, user } = how
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    // stdio to a file: a server that holds our own stdout would keep the step open
    const log = openSync(join(directory, 'log'), 'a')
    const server = start(
      program(programs, 'postgres'),
      ['-D', join(directory, 'data'), '-p', String(port)],
      {
        env: { ...work.env, LC_ALL: 'C' },
        cwd: '/',
        stdout: log,
        stderr: log,
        ...(user ? { user } : {}),
      },
      work,
    )
    closeSync(log)
    const stop = async (): Promise<void> => {
      signalGroup(server.pid, 'SIGQUIT') // immediate shutdown: nothing here is to be kept
      await Promise.race([server.exit, new Promise((resolve) => setTimeout(resolve, 3000))])
      await server.stop()
      remove()
    }
    const connection: Connection = {
      host: '127.0.0.1',
      port,
      user: superuser,
      password,
      database: 'postgres',
      settings: { PGSSLMODE: 'disable' },
      input: 'scratch cluster',
    }
    let ended = false
    server.exit.then(
      () => (ended = true),
      () => (ended = true),
    )
    try {
      for (const deadline = Date.now() + 60_000; ;) {
        try {
          const session = await connect(withDatabase(connection, 'template1'), work)
          await session.end()
          return { connection, programs, stop }
        } catch (error) {
          work.signal.throwIfAborted()
          if (
            ended ||
            Date.now() > deadline ||
            !(error instanceof UserError && ['unreachable', 'starting-up'].includes(error.code))
          )
            throw error
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
    } catch (error) {
      const said = readFileSync(join(directory, 'log'), 'utf8')
      await server.stop()
      work.signal.throwIfAborted()
      if (attempt < 5 && /could not bind|Address already in use/.test(said)) continue
      throw new UserError(
        'scratch-failed',
        `A scratch PostgreSQL ${programs.version} did not start: ${lastLine(said) || messageOf(error)}`,
        'Free memory or disk on this runner, or give scratch-url, a server such as a service container.',
        { cause: error },
      )
    }
  }
}

/**
 * Ends a cluster that a process which is gone has left, by its folder, and removes it. True if
 * there was one.
 */
export async function sweepCluster(directory: string): Promise<boolean> {
  if (!/\/holdfast-cluster-\w{6}$/.test(directory)) return false
  try {
    const [pid = ''] = readFileSync(join(directory, 'data/postmaster.pid'), 'utf8').split('\n')
    const running = readFileSync(`/proc/${Number(pid)}/cmdline`, 'utf8')
    if (running.includes(directory)) {
      const ticks = startTicks(Number(pid))
      process.kill(Number(pid), 'SIGQUIT')
      for (let i = 0; i < 60 && startTicks(Number(pid)) === ticks; i++)
        await new Promise((resolve) => setTimeout(resolve, 50))
    }
  } catch {
    // no pid file, or no such process: only files are left
  }
  try {
    readFileSync(join(directory, 'data/PG_VERSION'))
  } catch {
    rmSync(directory, { recursive: true, force: true })
    return false
  }
  rmSync(directory, { recursive: true, force: true })
  return true
}

/**
 * As root: the ids of `postgres` where there is such a user, else of `nobody`. Otherwise undefined:
 * we run as who we are.
 */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, name: string): number =>
    Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: id('-u', name), gid: id('-g', name) }
    } catch {
      // no such user: try the next
    }
  }
  throw new UserError(
    'scratch-failed',
    'This step runs as root, PostgreSQL refuses to, and there is neither a user postgres nor nobody.',
    'Add a user (useradd postgres), or give scratch-url.',
  )
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
