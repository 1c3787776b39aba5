import { randomBytes } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import type { Readable, Writable } from 'node:stream'
import { type Child, start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, libpqEnvironment } from '../connection/connection.ts'
import { toStdin } from './pg-restore.ts'
import { quoteText, type Session } from '../connection/session.ts'

/**
 * One psql, fed through a pipe: the only way to run what pg_restore writes (SQL with rows between
 * its lines) in a transaction that this process also queries. It stops at the first error, which
 * rolls its transaction back.
 */
export interface Psql {
  /** Runs one statement. Throws a PsqlError if it fails. */
  run(sql: string): Promise<void>
  /** Runs a script as it streams in; resolves when psql has run all of it. */
  feed(text: Readable): Promise<void>
  /**
   * The same connection as a Session, for statements and for queries, whose rows arrive as JSON.
   */
  readonly session: Session
  /** Ends psql, which rolls back what is not committed. */
  stop(): Promise<void>
}

/** The server's error that stopped psql, with its SQLSTATE. */
export class PsqlError extends Error {
  override name = 'PsqlError'
  readonly code: string
  /**
   * Undefined if the server sent no error, because it or psql is gone. Only after an `ERROR` is
   * the connection still open.
   */
  readonly severity: string | undefined
  constructor(code: string, message: string, severity?: string) {
    super(message)
    this.code = code
    this.severity = severity
  }
}

/** Starts a psql on a connection. `server` has the server's version. */
export function startPsql(
  programs: Programs,
  connection: Connection,
  server: Pick<Session, 'major' | 'version'>,
  work: Work,
): Psql {
  const env = { ...work.env, ...libpqEnvironment(connection), PGCLIENTENCODING: 'UTF8' }
  const child = start(
    program(programs, 'psql'),
    ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-f', '-'],
    { env, stdin: 'pipe', stdout: 'pipe' },
    work,
  )
  return new PipedPsql(child, connection, server, work.signal)
}

class PipedPsql implements Psql {
  readonly session: Session
  readonly #child: Child
  readonly #input: Writable
  readonly #signal: AbortSignal
  /** Rejects with a PsqlError when psql ends, whether it stopped at an error or was stopped. */
  readonly #ended: Promise<never>
  #output = ''
  #onOutput: (() => void) | undefined

  constructor(
    child: Child,
    connection: Connection,
    { major, version }: Pick<Session, 'major' | 'version'>,
    signal: AbortSignal,
  ) {
    this.#child = child
    this.#input = child.stdin as Writable
    this.#signal = signal
    ;(child.stdout as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
      this.#onOutput?.()
    })
    this.#ended = child.exit.then((exit) => {
      throw psqlError(exit.stderr, exit.signal)
    })
    this.#ended.catch(() => {})
    this.session = {
      connection,
      major,
      version,
      pooled: false,
      lost: this.#ended,
      query: (text, values) => this.#query(text, values),
      end: async () => {},
    }
  }

  async run(sql: string): Promise<void> {
    this.#input.write(`\\o /dev/null\n${sql};\n`)
    await this.#outputSoFar()
  }

  async feed(text: Readable): Promise<void> {
    this.#input.write('\\o /dev/null\n')
    const fed = pipeline(text, keptOpen(this.#input), { signal: this.#signal })
    await Promise.race([fed, this.#ended])
    await this.#outputSoFar()
  }

  stop(): Promise<void> {
    return this.#child.stop()
  }

  async #query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    // only if there are values: a column may be named "$1"
    const sql =
      values.length === 0
        ? text
        : text.replace(/\$(\d+)/g, (_, n: string) => quoteText(String(values[Number(n) - 1])))
    if (!/^\s*(SELECT|WITH)\b/i.test(sql)) {
      await this.run(sql)
      return []
    }
    this.#input.write(
      "SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(q)), '[]')::pg_catalog.text " +
        `FROM (${sql}\n) AS q;\n`,
    )
    return JSON.parse(await this.#outputSoFar()) as Row[]
  }

  /** Resolves with psql's output up to here, which it marks by printing a random word. */
  async #outputSoFar(): Promise<string> {
    const mark = `holdfast-${randomBytes(12).toString('hex')}`
    this.#input.write(`\n\\o\n\\echo ${mark}\n`)
    const arrived = new Promise<string>((resolve) => {
      this.#onOutput = () => {
        const end = this.#output.indexOf(`${mark}\n`)
        if (end < 0) return
        const text = this.#output.slice(0, end)
        this.#output = this.#output.slice(end + mark.length + 1)
        this.#onOutput = undefined
        resolve(text)
      }
      this.#onOutput()
    })
    return Promise.race([arrived, this.#ended])
  }
}

/** A writable that passes everything to psql's input and does not end it. */
function keptOpen(input: Writable): Writable {
  const inner = toStdin(input)
  inner._final = (done) => done()
  return inner
}

function psqlError(stderr: string, signal: NodeJS.Signals | null): PsqlError {
  const [, severity, code = '', message = ''] =
    /(ERROR|FATAL|PANIC): {2}([0-9A-Z]{5}): ((?:.|\n(?!LOCATION|psql:|ERROR|FATAL))*)/.exec(
      stderr,
    ) ?? []
  const last = stderr.trim().split('\n').slice(-3).join(' ')
  return new PsqlError(
    code || '08006',
    (message || (signal ? `psql was ended by ${signal}. ${last}` : last) || 'psql ended').trim(),
    severity,
  )
}
