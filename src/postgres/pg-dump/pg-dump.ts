/**
 * Runs pg_dump: the plan of archives, their snapshot and locks, their progress, and who waits for
 * them.
 */
import { once } from 'node:events'
import { Transform, type Readable } from 'node:stream'
import { UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, dumpEnvironment } from '../connection/connection.ts'
import type { Archive } from './archive-plan.ts'
import { encodingArguments } from '../fingerprint/schema.ts'
import { clientError } from '../connection/session-errors.ts'
import { lockWait } from '../connection/locks.ts'
import { Drift } from './snapshot.ts'

/** A pg_dump that holds its locks and waits for its archive to be read. */
export interface Dump {
  readonly plan: Archive
  /** True if pg_dump compresses the archive itself; otherwise the caller must. */
  readonly compressed: boolean
  /**
   * The archive. It ends only if pg_dump exits with 0 and has read exactly the planned tables.
   * Otherwise it fails, so that a partial dump is never stored as a complete one.
   */
  readonly archive: Readable
  /** Returns pg_dump's warnings; complete when the archive has ended. */
  warnings(): string[]
  stop(): Promise<void>
}

export interface DumpOptions {
  snapshot: string
  encoding: string
  plan: Archive
  /** Called when pg_dump starts to read a table; by then it has read the one before. */
  onTable?: (table: string) => void
}

/**
 * Starts `pg_dump -Fc` on a snapshot and waits for the archive's first byte. pg_dump writes none
 * before it holds its locks (seen on 15 to 18), and then waits at its full pipe. Throws Drift if a
 * lock was not available in time, or a table to lock is gone; a StandbyConflict; or a UserError.
 */
export async function startDump(
  programs: Programs,
  connection: Connection,
  options: DumpOptions,
  work: Work,
): Promise<Dump> {
  const { plan } = options
  const compressed = programs.major >= 16
  const log = new PgDumpLog(options.onTable)
  const child = start(
    program(programs, 'pg_dump'),
    [
      '-Fc',
      // names each table that it reads: a pattern without a match would be silent
      '--verbose',
      compressed ? '--compress=zstd:1' : '--compress=0',
      `--snapshot=${options.snapshot}`,
      `--lock-wait-timeout=${lockWait}`,
      ...encodingArguments(options.encoding),
      ...plan.arguments,
    ],
    {
      env: { ...work.env, ...dumpEnvironment(connection, programs.major) },
      stdout: 'pipe',
      onLine: (line) => log.add(line),
    },
    work,
  )
  const stdout = child.stdout as Readable
  // a reader that ends early (a failed upload) must not leave the child running
  stdout.on('close', () => {
    if (!stdout.readableEnded) void child.stop()
  })
  const failed = child.exit.then((exit) => {
    if (exit.code !== 0) throw dumpError(connection, log.text(), exit.signal, work)
    checkRead(plan, log.tables)
  })
  failed.catch(() => {})
  try {
    await Promise.race([once(stdout, 'readable'), failed])
    if (stdout.readableLength === 0) await failed
  } catch (error) {
    await child.stop()
    throw error
  }
  const archive = stdout.compose(endingWith(failed)) as unknown as Readable
  // its reader sees the failure; without a reader, it must not crash the process
  archive.on('error', () => {})
  return { plan, compressed, archive, warnings: () => log.warnings(), stop: () => child.stop() }
}

/** pg_dump's stderr without the steps that `--verbose` adds. */
class PgDumpLog {
  readonly tables: string[] = []
  readonly #lines: string[] = []
  readonly #onTable: ((table: string) => void) | undefined
  /** Whether further lines of a message are kept. */
  #kept = true
  /** The start of a line about a table whose name has a line break. */
  #open = ''

  constructor(onTable?: (table: string) => void) {
    this.#onTable = onTable
  }

