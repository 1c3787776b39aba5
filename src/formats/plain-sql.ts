import { Transform } from 'node:stream'
import { UserError } from '../errors.ts'

/** What is to be known of a plain dump before a server sees it, gathered line by line. */
export interface DumpFacts {
  /** Versions as pg_dump wrote them: of the server, and its own. */
  server?: string
  client?: string
  /** Owners, grantees and the like, but for those that every server has. */
  roles: Set<string>
  extensions: Set<string>
  /** It makes some: copies of them would reach out to where the originals do. */
  subscriptions: boolean
  /** pg_dump's last line is there. */
  complete: boolean
}

export function emptyDumpFacts(): DumpFacts {
  return { roles: new Set(), extensions: new Set(), subscriptions: false, complete: false }
}

/**
 * A stage that reads a plain dump and passes it on with all lines taken out that concern the
 * database itself (CREATE DATABASE, \\connect: it goes into another one) or psql (\\restrict).
 * Fails with a UserError `file-refused` at any other backslash command outside of COPY's rows,
 * strings, comments and function bodies: psql would run it on this machine. No line is passed on
 * before it was looked at. `forPsql`: it is psql that will read it, so what would change how psql
 * tells strings from commands is refused, too.
 */
export function plainSqlReader(seen: DumpFacts, { forPsql = true } = {}): Transform {
  let rest: Buffer[] = []
  let copying = false
  let inside: Inside = undefined
  let statement = ''
  const take = (line: Buffer): Buffer | undefined => {
    if (copying) {
      if (line.length <= 4 && line.toString('latin1').trim() === '\\.') copying = false
      return line
    }
    const text = line.toString('latin1').replace(/\r?\n$/, '')
    if (inside === undefined && statement.trim() === '') {
      if (
        /^\\(connect|restrict|unrestrict)\b/.test(text) ||
        /^(CREATE|DROP|ALTER) DATABASE .*;$|^COMMENT ON DATABASE .*;$|^(GRANT|REVOKE) .* ON DATABASE .*;$/.test(
          text,
        )
      )
        return undefined
      if (text.startsWith('--')) noteComment(text, seen)
    }
    if (forPsql && changesStrings(text))
      throw new UserError(
        'file-refused',
        `The dump names standard_conforming_strings: ${text.slice(0, 60)}`,
        'With it off, strings cannot be told from commands for psql, so only pg_dump’s own line, which puts it on, is taken. Dump that database as a custom archive (pg_dump -Fc).',
      )
    const end = scan(text, inside)
    if (end.backslash)
      throw new UserError(
        'file-refused',
        `The dump has a command for psql itself: ${text.slice(0, 60)}`,
        'psql would run it on this machine, so it is not given to psql. Such lines are none of pg_dump’s: ask whoever made the file.',
      )
    inside = end.inside
    statement += `${end.code} `
    if (inside === undefined && /;\s*$/.test(end.code)) {
      noteStatement(statement.trim(), line.toString('utf8'), seen)
      // one statement alone: after two in a line, psql may read no rows where we would
      copying = /^COPY [^;]* FROM stdin( WITH [^;]*| \([^;]*)?;$/i.test(statement.trim())
      statement = ''
    }
    return line
  }
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      try {
        let from = 0
        for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, from)) {
          const line = take(Buffer.concat([...rest, piece.subarray(from, at + 1)]))
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
        const line = rest.length ? take(Buffer.concat(rest)) : undefined
        done(null, line)
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

/** What a line begins in: a quoted thing by its closing mark, or comments by their depth. */
type Inside = { until: string; escapes: boolean } | { comment: number } | undefined

/**
 * Goes through one line as psql's own reader would. `code`: what stands outside of quotes and
 * comments.
 */
function scan(line: string, begin: Inside): { inside: Inside; code: string; backslash: boolean } {
  let inside = begin
  let code = ''
  let at = 0
  const next = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(line)
    at = found ? pattern.lastIndex : line.length
    return found?.[0]
  }
  while (at < line.length) {
    if (inside && 'comment' in inside) {
      const mark = next(/\*\/|\/\*/g)
      if (mark === '/*') inside = { comment: inside.comment + 1 }
      else if (mark === '*/')
        inside = inside.comment > 1 ? { comment: inside.comment - 1 } : undefined
    } else if (inside?.escapes) {
      if (next(/\\.|''|'/gs) === "'") inside = undefined
    } else if (inside) {
      const end = line.indexOf(inside.until, at)
      at = end < 0 ? line.length : end + inside.until.length
      if (end >= 0) inside = undefined
    } else {
      const [found = ''] = token.exec(((token.lastIndex = at), line)) ?? []
      const before = line.slice(Math.max(0, at - 2), at)
      at += found.length
      if (found === '--') {
        // a carriage return ends a comment, for psql as for the server
        const end = line.indexOf('\r', at)
        at = end < 0 ? line.length : end
        continue
      }
      if (found === '\\') return { inside, code, backslash: true }
      if (found === '/*') inside = { comment: 1 }
      else if (found === "'" || found === '"')
        inside = { until: found, escapes: found === "'" && /(^|[^\w$\x80-\xff])[eE]$/.test(before) }
      else if (found.length > 1 && found.startsWith('$') && !/[\w$\x80-\xff]$/.test(before))
        inside = { until: found, escapes: false }
      else if (found.length > 1 && found.startsWith('$')) at -= found.length - 1 // no quote within a name
      code += found.startsWith('$') || found === '/*' ? ' ' : found
    }
  }
  return { inside, code, backslash: false }
}

const token = /[^'"\\$/-]+|--|\/\*|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$|[^]/y

/**
 * Names the setting that says what a backslash in a string is, in whatever way, but for pg_dump's
 * own line and in a comment.
 */
function changesStrings(line: string): boolean {
  return (
    /standard_conforming_strings/i.test(line) &&
    line !== 'SET standard_conforming_strings = on;' &&
    !/^--[^\r]*$/.test(line)
  )
}

function noteComment(text: string, seen: DumpFacts): void {
  const server = /^-- Dumped from database version (\d+(?:\.\d+)?)/.exec(text)?.[1]
  const client = /^-- Dumped by pg_dump version (\d+(?:\.\d+)?)/.exec(text)?.[1]
  if (server !== undefined) seen.server ??= server
  if (client !== undefined) seen.client ??= client
  if (text === '-- PostgreSQL database dump complete') seen.complete = true
}

const one = '(?:"(?:[^"]|"")+"|[\\w$\\x80-\\uffff]+)'
const name = `(${one})`
const named = [
  new RegExp(` OWNER TO ${name};`),
  new RegExp(
    `^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) ${name}(?: WITH GRANT OPTION)?(?: GRANTED BY .*)?;`,
  ),
  new RegExp(`^ALTER DEFAULT PRIVILEGES FOR ROLE ${name}`),
  new RegExp(`^CREATE POLICY .* TO (${one}(?:, ${one})*)`),
  new RegExp(`^CREATE USER MAPPING FOR ${name}`),
]

const extended = new RegExp(`^CREATE EXTENSION (?:IF NOT EXISTS )?${name}`)

function bareName(written: string): string {
  return written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written
}

/**
 * `code` is the whole statement without what is quoted, `last` its last line as it stands. pg_dump
 * writes those that name roles on one line.
 */
function noteStatement(code: string, last: string, seen: DumpFacts): void {
  if (code.startsWith('CREATE SUBSCRIPTION ')) seen.subscriptions = true
  const extension = extended.exec(last)?.[1]
  if (extension !== undefined && extension !== 'plpgsql') seen.extensions.add(bareName(extension))
  for (const pattern of named) {
    for (const [role] of (pattern.exec(last)?.[1] ?? '').matchAll(new RegExp(one, 'g'))) {
      const bare = bareName(role)
      if (!/^(pg_.*|PUBLIC|CURRENT_USER|SESSION_USER)$/.test(bare)) seen.roles.add(bare)
    }
  }
}
