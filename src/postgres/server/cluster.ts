/** Starts scratch clusters; creates, swaps, describes and drops databases on any server. */
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
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../../errors.ts'
import { capture, type Child, signalGroup, start, startTicks } from '../../stream/process.ts'
import { input, text } from '../../text.ts'
import type { Held, Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, withDatabase } from '../connection/connection.ts'
import { connect } from '../connection/session.ts'

/** A scratch PostgreSQL server of this run. */
export interface Cluster {
  /** To the database `postgres` as superuser, by 127.0.0.1 with a random password. */
  readonly connection: Connection
  readonly programs: Programs
  /** Stops the server and removes its folder. */
  stop(): Promise<void>
}

/**
 * A scratch cluster need not survive a crash, so it does not wait for the disk. Memory is small on
 * purpose: measured on 2 cores with 1.4 GB, COPY took 15 % more CPU with 2 GB of shared buffers
 * than with 256 MB, and index builds 20 % more with 512 MB of working memory than with 64 MB, which
 * fits the processor's caches. Write-ahead log is limited to 1 GB: without fsync, checkpoints cost
 * nearly nothing, and a runner's disk is small. The lock table is large enough for a restore of ten
 * thousand tables.
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
  max_connections: '100', // `jobs` may be 64
  max_locks_per_transaction: '1024',
  max_prepared_transactions: '0',
  logging_collector: 'off',
  log_min_messages: 'warning',
}

/**
 * Creates and starts a cluster with the given programs. `superuser` names the bootstrap superuser:
 * the source's, so that it owns the same objects here. If this process runs as root, the server
 * runs as an unprivileged user, because PostgreSQL refuses root. Data, socket and log are in one
 * private folder. Throws `scratch-failed`.
 */
export async function startCluster(
  programs: Programs,
  options: { superuser?: string; settings?: Record<string, string> },
  work: Work,
): Promise<Cluster> {
  const name =
    options.superuser && !options.superuser.startsWith('pg_') ? options.superuser : 'postgres'
  const user = unprivilegedUser()
  // not in the runner's temporary folder: a socket's path may have at most 107 bytes, and the
  // server's user must be able to reach it
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-cluster-'))
  const held: Held = { kind: 'cluster', directory }
  work.hold(held)
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true })
    work.release(held)
  }
  try {
    const superuser = { name, password: randomBytes(18).toString('hex') }
    await initCluster(programs, directory, superuser, user, work)
    configure(directory, { ...configuration, ...options.settings })
    const { connection, server } = await startServer(programs, directory, superuser, user, work)
    const stop = async (): Promise<void> => {
      signalGroup(server.pid, 'SIGQUIT') // immediate shutdown: nothing here is worth keeping
      await Promise.race([server.exit, sleep(3000, undefined, { ref: false })])
      await server.stop()
      remove()
    }
    return { connection, programs, stop }
  } catch (error) {
    remove()
    throw error
  }
}

/** Runs initdb in a private folder that belongs to the server's user. */
async function initCluster(
  programs: Programs,
  directory: string,
  superuser: Superuser,
  user: SystemUser | undefined,
  work: Work,
): Promise<void> {
  const own = (path: string, mode: number): void => {
    chmodSync(path, mode)
    if (user) chownSync(path, user.uid, user.gid)
  }
  own(directory, 0o700)
  const passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, `${superuser.password}\n`)
  own(passwordFile, 0o600)
  const flags = [
    ['-D', join(directory, 'data')],
    ['-U', superuser.name],
    ['-A', 'scram-sha-256'],
    [`--pwfile=${passwordFile}`],
    ['-E', 'UTF8'],
    ['--locale=C', '--no-sync', '--no-instructions'],
  ]
  const { code, stderr } = await capture(
    program(programs, 'initdb'),
    flags.flat(),
    { env: { ...work.env, LC_ALL: 'C' }, cwd: '/', ...(user ? { user } : {}) },
    work,
  )
  if (code !== 0)
    throw new UserError(
      'scratch-failed',
      `initdb of PostgreSQL ${programs.version} failed: ${lastLine(stderr)}`,
      text`Run ${program(programs, 'initdb')} by hand to see why, or give a ${input('scratch-url')}.`,
    )
  rmSync(passwordFile)
}

