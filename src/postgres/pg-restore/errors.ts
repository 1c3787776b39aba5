import { sqlIdentifier } from '../../escape.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { UserError } from '../../errors.ts'
import type { Exit } from '../../stream/process.ts'
import { input, join, type Text, text } from '../../text.ts'
import type { Connection } from '../connection/connection.ts'
import { howToInstall } from '../programs/packages.ts'

/** An entry of an archive's table of contents that did not restore. */
export interface FailedEntry {
  id: number
  /** For example `TABLE DATA public.orders`. */
  what: string
  /** The server's message. */
  error: string
}

/**
 * Collects the errors and warnings of one `pg_restore --verbose`, line by line. It names an entry
 * once, before all errors of that entry. Only for a pg_restore on one connection: with `-j`, the
 * lines of its workers mix.
 */
export class PgRestoreLog {
  readonly failed: FailedEntry[] = []
  readonly warnings: string[] = []
  /** The number of errors that pg_restore counted. It prints it last, so 0 may mean "not ended". */
  ignored = 0
  #current = { id: -1, what: 'the archive' }

  /** Returns false if the line is an error that another pass cannot fix. */
  add(line: string): boolean {
    const named = /^pg_restore: from TOC entry (\d+); \d+ \d+ (.*)$/.exec(line)
    if (named) this.#current = { id: Number(named[1]), what: named[2] ?? '' }
    const warning = /^pg_restore: warning: (.*)$/.exec(line)?.[1]
    const ignored = /^errors ignored on restore: (\d+)$/.exec(warning ?? '')?.[1]
    if (ignored !== undefined) this.ignored = Number(ignored)
    else if (warning !== undefined) this.warnings.push(warning)
    const error = /^pg_restore: error: (.*)$/.exec(line)?.[1]
    if (error === undefined) return true
    const entry = { ...this.#current, error }
    this.failed.push(entry)
    return mayPassOnRetry(entry)
  }
}

const serverFailed = new RegExp(
  [
    'FATAL:',
    '^pg_restore was ended by SIG',
    'server closed the connection',
    'terminating connection',
    'connection to server .* failed',
    'too many clients',
    'out of shared memory',
    'out of memory',
    'shared_preload_libraries',
    'SSL connection has been closed',
    'deadlock detected',
  ].join('|'),
  'i',
)
const notAllowed = /permission denied|must be (owner|superuser|able|member)/
const diskFull = /No space left on device|could not extend file/
const localeMissing = new RegExp(
  [
    'invalid locale name',
    'could not create locale',
    'collation ".*" for encoding ".*" does not exist',
    'could not open collator',
  ].join('|'),
)

/**
 * Whether an entry may have failed only because others were not restored yet: rows that a CHECK or
 * a domain refuses because its function reads another table, or a materialized view whose function
 * does. Rows load all or none, and a view is recomputed, so another pass adds nothing twice.
 */
export function mayPassOnRetry({ what, error }: FailedEntry): boolean {
  if (!/^TABLE DATA /.test(what) && !/^MATERIALIZED VIEW DATA /.test(what)) return false
  return (
    /\bERROR: /.test(error) &&
    ![serverFailed, notAllowed, diskFull].some((pattern) => pattern.test(error))
  )
}

/** Returns the last lines of a pg_restore, with the signal if one ended it. */
export function exitMessage({ signal, stderr }: Exit): string {
  const lines = stderr.trim().split('\n').slice(-3).join(' ')
  return signal === null ? lines : `pg_restore was ended by ${signal}. ${lines}`
}

const workerError = new RegExp(
  'could not execute query: (ERROR: [^\\n]*)(?:\\n(?!Command was)[^\\n]*)*' +
    '(?:\\nCommand was: ([^\\n]*(?:\\n +[^\\n]*)?))?',
)

/**
 * Returns the error of a `pg_restore -j` that stopped at its first one (not verbose). A line's
 * prefix may be in the middle of another line, but an error and its statement are written at once.
 */
export function parallelExitMessage({ signal, stderr }: Exit): string {
  const [, error, command] = workerError.exec(stderr) ?? []
  if (error === undefined) return exitMessage({ signal, stderr: stderr.trim(), code: null })
  const statement = command?.replace(/\s+/g, ' ').slice(0, 160)
  return `could not execute query: ${error}${statement ? ` (at ${statement})` : ''}`
}

/** The error if entries still fail after all others were restored. */
export function failedEntriesError(
  failed: readonly FailedEntry[],
  connection: Connection,
): UserError {
  return restoreError(failed[0], failed.map(({ error }) => error).join('\n'), connection)
}

/** The error if pg_restore cannot read an archive. `detail` is its message. */
export function unreadableArchiveError(detail: string): UserError {
  return new UserError(
    'restore-failed',
    `pg_restore cannot read the archive: ${detail}`,
    'Use another backup.',
  )
}

/** A failed pg_restore: its message, and for the report the message with the entry's name. */
interface Failure {
  message: string
  described: string
  entry: FailedEntry | undefined
  connection: Connection
}

interface Cause {
  code: ErrorCode
  pattern: RegExp
  /** Only for entries of this kind; its first group is the entry's name. */
  entry?: RegExp
  message(failure: Failure, name: string): string
  hint(failure: Failure, name: string): Text
}

/** The causes that pg_restore's messages show. The first one that matches counts. */
const causes: readonly Cause[] = [
  {
    code: 'server-failed',
    pattern: serverFailed,
    message: ({ described }) => `The server that was restored into failed: ${described}`,
    hint: () =>
      'The backup is not at fault. Check that server’s log (memory, connections, ' +
      'shared_preload_libraries), and run this again.',
  },
  {
    code: 'extension-missing',
    pattern: /extension "([^"]+)" is not available|extension\/([\w-]+)\.control/,
    message: ({ described }, name) =>
      `The server lacks the extension "${name}", which the backup needs: ${described}`,
    hint: ({ message }, name) => {
      const major = /\/(\d\d)\/extension\//.exec(message)?.[1]
      const install = howToInstall([name], major === undefined ? undefined : Number(major))
      return `The backup is not at fault. ${install} ` + 'Or use a server whose image includes it.'
    },
  },
  {
    code: 'extension-refused',
    pattern: /can only create extension in database|unrecognized configuration parameter/,
    entry: /^EXTENSION (\S+)/,
    message: ({ described }, name) =>
      `The server refuses the extension "${name}" in this database: ${described}`,
    hint: () =>
      join(
        [
          'The backup is not at fault. The extension must be loaded when the server',
          'starts (shared_preload_libraries); one like pg_cron can be in one database only.',
          text`Leave out ${input('scratch-url')}, so that this run starts a server for it,`,
          text`or restore with ${input('mode', 'in-place')}.`,
        ],
        ' ',
      ),
  },
  {
    code: 'role-missing',
    pattern: /role "(.+?)" does not exist/,
    message: ({ described }, name) =>
      `The server lacks the role "${name}", which the backup names: ${described}`,
    hint: (_, name) => `Create it first: CREATE ROLE ${sqlIdentifier(name)} NOLOGIN;`,
  },
  {
    code: 'no-permission',
    pattern: notAllowed,
    message: ({ described, connection }) =>
      `"${connection.user}" may not restore this: ${described}`,
    hint: () => 'Restore as a superuser, or as the role that your provider names for restores.',
  },
  {
    code: 'disk-full',
    pattern: diskFull,
    message: ({ described }) => `The server's disk is full: ${described}`,
    hint: () => 'Give it more space. Nothing was replaced.',
  },
  {
    code: 'locale-missing',
    pattern: localeMissing,
    message: ({ described }) => `The server lacks a locale: ${described}`,
    hint: () => 'Generate it (locale-gen), or restore on a server that has it.',
  },
]

/**
 * Returns the UserError for a failed pg_restore: for one entry, or from all it printed (`stderr`).
 */
export function restoreError(
  entry: FailedEntry | undefined,
  stderr: string,
  connection: Connection,
): UserError {
  const message = entry?.error ?? stderr.trim()
  const described = entry
    ? `${entry.error} (at ${entry.what})`
    : message.replace(/^pg_restore: error: /, '')
  const failure = { message, described, entry, connection }
  for (const cause of causes) {
    const named = cause.pattern.exec(message)
    const kind = cause.entry?.exec(entry?.what ?? '')
    if (!named || (cause.entry && !kind)) continue
    const name = kind?.[1] ?? named[1] ?? named[2] ?? ''
    return new UserError(cause.code, cause.message(failure, name), cause.hint(failure, name))
  }
  return new UserError(
    'restore-failed',
    `pg_restore failed: ${described}`,
    'The backup does not restore into an empty database with its own pg_restore. The message ' +
      'names the statement that failed.',
  )
}
