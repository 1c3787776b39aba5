/**
 * Where the demo runs: a PostgreSQL server with the sample, an S3 server, and a runner for the
 * actions. The demo starts all of them, on the loopback interface only, in one temporary folder
 * that it deletes when it closes.
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { messageOf } from '../../src/errors.ts'
import { type Cluster, startCluster } from '../../src/postgres/server/cluster.ts'
import { connectionUrl, withDatabase } from '../../src/postgres/connection/connection.ts'
import { type ActionRun, runAction } from '../../test/support/mini-runner.ts'
import { type RunningS3, type S3Server, startS3 } from '../../test/support/s3.ts'
import { quietWork } from '../../test/support/start-servers.ts'
import { findPostgres } from '../postgres-programs.mjs'
import { loadAtlas } from './atlas.ts'

export interface Stage {
  postgres: { version: string; bindir: string }
  /** Other majors that were found too. */
  others: string[]
  s3: RunningS3
  /** The second destination, a folder. */
  backups: string
  /** The workspace that actions start in. */
  workspace: string
  url: (database: string) => string
  query: (database: string, sql: string) => Promise<Record<string, unknown>[]>
  act: (name: string, inputs: Record<string, string>) => Promise<ActionRun>
  /** The temporary files and processes that the actions left behind. */
  leftovers(): string[]
  /** Stops everything, and returns what could not be stopped or deleted. */
  close(): Promise<string[]>
}

/**
 * Starts everything and loads the sample into `atlas`. When `signal` fires, stops the running action
 * as a runner would.
 */
export async function openStage(signal: AbortSignal): Promise<Stage> {
  const [newest, ...older] = findPostgres(process.env)
  if (newest === undefined)
    throw new Error('No PostgreSQL was found. Type: npm run demo (it says what to install).')
  const outside = process.env.TMPDIR
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'demo-')))
  // The server's user, which is not root, must be able to enter the folder.
  chmodSync(folder, 0o755)
  const place = (name: string): string => {
    mkdirSync(join(folder, name), { mode: 0o755 })
    return join(folder, name)
  }
  const children = watchChildren(signal)
  let cluster: Cluster | undefined
  let s3: RunningS3 | undefined
  const close = async (): Promise<string[]> => {
    const stopped = await Promise.allSettled([s3?.stop(), cluster?.stop()])
    children.close()
    if (outside === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = outside
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    const failed = stopped.flatMap((each) =>
      each.status === 'rejected' ? [messageOf(each.reason)] : [],
    )
    return [...failed, ...processesIn(folder), ...(existsSync(folder) ? [folder] : [])]
  }
  try {
    process.env.TMPDIR = place('servers')
    const [temporary, runs, backups, workspace] = [
      place('temporary'),
      place('runs'),
      place('backups'),
      place('workspace'),
    ]
    const { major, version, bindir } = newest
    cluster = await startCluster(
      { directory: bindir, major, version },
      { superuser: 'atlas_admin' },
      quietWork(signal),
    )
    s3 = await startS3(['backups'], chooseS3())
    const { connection } = cluster
    const env = { ...s3.env, TMPDIR: temporary, PATH: [bindir, process.env.PATH].join(delimiter) }
    const stage: Stage = {
      postgres: { version, bindir },
      others: older.map((each) => each.version),
      s3,
      backups,
      workspace,
      close,
      url: (database) => connectionUrl(withDatabase(connection, database)),
      query: async (database, sql) => {
        const client = new Client({ connectionString: stage.url(database) })
        try {
          await client.connect()
          return (await client.query<Record<string, unknown>>(sql)).rows
        } finally {
          await client.end()
        }
      },
      act: async (name, inputs) => {
        signal.throwIfAborted()
        const run = await runAction(
          name,
          { 'postgres-bin': bindir, ...inputs },
          { env, folder: runs, workspace },
        )
        signal.throwIfAborted()
        return run
      },
      leftovers: () => [...readdirSync(temporary), ...processesIn(temporary)],
    }
    await stage.query('postgres', 'CREATE DATABASE atlas')
    await loadAtlas(bindir, withDatabase(connection, 'atlas'), signal)
    return stage
  } catch (error) {
    await close()
    throw error
  }
}

/** Returns a real S3 server if one is installed, or else the stand-in. Never waits for a build. */
function chooseS3(): S3Server {
  if (process.env.HOLDFAST_TEST_S3 === 'stand-in') return { kind: 'stand-in' }
  const cached = join(import.meta.dirname, '../../.cache/go/bin/versitygw')
  const onPath = (process.env.PATH ?? '').split(delimiter).map((each) => join(each, 'versitygw'))
  const program = [process.env.HOLDFAST_TEST_VERSITYGW ?? '', ...onPath, cached].find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return program === undefined || program === ''
    ? { kind: 'stand-in' }
    : { kind: 'versitygw', program }
}

/** Processes whose command line names a folder: the servers that run in it. */
function processesIn(folder: string): string[] {
  const lines = existsSync('/proc/self/cmdline')
    ? readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => `${pid} ${commandLine(pid)}`)
    : execFileSync('ps', ['-Ao', 'pid=,args='], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => line.includes(folder)).map((line) => `process ${line.trim()}`)
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return '' // it has ended meanwhile
  }
}

/** Stops the action that runs when the signal fires. */
function watchChildren(signal: AbortSignal): { close(): void } {
  const children = new Set<ChildProcess>()
  const onStart = (message: unknown): void => {
    const child = (message as { process: ChildProcess }).process
    children.add(child)
    child.once('exit', () => children.delete(child))
  }
  const onAbort = (): void => children.forEach((child) => void stopAction(child))
  subscribe('child_process', onStart)
  signal.addEventListener('abort', onAbort)
  return {
    close() {
      unsubscribe('child_process', onStart)
      signal.removeEventListener('abort', onAbort)
    },
  }
}

/**
 * Cancels as a runner does: SIGINT, then SIGTERM after a wait, then SIGKILL. The post step still
 * runs, because it cleans up.
 */
async function stopAction(child: ChildProcess): Promise<void> {
  if (!child.spawnargs.some((argument) => argument.endsWith('/main.js'))) return
  for (const [name, patience] of [
    ['SIGINT', 7500],
    ['SIGTERM', 2500],
    ['SIGKILL', 0],
  ] as const) {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(name)
    await sleep(patience, undefined, { ref: false })
  }
}
