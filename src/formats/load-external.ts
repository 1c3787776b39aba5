import { randomBytes } from 'node:crypto'
import { type Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import { findPrograms, type Programs, program } from '../postgres/programs/find-programs.ts'
import { type Connection, libpqEnvironment } from '../postgres/connection/connection.ts'
import { toStdin } from '../postgres/pg-restore/pg-restore.ts'
import { exitMessage, restoreError } from '../postgres/pg-restore/errors.ts'
import { type Child, start } from '../stream/process.ts'
import type { Work } from '../work.ts'
import { type ExternalDump, asDamagedFile } from './detect.ts'
import { emptyDumpFacts, plainSqlReader, type DumpFacts } from './plain-sql.ts'

/** Majors that programs are looked for of, newest first. */
const majors = [20, 19, 18, 17, 16, 15, 14, 13]

/**
 * The newest programs at hand: they read the archives of all older ones. Throws `client-missing`.
 */
export async function findNewestPrograms(
  needed: readonly string[],
  bindirs: readonly string[],
  work: Work,
  from = 0,
): Promise<Programs> {
  for (const major of majors) {
    if (major < from) break
    const found = await findPrograms(major, needed, bindirs, work).catch((error: unknown) => {
      if (error instanceof UserError && error.code === 'client-missing') return undefined
      throw error
    })
    if (found) return found
  }
  return findPrograms(Math.max(from, majors[2] ?? 18), needed, bindirs, work)
}

/**
 * Reads a dump to its end without restoring it (an archive through pg_restore, as SQL), and tells
 * what it is and needs. Throws `file-damaged` when it is cut, and `file-refused` when it is not
 * safe to be given to psql.
 */
export async function readExternalDump(
  file: ExternalDump,
  programs: Programs,
  work: Work,
): Promise<DumpFacts> {
  const seen = emptyDumpFacts()
  const nowhere = new Writable({ write: (_piece, _encoding, done) => done() })
  if (file.format === 'sql') {
    const flowing = pipeline([...(await file.stages()), plainSqlReader(seen), nowhere], {
      signal: work.signal,
    })
    await flowing.catch((error: unknown) => {
      throw asDamagedFile(error, file.name)
    })
  } else {
    const [stdin, from] =
      file.path === undefined ? (['pipe', []] as const) : (['ignore', [file.path]] as const)
    const child = start(
      program(programs, 'pg_restore'),
      ['-f', '-', ...from],
      { env: { ...work.env }, stdin, stdout: 'pipe' },
      work,
    )
    // what pg_restore writes is only looked at: it passes through no psql
    const reading = pipeline(
      [child.stdout as Readable, plainSqlReader(seen, { forPsql: false }), nowhere],
      { signal: work.signal },
    )
    const [exit, fed, read] = await Promise.allSettled([
      child.exit,
      feed(file, child, work),
      reading,
    ])
    work.signal.throwIfAborted()
    if (fed.status === 'rejected') throw asDamagedFile(fed.reason, file.name)
    if (exit.status === 'rejected') throw exit.reason
    if (exit.value.code !== 0)
      throw new UserError(
        'file-damaged',
        `${file.name}: pg_restore ${programs.version} cannot read it to its end: ${lastLine(exit.value.stderr)}`,
        'It was cut or changed on its way, or a newer pg_dump made it: name the folder of its own programs in postgres-bin.',
      )
    if (read.status === 'rejected') throw read.reason
  }
  if (!seen.complete)
    throw new UserError(
      'file-damaged',
      `${file.name} is half a dump: pg_dump’s last line ("PostgreSQL database dump complete") is missing.`,
      'pg_dump was ended, or the file was cut. Make it again, and look at pg_dump’s exit code: set -o pipefail.',
    )
  // pg_restore is told to leave them out; psql cannot be, and a database with one cannot be dropped
  if (file.format === 'sql' && seen.subscriptions)
    throw new UserError(
      'file-refused',
      `${file.name} makes a subscription to another server.`,
      'A copy must not reach out there. Dump again with pg_dump --no-subscriptions, or as a custom archive (-Fc).',
    )
  return seen
}

/**
 * Restores a dump into an empty database: an archive by pg_restore, SQL by psql in one transaction;
 * all or an error. The roles that it names have to be there; `owner: drop`, for archives, leaves
 * owners and grants out. psql is given no line with a command for itself, and is told to refuse
 * them, too. Throws `restore-failed` and the like, and `client-missing` where psql cannot be told
 * so.
 */
export async function loadExternalDump(
  file: ExternalDump,
  connection: Connection,
  programs: Programs,
  work: Work,
  owner: 'keep' | 'drop' = 'keep',
): Promise<{ warnings: string[] }> {
  const sql = file.format === 'sql'
  if (sql && !supportsRestrict(programs.version))
    throw new UserError(
      'client-missing',
      `psql ${programs.version} in ${programs.directory} knows no \\restrict, so a plain dump is not given to it.`,
      'Since August 2025 (13.22, 14.19, 15.14, 16.10, 17.6 and 18) psql can be told to run no command that hides in a dump. Update the client package to its newest minor version.',
    )
  const key = randomBytes(16).toString('hex')
  const args = sql
    ? ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-f', '-']
    : [
        '--exit-on-error',
        '--no-subscriptions',
        '--no-tablespaces',
        ...(owner === 'drop' ? ['--no-owner', '--no-privileges'] : []),
        '-d',
        connection.database,
        ...(file.path === undefined ? [] : [file.path]),
      ]
  const env = { ...work.env, ...libpqEnvironment(connection) }
  const child = start(
    program(programs, sql ? 'psql' : 'pg_restore'),
    args,
    { env, stdin: file.path === undefined ? 'pipe' : 'ignore' },
    work,
  )
  const seen = emptyDumpFacts()
  const restricted = sql ? [beginningWith(`\\restrict ${key}\n`)] : []
  const [exit, fed] = await Promise.allSettled([
    child.exit,
    feed(file, child, work, sql ? [plainSqlReader(seen), ...restricted] : []),
  ])
  work.signal.throwIfAborted()
  if (exit.status === 'rejected') throw exit.reason
  if (fed.status === 'rejected') throw asDamagedFile(fed.reason, file.name)
  const { code, stderr } = exit.value
  if (code !== 0)
    throw restoreError(
      undefined,
      stderr
        .trim()
        .split('\n')
        .filter((line) => /ERROR|FATAL|error:/.test(line))
        .slice(0, 2)
        .join(' ') || exitMessage(exit.value),
      connection,
    )
  return { warnings: stderr.trim() ? [`${sql ? 'psql' : 'pg_restore'}: ${lastLine(stderr)}`] : [] }
}

/**
 * Since August 2025 in every major: from then on, psql refuses all commands but the one that ends
 * it.
 */
export function supportsRestrict(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const since: Record<number, number> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 }
  return minor >= (since[major] ?? (major >= 18 ? 0 : Infinity))
}

/**
 * Sends a dump to a program, if it does not read it from a file itself; ends the program when that
 * fails, so that it commits nothing.
 */
async function feed(
  file: ExternalDump,
  child: Child,
  work: Work,
  more: Transform[] = [],
): Promise<void> {
  if (file.path !== undefined) return
  try {
    await pipeline([...(await file.stages()), ...more, toStdin(child.stdin as Writable)], {
      signal: work.signal,
    })
  } catch (error) {
    await child.stop()
    throw error
  }
}

function beginningWith(text: string): Transform {
  const stage = new Transform({ transform: (piece, _encoding, done) => done(null, piece) })
  stage.push(text)
  return stage
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
