import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import packages from '../../scripts/go-tools.json' with { type: 'json' }

/** The S3 server that tests talk to: a real one, or the stand-in that leaves things unshown. */
export type S3Server =
  { kind: 'versitygw'; program: string } | { kind: 'minio'; program: string } | { kind: 'stand-in' }

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(projectRoot, '.cache/go/bin')

let found: S3Server | undefined

/**
 * A real server, versitygw: named by HOLDFAST_TEST_VERSITYGW, on PATH, in the project's cache, or
 * built into the cache where Go exists (under a minute, once). Without any of these, or with
 * HOLDFAST_TEST_S3=stand-in, an npm package stands in, and the run says what it did not show.
 */
export function findS3Server(): S3Server {
  found ??= look()
  return found
}

function look(): S3Server {
  const standIn: S3Server = { kind: 'stand-in' }
  const named = process.env.HOLDFAST_TEST_VERSITYGW
  if (named) {
    if (!runnable(named))
      throw new Error(`HOLDFAST_TEST_VERSITYGW names ${named}, which can't be run`)
    return { kind: 'versitygw', program: named }
  }
  if (process.env.HOLDFAST_TEST_S3 !== 'stand-in') {
    const program = onPath('versitygw') ?? [join(cache, 'versitygw')].find(runnable) ?? build()
    if (program !== undefined) return { kind: 'versitygw', program }
  }
  console.warn(
    'S3: no versitygw and no Go to build it: an npm package stands in. NOT SHOWN by this run: ' +
      'that a real server refuses to overwrite (a wrapper plays If-None-Match), checksums, ' +
      'wrong secrets refused, half uploads listed and swept.',
  )
  return standIn
}

/**
 * A second, independent server for the storage contract: only where HOLDFAST_TEST_MINIO names its
 * program.
 */
export function findMinio(): S3Server | undefined {
  const program = process.env.HOLDFAST_TEST_MINIO
  if (!program) return undefined
  if (!runnable(program))
    throw new Error(`HOLDFAST_TEST_MINIO names ${program}, which can't be run`)
  return { kind: 'minio', program }
}

function runnable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(runnable)
}

function build(): string | undefined {
  const go = onPath('go') ?? ['/usr/local/go/bin/go'].find(runnable)
  if (go === undefined) return undefined
  console.warn('S3: building versitygw once (about a minute) …')
  mkdirSync(cache, { recursive: true })
  const built = spawnSync(go, ['install', packages.versitygw], {
    env: { ...process.env, GOBIN: cache },
    encoding: 'utf8',
    timeout: 600_000,
  })
  const program = join(cache, 'versitygw')
  if (built.status === 0 && existsSync(program)) return program
  console.warn(`S3: versitygw could not be built: ${built.stderr.trim().slice(-500)}`)
  return undefined
}

export interface RunningS3 {
  kind: S3Server['kind']
  endpoint: string
  port: number
  pid: number
  /** Where the server keeps its files. */
  root: string
  /** Credentials that it takes. */
  env: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string }
  /** A storage URL, of the first bucket unless another is named. */
  url(prefix: string, bucket?: string): string
  /** Ends the server, waits for its end, and removes its files. */
  stop(): Promise<void>
}

/** PEM files of a server that speaks TLS; the certificate is to name 127.0.0.1. */
export interface Tls {
  cert: string
  key: string
}

/**
 * Starts a server on a free port of the loopback interface, with these buckets. TLS: versitygw
 * only.
 */
export async function startS3(
  buckets: string[] = ['backups'],
  server: S3Server = findS3Server(),
  tls?: Tls,
): Promise<RunningS3> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-s3-'))
  const root = join(folder, 'root')
  mkdirSync(root)
  const env = {
    AWS_ACCESS_KEY_ID: server.kind === 'stand-in' ? 'S3RVER' : 'holdfasttest',
    AWS_SECRET_ACCESS_KEY: server.kind === 'stand-in' ? 'S3RVER' : 'holdfast-test-secret',
  }
  if (server.kind !== 'stand-in') for (const bucket of buckets) mkdirSync(join(root, bucket))
  const child = launch(server, port, folder, root, buckets, env, tls)
  let said = ''
  child.stderr?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-2000)))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const endWithUs = (): void =>
    void (child.kill('SIGKILL'), rmSync(folder, { recursive: true, force: true }))
  process.once('exit', endWithUs)
  const stop = async (): Promise<void> => {
    process.off('exit', endWithUs)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  const endpoint = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  try {
    await answers(port, () => {
      if (child.exitCode !== null) throw new Error(`the S3 server ended at once: ${said}`)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    kind: server.kind,
    endpoint,
    port,
    root,
    env,
    stop,
    pid: child.pid ?? 0,
    url: (prefix, bucket = buckets[0] ?? '') =>
      `s3://${bucket}/${prefix}?endpoint=${encodeURIComponent(endpoint)}&region=us-east-1`,
  }
}

function launch(
  server: S3Server,
  port: number,
  folder: string,
  root: string,
  buckets: string[],
  env: RunningS3['env'],
  tls?: Tls,
): ChildProcess {
  const stdio: ['ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'pipe']
  switch (server.kind) {
    case 'versitygw': {
      // Metadata in a folder of its own: not every file system here has extended attributes.
      const side = join(folder, 'side')
      mkdirSync(side)
      return spawn(
        server.program,
        [
          '--port',
          `127.0.0.1:${port}`,
          '--quiet',
          ...(tls ? ['--cert', tls.cert, '--key', tls.key] : []),
          'posix',
          '--sidecar',
          side,
          root,
        ],
        {
          env: {
            ...process.env,
            ROOT_ACCESS_KEY: env.AWS_ACCESS_KEY_ID,
            ROOT_SECRET_KEY: env.AWS_SECRET_ACCESS_KEY,
          },
          stdio,
        },
      )
    }
    case 'minio':
      return spawn(server.program, ['server', '--quiet', '--address', `127.0.0.1:${port}`, root], {
        env: {
          ...process.env,
          MINIO_ROOT_USER: env.AWS_ACCESS_KEY_ID,
          MINIO_ROOT_PASSWORD: env.AWS_SECRET_ACCESS_KEY,
          MINIO_BROWSER: 'off',
          CI: 'true',
        },
        stdio,
      })
    case 'stand-in':
      return spawn(
        process.execPath,
        [fileURLToPath(new URL('s3-stand-in.ts', import.meta.url)), String(port), root, ...buckets],
        { stdio },
      )
  }
}

async function answers(port: number, check: () => void): Promise<void> {
  const deadline = Date.now() + 15_000
  for (;;) {
    check()
    try {
      await new Promise<void>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve())).once(
          'error',
          reject,
        )
      })
      return
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`the S3 server at port ${port} does not answer`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
  }
}

/** A port of the loopback interface that nothing listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(0, '127.0.0.1', resolve),
  )
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
