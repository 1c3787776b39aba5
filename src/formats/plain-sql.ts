import { Transform } from 'node:stream'
import { UserError } from '../errors.ts'
import { inCode, lexLine, type LexerState } from './plain-sql-lexer.ts'

/** What a plain dump says of itself: its versions, and what a server needs to take it. */
export interface DumpFacts {
  /** The server's version, as pg_dump wrote it. */
  server?: string
  /** The version of pg_dump. */
  client?: string
  /** Owners, grantees and roles of policies, without those that every server has. */
  roles: Set<string>
  extensions: Set<string>
  /** Whether it creates subscriptions, which would connect to the original's publishers. */
  subscriptions: boolean
  /** Whether pg_dump's last line is there. */
  complete: boolean
}

export function emptyDumpFacts(): DumpFacts {
  return { roles: new Set(), extensions: new Set(), subscriptions: false, complete: false }
}

/**
 * Returns a stage that inspects a plain dump and passes it on, line by line, each line after its
 * inspection. It fills `facts` and leaves out lines about the database itself (CREATE DATABASE,
 * `\connect`: the dump goes into another one) and `\restrict`.
 *
 * Fails with `file-refused` at any other backslash command outside COPY rows, strings, comments and
 * function bodies, because psql would run it on this machine. With `forPsql`, it also refuses
 * statements that change how psql tells strings from commands.
 */
export function plainSqlReader(facts: DumpFacts, { forPsql = true } = {}): Transform {
  const inspector = new LineInspector(facts, forPsql)
  let rest: Buffer[] = []
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      try {
        let from = 0
        for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, from)) {
          const line = inspector.inspect(Buffer.concat([...rest, piece.subarray(from, at + 1)]))
          if (line) this.push(line)
          rest = []
          from = at + 1
        }
        if (from < piece.length) rest.push(Buffer.from(piece.subarray(from)))
        done()
      } catch (error) {
        done(error as Error)
      }
    },
    flush(done) {
      try {
        const line = rest.length ? inspector.inspect(Buffer.concat(rest)) : undefined
        done(null, line)
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

const aboutDatabase = new RegExp(
  [
    '^\\\\(connect|restrict|unrestrict)\\b',
    '^(CREATE|DROP|ALTER) DATABASE .*;$',
    '^COMMENT ON DATABASE .*;$',
    '^(GRANT|REVOKE) .* ON DATABASE .*;$',
  ].join('|'),
)

/** Follows a dump's statements and COPY rows from line to line. */
class LineInspector {
  readonly #facts: DumpFacts
  readonly #forPsql: boolean
  #inCopyRows = false
  #state: LexerState = inCode
  #statement = ''

  constructor(facts: DumpFacts, forPsql: boolean) {
    this.#facts = facts
    this.#forPsql = forPsql
  }

  /** Returns the line if it may be passed on. Throws `file-refused`. */
  inspect(line: Buffer): Buffer | undefined {
    if (this.#inCopyRows) {
      if (line.length <= 4 && line.toString('latin1').trim() === '\\.') this.#inCopyRows = false
      return line
    }
    const text = line.toString('latin1').replace(/\r?\n$/, '')
    if (this.#state.kind === 'code' && this.#statement.trim() === '') {
      if (aboutDatabase.test(text)) return undefined
      if (text.startsWith('--')) noteComment(text, this.#facts)
    }
    if (this.#forPsql && changesStringSyntax(text))
      throw new UserError(
        'file-refused',
        `The dump names standard_conforming_strings: ${text.slice(0, 60)}`,
        'If it is off, psql cannot tell strings from commands. Only pg_dump’s own line, which ' +
          'turns it on, is accepted. Dump that database as a custom archive (pg_dump -Fc).',
      )
    const { state, code, psqlCommand } = lexLine(text, this.#state)
    if (psqlCommand)
      throw new UserError(
        'file-refused',
        `The dump has a command for psql itself: ${text.slice(0, 60)}`,
        'psql would run it on this machine. pg_dump writes no such lines: ask the person who ' +
          'made the file.',
      )
    this.#state = state
    this.#statement += `${code} `
    if (state.kind === 'code' && /;\s*$/.test(code)) this.#endStatement(line)
    return line
  }

  #endStatement(line: Buffer): void {
    const statement = this.#statement.trim()
    noteStatement(statement, line.toString('utf8'), this.#facts)
    // only for a statement alone on its line: after two, psql might not read rows where we would
    this.#inCopyRows = /^COPY [^;]* FROM stdin( WITH [^;]*| \([^;]*)?;$/i.test(statement)
    this.#statement = ''
  }
}

/**
 * Whether a line names the setting that decides what a backslash in a string means. pg_dump's own
 * line and comments do not count.
 */
function changesStringSyntax(line: string): boolean {
  return (
    /standard_conforming_strings/i.test(line) &&
    line !== 'SET standard_conforming_strings = on;' &&
    !/^--[^\r]*$/.test(line)
  )
}

function noteComment(text: string, facts: DumpFacts): void {
  const server = /^-- Dumped from database version (\d+(?:\.\d+|(?:beta|rc)\d+)?)/.exec(text)?.[1]
  const client = /^-- Dumped by pg_dump version (\d+(?:\.\d+|(?:beta|rc)\d+)?)/.exec(text)?.[1]
  if (server !== undefined) facts.server ??= server
  if (client !== undefined) facts.client ??= client
  if (text === '-- PostgreSQL database dump complete') facts.complete = true
}

const identifier = '(?:"(?:[^"]|"")+"|[\\w$\\x80-\\uffff]+)'
const roleClauses = [
  ` OWNER TO (${identifier});`,
  '^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) ' +
    `(${identifier})(?: WITH GRANT OPTION)?(?: GRANTED BY .*)?;`,
  `^ALTER DEFAULT PRIVILEGES FOR ROLE (${identifier})`,
  `^CREATE POLICY .* TO (${identifier}(?:, ${identifier})*)`,
  `^CREATE USER MAPPING FOR (${identifier})`,
].map((pattern) => new RegExp(pattern))
const createExtension = new RegExp(`^CREATE EXTENSION (?:IF NOT EXISTS )?(${identifier})`)

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}

/**
 * Notes the roles and extensions that a statement names. `code` is the statement without what is
 * quoted, `lastLine` its last line as it stands. pg_dump writes those that name roles on one line.
 */
function noteStatement(code: string, lastLine: string, facts: DumpFacts): void {
  if (code.startsWith('CREATE SUBSCRIPTION ')) facts.subscriptions = true
  const extension = createExtension.exec(lastLine)?.[1]
  if (extension !== undefined && extension !== 'plpgsql') facts.extensions.add(unquote(extension))
  for (const clause of roleClauses) {
    for (const [name] of (clause.exec(lastLine)?.[1] ?? '').matchAll(new RegExp(identifier, 'g'))) {
      const role = unquote(name)
      if (!/^(pg_.*|PUBLIC|CURRENT_USER|SESSION_USER)$/.test(role)) facts.roles.add(role)
    }
  }
}
