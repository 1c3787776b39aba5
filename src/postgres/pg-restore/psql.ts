import { randomBytes } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import type { Readable, Writable } from 'node:stream'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, libpqEnvironment } from '../connection/connection.ts'
import { toStdin } from './pg-restore.ts'
import { quoteText, type Session } from '../connection/session.ts'

/**
 * One psql, fed through a pipe: the one way to run what pg_restore writes (SQL, and rows between
 * its lines) in a transaction that we also look into. It stops at the first error, and its
 * transaction is gone with it.
 */
export interface Psql {
  /** Runs one statement, and waits until it is done. */
  run(sql: string): Promise<void>
  /** Passes on text as it comes, for psql to run; settles when psql has run it all. */
  feed(text: Readable): Promise<void>
  /**
   * The same connection for code that asks and measures: statements without results that matter,
   * and queries, whose rows come as JSON.
   */
  readonly session: Session
  /** Ends it: nothing is committed that was not. */
  stop(): Promise<void>
}

/** What the server said when psql stopped, with its SQLSTATE. */
export class PsqlError extends Error {
  override name = 'PsqlError'
  readonly code: string
  /**
   * Undefined where the server said nothing: it, or psql, is gone. Only after an `ERROR` was the
   * connection still there.
   */
  readonly severity: string | undefined
  constructor(code: string, message: string, severity?: string) {
    super(message)
    this.code = code
    this.severity = severity
  }
}

export function startPsql(
  programs: Programs,
  connection: Connection,
  about: Pick<Session, 'major' | 'version'>,
  work: Work,
): Psql {
  const env = { ...work.env, ...libpqEnvironment(connection), PGCLIENTENCODING: 'UTF8' }
  const child = start(
    program(programs, 'psql'),
    ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-f', '-'],
    { env, stdin: 'pipe', stdout: 'pipe' },
    work,
  )
  const input = child.stdin as Writable
  let said = ''
  let waiting: (() => void) | undefined
  ;(child.stdout as Readable).setEncoding('utf8').on('data', (text: string) => {
    said += text
    waiting?.()
  })
  const ended = child.exit.then((exit) => {
    throw psqlError(exit.stderr, exit.signal)
  })
  ended.catch(() => {})
  /** Settles with what psql printed up to a mark that it prints when it has come there. */
  const reached = async (): Promise<string> => {
    const mark = `holdfast-${randomBytes(12).toString('hex')}`
    input.write(`\n\\o\n\\echo ${mark}\n`)
    const arrived = new Promise<string>((resolve) => {
      waiting = () => {
        const end = said.indexOf(`${mark}\n`)
        if (end < 0) return
        const text = said.slice(0, end)
        said = said.slice(end + mark.length + 1)
        waiting = undefined
        resolve(text)
      }
      waiting()
    })
    return Promise.race([arrived, ended])
  }
  const run = async (sql: string): Promise<void> => {
    input.write(`\\o /dev/null\n${sql};\n`)
    await reached()
  }
  const feed = async (text: Readable): Promise<void> => {
    input.write('\\o /dev/null\n')
    await Promise.race([pipeline(text, keptOpen(input), { signal: work.signal }), ended])
    await reached()
  }
  const query = async <Row extends object>(
    text: string,
    values: unknown[] = [],
  ): Promise<Row[]> => {
    // only where there are values: a column may well be named "$1"
    const sql =
      values.length === 0
        ? text
        : text.replace(/\$(\d+)/g, (_, n: string) => quoteText(String(values[Number(n) - 1])))
    if (!/^\s*(SELECT|WITH)\b/i.test(sql)) {
      await run(sql)
      return []
    }
    input.write(
      `SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(q)), '[]')::pg_catalog.text FROM (${sql}\n) AS q;\n`,
    )
    return JSON.parse(await reached()) as Row[]
  }
  const session: Session = {
    connection,
    major: about.major,
    version: about.version,
    pooled: false,
    lost: ended,
    query,
    end: async () => {},
  }
  return { run, feed, session, stop: () => child.stop() }
}

/** A writable that gives all to psql's input, and does not end it. */
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
