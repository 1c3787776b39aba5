import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../github/inputs/input.ts'
import type { Connection } from '../postgres/connection/connection.ts'

/**
 * Returns the password that libpq would use for a connection without one: PGPASSWORD, or the first
 * line of the password file that matches. Reading it here makes our own sessions and PostgreSQL's
 * programs log in with the same password. `warn` is called with a sentence if the file's
 * permissions forbid its use.
 */
export function passwordFor(
  connection: Connection,
  env: Env,
  warn: (text: string) => void,
): string | undefined {
  if (env['PGPASSWORD']) return env['PGPASSWORD']
  const file = env['PGPASSFILE'] || join(env['HOME'] || homedir(), '.pgpass')
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats?.isFile()) return undefined
  if ((stats.mode & 0o077) !== 0) {
    warn(
      `The password file ${file} is not used, because other users can read it (libpq would not ` +
        `use it either). Type: chmod 600 ${file}`,
    )
    return undefined
  }
  return findPassword(readFileSync(file, 'utf8'), connection)
}

/**
 * Returns the password of the first line that matches a connection. The format is that of "The
 * Password File" in PostgreSQL's documentation: `host:port:database:user:password`, where `*`
 * matches anything, and a backslash escapes `:` and `\`.
 */
export function findPassword(
  text: string,
  { host, port, database, user }: Connection,
): string | undefined {
  // `localhost` also matches a socket in one of the usual folders
  const hosts = /^\/(tmp|(var\/)?run\/postgresql)\/?$/.test(host) ? [host, 'localhost'] : [host]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#') || line.trim() === '') continue
    const [hostField, portField, databaseField, userField, password] = fieldsOf(line)
    const matches = [
      [hosts, hostField],
      [[String(port)], portField],
      [[database], databaseField],
      [[user], userField],
    ] as const
    if (
      password &&
      matches.every(
        ([values, field]) => field === '*' || values.some((value) => value === unescape(field)),
      )
    )
      return unescape(password)
  }
  return undefined
}

/** Returns the five fields of a line, still escaped; the last one may contain colons. */
function fieldsOf(line: string): string[] {
  const fields: string[] = []
  let rest = line
  while (fields.length < 4) {
    const field = /^(?:\\.|[^:\\])*/.exec(rest)?.[0] ?? ''
    if (rest[field.length] !== ':') return []
    fields.push(field)
    rest = rest.slice(field.length + 1)
  }
  return [...fields, rest]
}

function unescape(field = ''): string {
  return field.replace(/\\(.)/g, '$1')
}
