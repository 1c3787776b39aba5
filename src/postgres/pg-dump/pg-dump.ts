import { once } from 'node:events'
import { Transform, type Readable } from 'node:stream'
import { UserError } from '../../errors.ts'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, dumpEnvironment } from '../connection/connection.ts'
import type { Archive } from './archive-plan.ts'
import { encodingArguments } from '../fingerprint/schema.ts'
import { clientError } from '../connection/session-errors.ts'
import { Drift, lockWait } from './snapshot.ts'

/** One pg_dump that holds its locks and waits to be read. */
export interface Dump {
  readonly plan: Archive
  /**
   * True when pg_dump compresses by itself; otherwise the archive's data is to be compressed by us.
   */
  readonly compressed: boolean
  /**
   * The archive. It ends only after pg_dump has exited with 0 and has read just the tables that it
   * was to; otherwise it fails, so that whoever stores it never takes half a dump for a whole one.
   */
  readonly archive: Readable
  /** What pg_dump warned of, once the archive has ended. */
  warnings(): string[]
  stop(): Promise<void>
}

export interface DumpOptions {
  snapshot: string
  encoding: string
  plan: Archive
  /** Told when pg_dump begins to read a table: by then it has read the one before. */
  onTable?: (table: string) => void
}

/**
 * Starts `pg_dump -Fc` on a snapshot. Settles when the archive's first byte is there: pg_dump
 * writes none before it holds its locks (seen on 15 to 18), and from then on waits for us at its
 * full pipe. Throws Drift when a lock could not be had in time, or what it was to lock is gone.
 */
export async function startDump(
  programs: Programs,
  connection: Connection,
  options: DumpOptions,
  work: Work,
): Promise<Dump> {
  const { plan } = options
  const compressed = programs.major >= 16
  const said = new PgDumpLog(options.onTable)
  const child = start(
    program(programs, 'pg_dump'),
    [
      '-Fc',
      // so that it names each table that it reads: a pattern that matched nothing would be silent
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
      onLine: (line) => said.add(line),
    },
    work,
  )
  const stdout = child.stdout as Readable
  // a reader that ends early (an upload that failed) must not leave the child writing for nobody
  stdout.on('close', () => {
    if (!stdout.readableEnded) void child.stop()
  })
  const failed = child.exit.then((exit) => {
    if (exit.code !== 0) throw whyDumpFailed(connection, said.text(), exit.signal, work)
    checkRead(plan, said.tables)
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
  archive.on('error', () => {}) // whoever reads it sees the failure; stopped before anybody reads it, it is no crash
  return { plan, compressed, archive, warnings: () => said.warnings(), stop: () => child.stop() }
}

/** What pg_dump said, without the steps that `--verbose` tells of. */
class PgDumpLog {
  readonly tables: string[] = []
  readonly #lines: string[] = []
  readonly #onTable: ((table: string) => void) | undefined
  /** Whether the lines that follow belong to one that matters. */
  #kept = true
  /** The beginning of a line about a table whose name has a line break in it. */
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
    // what the server says comes without a word of pg_dump's before it, and its further lines
    // without any
    if (line.startsWith('pg_dump: '))
      this.#kept =
        /^pg_dump: (warning|error|detail|hint|server version|aborting|(FATAL|PANIC|ERROR):)/.test(
          line,
        )
    if (this.#kept) this.#lines.push(line)
  }

  text(): string {
    return this.#lines.join('\n').trim()
  }

  warnings(): string[] {
    return this.#lines.filter(
      (line) => line.trim() && !expected.some((pattern) => pattern.test(line)),
    )
  }
}

/**
 * An archive holds the rows of just the tables that it was planned for: compared by what pg_dump
 * itself said it read. Names with line breaks are cut in what it says: then their number must do.
 */
function checkRead(plan: Archive, read: readonly string[]): void {
  const planned = plan.tables
    .filter(({ unreadable }) => !unreadable)
    .map(({ schema, name }) => `${schema}.${name}`)
  const odd = [...planned, ...read].some((name) => /[\n\r\ufffd]/.test(name))
  const missing = planned.filter((name) => !read.includes(name))
  if (odd ? planned.length === read.length : missing.length === 0 && planned.length === read.length)
    return
  const surplus = read.filter((name) => !planned.includes(name))
  throw new Error(
    `pg_dump read other tables for ${plan.name} than planned; missing: ${missing.join(', ') || 'none'}; too many: ${surplus.join(', ') || 'none'}`,
  )
}

/** Passes bytes on, and lets the stream end only when `done` has settled well. */
function endingWith(done: Promise<void>): Transform {
  return new Transform({
    transform: (chunk, _encoding, next) => next(null, chunk),
    flush: (next) => void done.then(() => next(), next),
  })
}

/**
 * Lines that need nobody's attention: they only say that data of these tables alone could not be
 * restored in order.
 */
const expected = [
  /^pg_dump: warning: there are circular foreign-key constraints/,
  /^pg_dump: detail: /,
  /^pg_dump: hint: (You might not be able to restore|Consider using a full dump)/,
]

function whyDumpFailed(
  connection: Connection,
  stderr: string,
  signal: string | null,
  work: Work,
): Error {
  if (work.signal.aborted) return work.signal.reason as Error
  const text = stderr
  const broken = clientError(connection, text)
  if (broken) return broken
  if (
    /canceling statement due to (lock|statement) timeout|relation .* does not exist|cache lookup failed|could not open relation with OID|schema .* does not exist|tuple concurrently|snapshot ".*" does not exist|invalid snapshot identifier/.test(
      text,
    )
  )
    return new Drift(lastLines(text, 2))
  if (/permission denied/.test(text))
    return new UserError(
      'no-permission',
      `pg_dump may not read everything: ${lastLines(text, 1)}`,
      'Grant the backup role pg_read_all_data; large objects need a superuser or their owner besides.',
    )
  if (/row-level security/.test(text))
    return new UserError(
      'row-security',
      `pg_dump would see only some rows: ${lastLines(text, 1)}`,
      'Give the backup role BYPASSRLS (ALTER ROLE … BYPASSRLS), or back up as the owner of these tables.',
    )
  if (/server version mismatch/.test(text))
    return new UserError(
      'client-missing',
      `pg_dump refuses this server: ${lastLines(text, 2)}`,
      'Install the client of the server’s major version.',
    )
  return new UserError(
    'dump-failed',
    `pg_dump ${signal ? `was ended by ${signal}` : 'failed'}${text ? `: ${lastLines(text, 3)}` : ' without a word.'}`,
    'Nothing was stored. If the server is well (its log says so), run the backup again.',
  )
}

function lastLines(text: string, count: number): string {
  return text.split('\n').slice(-count).join(' ')
}