function configure(directory: string, settings: Record<string, string>): void {
  const lines = Object.entries({
    ...settings,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: directory,
  })
  appendFileSync(
    join(directory, 'data/postgresql.conf'),
    `\n${lines.map(([name, value]) => `${name} = '${value}'`).join('\n')}\n`,
  )
}

interface SystemUser {
  uid: number
  gid: number
}

interface Superuser {
  name: string
  password: string
}

/** Starts the server, with another port if the chosen one is taken. */
async function startServer(
  programs: Programs,
  directory: string,
  superuser: Superuser,
  user: SystemUser | undefined,
  work: Work,
): Promise<{ connection: Connection; server: Child }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const server = spawnServer(programs, directory, port, user, work)
    const connection: Connection = {
      host: '127.0.0.1',
      port,
      user: superuser.name,
      password: superuser.password,
      database: 'postgres',
      settings: { PGSSLMODE: 'disable' },
      input: 'scratch cluster',
    }
    try {
      await waitUntilReady(connection, server, work)
      return { connection, server }
    } catch (error) {
      const log = readFileSync(join(directory, 'log'), 'utf8')
      await server.stop()
      work.signal.throwIfAborted()
      if (attempt < 5 && /could not bind|Address already in use/.test(log)) continue
      throw new UserError(
        'scratch-failed',
        `A scratch PostgreSQL ${programs.version} did not start: ` +
          `${lastLine(log) || messageOf(error)}`,
        text`Free memory or disk on this runner, or give a ${input('scratch-url')}, such as a service container's.`,
        { cause: error },
      )
    }
  }
}

function spawnServer(
  programs: Programs,
  directory: string,
  port: number,
  user: SystemUser | undefined,
  work: Work,
): Child {
  // a server that holds this process's stdout would keep the step open
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
  return server
}

/** Waits until the server accepts connections, for at most a minute or until it ends. */
async function waitUntilReady(connection: Connection, server: Child, work: Work): Promise<void> {
  let ended = false
  const noteEnd = (): void => void (ended = true)
  server.exit.then(noteEnd, noteEnd)
  for (const deadline = Date.now() + 60_000; ; await sleep(50)) {
    try {
      const session = await connect(withDatabase(connection, 'template1'), work)
      return await session.end()
    } catch (error) {
      work.signal.throwIfAborted()
      const starting =
        error instanceof UserError && ['unreachable', 'starting-up'].includes(error.code)
      if (!starting || ended || Date.now() > deadline) throw error
    }
  }
}

/**
 * Ends a cluster that a dead process left and removes its folder. Returns whether there was one.
 */
export async function removeCluster(directory: string): Promise<boolean> {
  if (!/\/holdfast-cluster-\w{6}$/.test(directory)) return false
  try {
    const [pid = ''] = readFileSync(join(directory, 'data/postmaster.pid'), 'utf8').split('\n')
    const running = readFileSync(`/proc/${Number(pid)}/cmdline`, 'utf8')
    if (running.includes(directory)) {
      const ticks = startTicks(Number(pid))
      process.kill(Number(pid), 'SIGQUIT')
      for (let i = 0; i < 60 && startTicks(Number(pid)) === ticks; i++) await sleep(50)
    }
  } catch {
    // no pid file or no such process: only files remain
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
 * Returns the ids of the user `postgres`, or else of `nobody`, if this process runs as root;
 * undefined if it does not.
 */
function unprivilegedUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string, name: string): number =>
    Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString())
  const names = ['postgres', 'nobody']
  for (const name of names) {
    try {
      return { uid: id('-u', name), gid: id('-g', name) }
    } catch {
      // no such user: try the next
    }
  }
  throw new UserError(
    'scratch-failed',
    'PostgreSQL refuses to run as root, as this step does, and there is no user ' +
      `${names.join(' or ')}.`,
    text`Add a user (useradd postgres), or give a ${input('scratch-url')}.`,
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
