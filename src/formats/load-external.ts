import { randomBytes } from 'node:crypto'
import { type Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import { findPrograms, type Programs, program } from '../postgres/programs/find-programs.ts'
import { type Connection, libpqEnvironment } from '../postgres/connection/connection.ts'
import { toStdin } from '../postgres/pg-restore/pg-restore.ts'
import { exitMessage, restoreError } from '../postgres/pg-restore/errors.ts'
import { type Child, start } from '../stream/process.ts'
import { input, join, text } from '../text.ts'
import type { Work } from '../work.ts'
import { type ExternalDump, asDamagedFile } from './detect.ts'
import { emptyDumpFacts, plainSqlReader, type DumpFacts } from './plain-sql.ts'

/** Major versions to look for, newest first. */
const majors = [20, 19, 18, 17, 16, 15, 14, 13]

/**
 * Finds the newest programs on this machine, of major version `from` or newer: they read the archives
 * of all older versions. Throws `client-missing`.
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
 * Reads a dump to its end without restoring it (an archive through pg_restore, as SQL). Returns what
 * it is and needs. Throws `file-damaged` if it is truncated, and `file-refused` if psql must not
 * run it.
 */
export async function readExternalDump(
  file: ExternalDump,
  programs: Programs,
  work: Work,
): Promise<DumpFacts> {
  const facts = emptyDumpFacts()
  if (file.format === 'sql') {
    const stages = [...(await file.stages()), plainSqlReader(facts), discard()]
    await pipeline(stages, { signal: work.signal }).catch((error: unknown) => {
      throw asDamagedFile(error, file.name)
    })
  } else await inspectArchive(file, programs, facts, work)
  if (!facts.complete)
    throw new UserError(
      'file-damaged',
      `${file.name} is half a dump: pg_dump’s last line ("PostgreSQL database dump complete") is ` +
        'missing.',
      'pg_dump was interrupted, or the file was truncated. Make it again, and check pg_dump’s exit ' +
        'code: set -o pipefail.',
    )
  // pg_restore can leave subscriptions out, psql cannot; and a database with one cannot be dropped
  if (file.format === 'sql' && facts.subscriptions)
    throw new UserError(
      'file-refused',
      `${file.name} creates a subscription to another server.`,
      'A copy must not connect to it. Dump again with pg_dump --no-subscriptions, or as a custom ' +
        'archive (-Fc).',
    )
  return facts
}

/** Lets pg_restore read an archive to its end as SQL, which is only inspected. */
async function inspectArchive(
  file: ExternalDump,
  programs: Programs,
  facts: DumpFacts,
  work: Work,
): Promise<void> {
  const child = start(
    program(programs, 'pg_restore'),
    ['-f', '-', ...(file.path === undefined ? [] : [file.path])],
    { env: { ...work.env }, stdin: file.path === undefined ? 'pipe' : 'ignore', stdout: 'pipe' },
    work,
  )
  const inspecting = pipeline(
    [child.stdout as Readable, plainSqlReader(facts, { forPsql: false }), discard()],
    { signal: work.signal },
  )
  const feeding = feed(file, child, work)
  const [exit, fed, inspected] = await Promise.allSettled([child.exit, feeding, inspecting])
  work.signal.throwIfAborted()
  if (fed.status === 'rejected') throw asDamagedFile(fed.reason, file.name)
  if (exit.status === 'rejected') throw exit.reason
  if (exit.value.code !== 0)
    throw new UserError(
      'file-damaged',
      `${file.name}: pg_restore ${programs.version} cannot read it to its end: ` +
        lastLine(exit.value.stderr),
      join(
        [
          'It was truncated or changed, or a newer pg_dump made it:',
          text`name the folder of its programs in ${input('postgres-bin')}.`,
        ],
        ' ',
      ),
    )
  if (inspected.status === 'rejected') throw inspected.reason
}

function discard(): Writable {
  return new Writable({ write: (_piece, _encoding, done) => done() })
}

/**
 * Restores a dump into an empty database: an archive with pg_restore, SQL with psql in one
 * transaction; all of it or an error. The roles it names must exist. `owner` `drop` leaves out
 * owners and grants, for archives. psql gets no line with a psql command, and `\restrict` makes it
 * refuse such commands too. Throws `restore-failed` and the like, and `client-missing` if psql does
 * not know `\restrict`.
 */
export async function loadExternalDump(
  file: ExternalDump,
  connection: Connection,
  programs: Programs,
  work: Work,
  owner: 'keep' | 'drop' = 'keep',
): Promise<{ warnings: string[] }> {
  const sql = file.format === 'sql'
  if (sql) checkRestrict(programs)
  const key = randomBytes(16).toString('hex')
  const env = { ...work.env, ...libpqEnvironment(connection) }
  const child = start(
    program(programs, sql ? 'psql' : 'pg_restore'),
    loadArguments(file, connection, owner),
    { env, stdin: file.path === undefined ? 'pipe' : 'ignore' },
    work,
  )
  const facts = emptyDumpFacts()
  const restricted = sql ? [withPrefix(`\\restrict ${key}\n`)] : []
  const [exit, fed] = await Promise.allSettled([
    child.exit,
    feed(file, child, work, sql ? [plainSqlReader(facts), ...restricted] : []),
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

/** Returns the arguments of psql for SQL, and of pg_restore for an archive. */
function loadArguments(
  { format, path }: ExternalDump,
  { database }: Connection,
  owner: 'keep' | 'drop',
): string[] {
  if (format === 'sql')
    return ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-f', '-']
  return [
    '--exit-on-error',
    '--no-subscriptions',
    '--no-tablespaces',
    ...(owner === 'drop' ? ['--no-owner', '--no-privileges'] : []),
    '-d',
    database,
    ...(path === undefined ? [] : [path]),
  ]
}

function checkRestrict({ version, directory }: Programs): void {
  if (!supportsRestrict(version))
    throw new UserError(
      'client-missing',
      `psql ${version} in ${directory} does not know \\restrict, so it may not run a plain dump.`,
      '\\restrict (since August 2025: 13.22, 14.19, 15.14, 16.10, 17.6 and 18) keeps psql from ' +
        'running commands that hide in a dump. Update the client package to its newest minor ' +
        'version.',
    )
}

/**
 * Whether psql knows `\restrict`: since August 2025, in every major version. After it, psql refuses
 * every backslash command but `\unrestrict`.
 */
export function supportsRestrict(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const since: Record<number, number> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 }
  return minor >= (since[major] ?? (major >= 18 ? 0 : Infinity))
}

/**
 * Streams a dump to a program, unless the program reads it from a file. Ends the program if that
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

/** Returns a stage that writes `text` before what passes through. */
function withPrefix(text: string): Transform {
  const stage = new Transform({ transform: (piece, _encoding, done) => done(null, piece) })
  stage.push(text)
  return stage
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