  add(piece: string): void {
    const line = this.#open + piece
    this.#open = /^pg_dump: dumping contents of table ".*[^"]$/s.test(line) ? `${line}\n` : ''
    if (this.#open) return
    const table = /^pg_dump: dumping contents of table "(.*)"$/s.exec(line)?.[1]
    if (table !== undefined) {
      this.tables.push(table)
      this.#onTable?.(table)
    }
    // a message of the server, and further lines of any message, have no such prefix
    if (line.startsWith('pg_dump: ')) this.#kept = message.test(line)
    if (this.#kept) this.#lines.push(line)
  }

  text(): string {
    return this.#lines.join('\n').trim()
  }

  warnings(): string[] {
    return this.#lines.filter(
      (line) => line.trim() && !harmless.some((pattern) => pattern.test(line)),
    )
  }
}

const message = /^pg_dump: (warning|error|detail|hint|server version|aborting|(FATAL|PANIC|ERROR):)/

/**
 * Checks that pg_dump read exactly the planned tables, by its own messages. Names with line breaks
 * are cut there: then only the number is compared.
 */
function checkRead(plan: Archive, read: readonly string[]): void {
  const planned = plan.tables
    .filter(({ unreadable }) => !unreadable)
    .map(({ schema, name }) => `${schema}.${name}`)
  const cut = [...planned, ...read].some((name) => /[\n\r\ufffd]/.test(name))
  const missing = planned.filter((name) => !read.includes(name))
  if (planned.length === read.length && (cut || missing.length === 0)) return
  const surplus = read.filter((name) => !planned.includes(name))
  throw new Error(
    `pg_dump read other tables for ${plan.name} than planned; ` +
      `missing: ${missing.join(', ') || 'none'}; not planned: ${surplus.join(', ') || 'none'}`,
  )
}

/** Passes bytes on, and ends only if `done` is fulfilled. */
function endingWith(done: Promise<void>): Transform {
  return new Transform({
    transform: (chunk, _encoding, next) => next(null, chunk),
    flush: (next) => void done.then(() => next(), next),
  })
}

/** Warnings about foreign keys in data-only archives: a restore creates the keys after the rows. */
const harmless = [
  /^pg_dump: warning: there are circular foreign-key constraints/,
  /^pg_dump: detail: /,
  /^pg_dump: hint: (You might not be able to restore|Consider using a full dump)/,
]

/** What pg_dump says if a table or its lock is not available. */
const driftWords = [
  /canceling statement due to (lock|statement) timeout/,
  /relation .* does not exist|schema .* does not exist/,
  /cache lookup failed|could not open relation with OID|tuple concurrently/,
  /snapshot ".*" does not exist|invalid snapshot identifier/,
]

interface DumpFailure {
  code: ErrorCode
  message: string
  /** How many of the last lines the message shows. */
  lines: number
  hint: string
}

/** Failures by pg_dump's words. */
const failures: [words: RegExp, failure: DumpFailure][] = [
  [
    /permission denied/,
    {
      code: 'no-permission',
      message: 'pg_dump may not read everything',
      lines: 1,
      hint:
        'Grant the backup role pg_read_all_data. Large objects need their owner or a superuser ' +
        'as well.',
    },
  ],
  [
    /row-level security/,
    {
      code: 'row-security',
      message: 'pg_dump would read only some rows',
      lines: 1,
      hint:
        'Give the backup role BYPASSRLS (ALTER ROLE … BYPASSRLS), or back up as the owner of ' +
        'these tables.',
    },
  ],
  [
    /server version mismatch/,
    {
      code: 'client-missing',
      message: 'pg_dump refuses this server',
      lines: 2,
      hint: 'Install the client programs of the server’s major version.',
    },
  ],
]

function dumpError(
  connection: Connection,
  stderr: string,
  signal: string | null,
  work: Work,
): Error {
  if (work.signal.aborted) return work.signal.reason as Error
  const lost = clientError(connection, stderr)
  if (lost) return lost
  if (driftWords.some((words) => words.test(stderr))) return new Drift(lastLines(stderr, 2))
  const failure = failures.find(([words]) => words.test(stderr))?.[1]
  if (failure) {
    const { code, message, lines, hint } = failure
    return new UserError(code, `${message}: ${lastLines(stderr, lines)}`, hint)
  }
  const end = signal ? `was ended by ${signal}` : 'failed'
  return new UserError(
    'dump-failed',
    `pg_dump ${end}${stderr ? `: ${lastLines(stderr, 3)}` : ' without a message.'}`,
    'Nothing was stored. If the server works (see its log), run the backup again.',
  )
}

function lastLines(text: string, count: number): string {
  return text.split('\n').slice(-count).join(' ')
}
