/**
 * One run of one contestant: prepares it, runs and measures it, and checks the result.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync, rmSync, statSync } from 'node:fs'
import { globSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { Contestant } from './contestants.ts'
import { bytesIn, cpuOf, cpuOfEndedChildren, watch } from './measure.ts'
import { call } from './ours.ts'
import type { Place } from './place.ts'
import type { Run } from './results.ts'

/** The name of the source database, and of the database to restore into. */
export const [source, copy] = ['shop', 'shop_copy']

/** The facts about the source database that a contest needs. */
export interface Subject {
  /** Rows per table, and the numbers of indexes and valid constraints. */
  contents: string
  largest: string
  others: string[]
  tableBytes: number
}

export interface Contest {
  place: Place
  subject: Subject
  jobs: number
  signal: AbortSignal
}

/** Returns the programs that a contestant needs and that are not installed. */
export function missingPrograms({ needs = [] }: Contestant, path: string): string[] {
  const folders = path.split(delimiter)
  return needs.filter((name) => !folders.some((folder) => isProgram(join(folder, name))))
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/**
 * Where a contestant's backup is stored: a folder, and a prefix of the S3 server's bucket.
 */
export const product = (
  place: Place,
  name: string,
): { folder: string; prefix: string; s3Folder: string } => ({
  folder: place.folder('products', name),
  prefix: `products/${name}`,
  s3Folder: place.s3Folder(`products/${name}`),
})

/**
 * Runs a backup once, after deleting what the contestant stored before. If it fails, throws with
 * the line of its output that names the error.
 */
export async function runBackup(contestant: Contestant, contest: Contest): Promise<Run> {
  const { place } = contest
  const kept = product(place, contestant.name)
  rmSync(kept.s3Folder, { recursive: true, force: true })
  rmSync(kept.folder, { recursive: true, force: true })
  const env = variables(contestant.name, contest, { ...place.source.env(source) })
  const run = await timed(contestant, env, contest)
  const stored =
    contestant.stores === undefined
      ? 0
      : bytesIn(contestant.stores === 's3' ? kept.s3Folder : kept.folder)
  if (contestant.stores !== undefined && stored < contest.subject.tableBytes / 50)
    throw new Error(`It stored ${stored} bytes, which cannot be the whole database.`)
  return { ...run, stored }
}

/**
 * Runs a restore once, into a new database. Throws if a row, an index or a constraint is missing.
 */
export async function runRestore(contestant: Contestant, contest: Contest): Promise<Run> {
  const {
    place: { target, folder, s3Folder },
    subject,
  } = contest
  await dropCopies(contest)
  // verify creates its own database
  const ownDatabase = contestant.action?.name === 'verify'
  if (!ownDatabase) await target.query('postgres', `CREATE DATABASE ${copy} TEMPLATE template0`)
  const from = contestant.from ?? 'none'
  spawnSync(
    'bash',
    [
      '-c',
      'find "$@" -type f -exec cat {} + > /dev/null',
      'warm',
      folder('products', from),
      s3Folder(`products/${from}`),
    ],
    { stdio: 'ignore' },
  )
  try {
    const run = await timed(contestant, variables(from, contest, target.env(copy)), contest)
    if (ownDatabase || contestant.name === 'pgbackrest') return run
    const found = await contentsOf(target, copy)
    if (found !== subject.contents)
      throw new Error('The restored database lacks rows, indexes or constraints of the source.')
    return run
  } finally {
    await dropCopies(contest)
  }
}

async function dropCopies({ place: { target } }: Contest): Promise<void> {
  const databases = await target.query(
    'postgres',
    "SELECT quote_ident(datname) AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'",
  )
  for (const { name } of databases)
    await target.query('postgres', `DROP DATABASE ${String(name)} WITH (FORCE)`)
}

/** Returns, as text, what must be the same in a copy. */
export async function contentsOf(server: Place['source'], database: string): Promise<string> {
  const query = (sql: string): Promise<Record<string, unknown>[]> => server.query(database, sql)
  const tables = await query(
    `SELECT oid::regclass::text AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
     ORDER BY 1`,
  )
  const counts = tables
    .map(
      ({ name }) => `SELECT '${String(name)}' AS name, count(*)::int AS rows FROM ${String(name)}`,
    )
    .join(' UNION ALL ')
  const rows = await query(`SELECT name, rows FROM (${counts}) AS counted ORDER BY 1`)
  const others =
    await query(`SELECT (SELECT count(*)::int FROM pg_index WHERE indisvalid AND indrelid >= 16384) AS indexes,
    (SELECT count(*)::int FROM pg_constraint
      WHERE convalidated AND connamespace = 'public'::regnamespace) AS constraints`)
  return JSON.stringify([rows, others])
}

/** Returns the environment of scripts. `name` is the contestant whose backup they use. */
function variables(
  name: string,
  { place, subject, jobs }: Contest,
  database: Record<string, string>,
): Record<string, string> {
  const { s3, source: from } = place
  const kept = product(place, name)
  const password = from.env(source).PGPASSWORD ?? ''
  const temp = place.folder('temp')
  return {
    ...database,
    ...s3.env,
    PATH: place.path,
    HOME: temp,
    TMPDIR: temp,
    LANG: 'C.UTF-8',
    TEMP: temp,
    FOLDER: kept.folder,
    KEEP: place.folder('keep'),
    STORE: `backups/${kept.prefix}`,
    S3_URL: s3.url(kept.prefix),
    FOLDER_URL: `file://${kept.folder}`,
    DATABASE_URL: from.url(source),
    TARGET_URL: place.target.url(copy),
    SCRATCH_URL: place.target.url('postgres'),
    SOURCE_PORT: from.env(source).PGPORT ?? '',
    SOURCE_PASSWORD: password,
    JOBS: String(jobs),
    LARGEST: subject.largest,
    OTHERS: subject.others.join(' '),
    RECIPIENT: place.recipient,
    IDENTITY: place.identity,
    IDENTITY_FILE: place.identityFile,
    PASSPHRASE: place.passphrase,
    RCLONE_CONFIG: join(temp, 'rclone.conf'),
    RCLONE_CONFIG_STORE_TYPE: 's3',
    RCLONE_CONFIG_STORE_PROVIDER: 'Other',
    RCLONE_CONFIG_STORE_ENDPOINT: s3.endpoint,
    RCLONE_CONFIG_STORE_ENV_AUTH: 'true',
    RCLONE_CONFIG_STORE_REGION: 'us-east-1',
    RCLONE_S3_NO_CHECK_BUCKET: 'true',
    RESTIC_REPOSITORY: `s3:${s3.endpoint}/backups/${kept.prefix}`,
    RESTIC_PASSWORD: place.passphrase,
    AWS_DEFAULT_REGION: 'us-east-1',
    PGCOPYDB_SOURCE_PGURI: from.url(source),
    PGCOPYDB_TARGET_PGURI: place.target.url(copy),
    PGBACKREST_STANZA: 'shop',
    PGBACKREST_PG1_PATH: from.dataDirectory,
    PGBACKREST_PG1_PORT: from.env(source).PGPORT ?? '',
    PGBACKREST_PG1_SOCKET_PATH: dirname(from.dataDirectory),
    PGBACKREST_PG1_USER: 'bench',
    PGBACKREST_PG1_DATABASE: 'postgres',
    PGBACKREST_REPO1_PATH: kept.folder,
    PGBACKREST_REPO1_CIPHER_TYPE: 'aes-256-cbc',
    PGBACKREST_REPO1_CIPHER_PASS: place.passphrase,
    PGBACKREST_PROCESS_MAX: String(jobs),
    PGBACKREST_COMPRESS_TYPE: 'zst',
    PGBACKREST_COMPRESS_LEVEL: '1',
    PGBACKREST_ARCHIVE_CHECK: 'n',
    PGBACKREST_START_FAST: 'y',
    PGBACKREST_LOG_PATH: place.folder('logs'),
    PGBACKREST_LOCK_PATH: place.folder('locks'),
    PGBACKREST_LOG_LEVEL_CONSOLE: 'off',
    PGBACKREST_LOG_LEVEL_STDERR: 'warn',
    PGBACKREST_LOG_LEVEL_FILE: 'off',
  }
}

/** Prepares, runs, and measures from the start of the process to the end of its output. */
async function timed(
  contestant: Contestant,
  env: Record<string, string>,
  contest: Contest,
): Promise<Run> {
  const { place, signal } = contest
  const temp = place.folder('temp')
  if (contestant.before !== undefined) await shell(contestant.before, env, signal)
  // What others have written is on the disk before the clock starts, so that no contestant waits
  // for another's pages.
  for (const server of [place.source, place.target]) await server.query('postgres', 'CHECKPOINT')
  spawnSync('sync')
  const servers = [place.source.pid, place.target.pid, place.s3.pid]
  const [cpuBefore, serverBefore] = [cpuOfEndedChildren(), cpuOf(servers)]
  let result: Omit<Run, 'wall' | 'stored'> | undefined
  const onStart = (child: ChildProcess): void => {
    const watching = watch(child.pid ?? 0, temp)
    child.once('exit', () => {
      result = {
        cpu: cpuOfEndedChildren() - cpuBefore,
        serverCpu: cpuOf(servers) - serverBefore,
        ...watching.stop(),
      }
    })
  }
  try {
    const wall =
      contestant.action === undefined
        ? await shell(contestant.script ?? '', env, signal, onStart)
        : await act(contestant.action, env, contest, onStart)
    if (result === undefined) throw new Error('The bench did not see the process end.')
    return { wall, ...result, stored: 0 }
  } finally {
    rmSync(temp, { recursive: true, force: true })
  }
}

/** Runs a script. Returns its time in milliseconds. */
async function shell(
  script: string,
  env: Record<string, string>,
  signal: AbortSignal,
  onStart?: (child: ChildProcess) => void,
): Promise<number> {
  signal.throwIfAborted()
  const began = performance.now()
  const child = spawn('bash', ['-c', `set -euo pipefail\n${script}`], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL')
  }
  signal.addEventListener('abort', stop)
  let said = ''
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (said = (said + text).slice(-20_000)))
  onStart?.(child)
  try {
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', resolve),
    )
    signal.throwIfAborted()
    if (code !== 0) throw new Error(why(said) || `It exited with ${code}.`)
    return performance.now() - began
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

async function act(
  { name, inputs }: NonNullable<Contestant['action']>,
  env: Record<string, string>,
  { place, jobs, signal }: Contest,
  onStart: (child: ChildProcess) => void,
): Promise<number> {
  const given = Object.fromEntries(
    Object.entries(inputs).map(([input, value]) => [
      input,
      value.replace(/^\$(\w+)$/, (_all, variable: string) => env[variable] ?? ''),
    ]),
  )
  const run = await call({
    name,
    inputs: { 'postgres-bin': place.postgres.bindir, jobs: String(jobs), ...given },
    folder: place.folder('runs'),
    signal,
    onStart,
    env: {
      ...place.s3.env,
      PATH: place.path,
      TMPDIR: place.folder('temp'),
      RUNNER_TEMP: place.folder('temp'),
    },
  })
  // verify exits with 1 if it finds a difference; for a backup without a fingerprint, it exits with
  // 0 once it has restored
  if (run.code !== 0) throw new Error(why(run.log) || `It exited with ${run.code}.`)
  return run.ms
}

/** Returns the last line that names an error, or else the last line. */
function why(text: string): string {
  const lines = text.trim().split('\n')
  return (lines.findLast((line) => /error|fatal|failed/i.test(line)) ?? lines.at(-1) ?? '').trim()
}

/**
 * Returns the decrypted size, in bytes, of the base archive in the last backup of `ours`; undefined
 * without one.
 */
export function baseBytes(place: Place): number | undefined {
  const folder = product(place, 'ours').s3Folder
  const [manifest] = globSync('**/manifest.json', { cwd: folder })
  if (manifest === undefined) return undefined
  const { objects } = JSON.parse(readFileSync(join(folder, manifest), 'utf8')) as {
    objects: { kind: string; bytes: number; plain?: { bytes: number } }[]
  }
  const base = objects.find(({ kind }) => kind === 'base')
  return base?.plain?.bytes ?? base?.bytes
}
