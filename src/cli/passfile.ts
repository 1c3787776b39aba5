import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '../github/inputs/input.ts'
import type { Connection } from '../postgres/connection/connection.ts'

/**
 * The password that libpq would find for a connection that has none: PGPASSWORD, else the first
 * line of the password file that fits. Read by us, so that our own sessions and PostgreSQL's
 * programs log in alike. `warn` is told of a file that may not be used.
 */
export function passwordFor(
  connection: Connection,
  env: Env,
  warn: (text: string) => void,
): string | undefined {
  if (env['PGPASSWORD']) return env['PGPASSWORD']
  const file = env['PGPASSFILE'] || join(env['HOME'] || homedir(), '.pgpass')
  const about = statSync(file, { throwIfNoEntry: false })
  if (!about?.isFile()) return undefined
  if ((about.mode & 0o077) !== 0) {
    warn(
      `The password file ${file} is not used, as libpq would not: others may read it. Type: chmod 600 ${file}`,
    )
    return undefined
  }
  return findPassword(readFileSync(file, 'utf8'), connection)
}

/**
 * As in PostgreSQL's documentation, "The Password File": `host:port:database:user:password`, `*`
 * for any, a backslash before `:` and `\`.
 */
export function findPassword(
  text: string,
  { host, port, database, user }: Connection,
): string | undefined {
  // a socket in one of the usual folders is meant by `localhost`, too
  const hosts = /^\/(tmp|(var\/)?run\/postgresql)\/?$/.test(host) ? [host, 'localhost'] : [host]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#') || line.trim() === '') continue
    const [forHost, forPort, forDatabase, forUser, password] = fieldsOf(line)
    const fits = [
      [hosts, forHost],
      [[String(port)], forPort],
      [[database], forDatabase],
      [[user], forUser],
    ] as const
    if (
      password &&
      fits.every(
        ([wanted, field]) => field === '*' || wanted.some((one) => one === unescape(field)),
      )
    )
      return unescape(password)
  }
  return undefined
}

/** Five, still escaped; the last one may hold colons. */
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
