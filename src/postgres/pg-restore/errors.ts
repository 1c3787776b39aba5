import { UserError } from '../../errors.ts'
import type { Exit } from '../../stream/process.ts'
import type { Connection } from '../connection/connection.ts'
import { howToInstall } from '../programs/packages.ts'

/** An entry of an archive's table of contents that did not restore. */
export interface FailedEntry {
  id: number
  /** For example `TABLE DATA public.orders`. */
  what: string
  /** What the server said of it. */
  error: string
}

/**
 * What one pg_restore said that matters, line by line: run verbosely, it names the entry first,
 * once for all errors of it that follow each other. Only for a pg_restore that works on one
 * connection: with `-j`, the lines of its workers mix.
 */
export class PgRestoreLog {
  readonly failed: FailedEntry[] = []
  readonly warnings: string[] = []
  /** How many errors pg_restore itself counted: it says so at its end, and so has come there. */
  ignored = 0
  #current = { id: -1, what: 'the archive' }

  /** False when the line is an error that no other pass would mend: no use in going on. */
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

const serverFailed =
  /FATAL:|server closed the connection|terminating connection|connection to server .* failed|too many clients|out of shared memory|out of memory|shared_preload_libraries|SSL connection has been closed|deadlock detected/i
const notAllowed = /permission denied|must be (owner|superuser|able|member)/
const diskFull = /No space left on device|could not extend file/

/**
 * Whether an entry may have failed only because others were not there yet: rows that a CHECK or a
 * domain refuses since its function reads another table; a materialized view whose function reads
 * another one. Rows are loaded whole or not at all, and a view is computed anew, so another pass
 * adds nothing twice.
 */
export function mayPassOnRetry({ what, error }: FailedEntry): boolean {
  if (!/^TABLE DATA /.test(what) && !/^MATERIALIZED VIEW DATA /.test(what)) return false
  return (
    /\bERROR: /.test(error) &&
    ![serverFailed, notAllowed, diskFull].some((pattern) => pattern.test(error))
  )
}

/** What a pg_restore said last; or, when it was killed (by us, or for want of memory), by what. */
export function exitMessage({ signal, stderr }: Exit): string {
  const said = stderr.trim().split('\n').slice(-3).join(' ')
  return signal === null
    ? said
    : `terminating connection: pg_restore was ended by ${signal}. ${said}`
}

/**
 * What the workers of a `pg_restore -j` (not verbose, stopped at its first error) said. The prefix
 * of a line may stand in the middle of another's; an error and its statement are written at once.
 */
export function parallelExitMessage({ signal, stderr }: Exit): string {
  const [, error, command] =
    /could not execute query: (ERROR: [^\n]*)(?:\n(?!Command was)[^\n]*)*(?:\nCommand was: ([^\n]*(?:\n +[^\n]*)?))?/.exec(
      stderr,
    ) ?? []
  if (error === undefined) return exitMessage({ signal, stderr: stderr.trim(), code: null })
  const statement = command?.replace(/\s+/g, ' ').slice(0, 160)
  return `could not execute query: ${error}${statement ? ` (at ${statement})` : ''}`
}

/** Why entries still do not restore after all others have. */
export function failedEntriesError(
  failed: readonly FailedEntry[],
  connection: Connection,
): UserError {
  return restoreError(failed[0], failed.map(({ error }) => error).join('\n'), connection)
}

export function restoreError(
  entry: FailedEntry | undefined,
  stderr: string,
  connection: Connection,
): UserError {
  const text = entry?.error ?? stderr.trim()
  const what = entry
    ? `${entry.error} (at ${entry.what})`
    : text.replace(/^pg_restore: error: /, '')
  if (serverFailed.test(text))
    return new UserError(
      'server-failed',
      `The server that was restored into failed: ${what}`,
      'This says nothing against the backup. Look into that server’s log (memory, connections, shared_preload_libraries), and run this again.',
    )
  const extension =
    /extension "([^"]+)" is not available/.exec(text)?.[1] ??
    /extension\/([\w-]+)\.control/.exec(text)?.[1]
  if (extension) {
    const major = /\/(\d\d)\/extension\//.exec(text)?.[1]
    return new UserError(
      'extension-missing',
      `The server lacks the extension "${extension}", which the backup needs: ${what}`,
      `This says nothing against the backup. ${howToInstall([extension], major === undefined ? undefined : Number(major))} Or give a server whose image has it.`,
    )
  }
  const refused = /^EXTENSION (\S+)/.exec(entry?.what ?? '')?.[1]
  if (
    refused !== undefined &&
    /can only create extension in database|unrecognized configuration parameter/.test(text)
  )
    return new UserError(
      'extension-refused',
      `The server does not take the extension "${refused}" into this database: ${what}`,
      'This says nothing against the backup. The extension must be loaded at the start of the server (shared_preload_libraries), and one like pg_cron can be in one database only: leave scratch-url out, so that a server of our own is started for it; or restore with mode: in-place.',
    )
  const role = /role "([^"]+)" does not exist/.exec(text)?.[1]
  if (role)
    return new UserError(
      'role-missing',
      `The server lacks the role "${role}", which the backup names: ${what}`,
      `Create it first: CREATE ROLE "${role}" NOLOGIN;`,
    )
  if (notAllowed.test(text))
    return new UserError(
      'no-permission',
      `"${connection.user}" may not restore this: ${what}`,
      'Restore as a superuser, or as the role that the provider gives for it.',
    )
  if (diskFull.test(text))
    return new UserError(
      'disk-full',
      `The server's disk is full: ${what}`,
      'Give it more space; nothing was replaced.',
    )
  if (
    /invalid locale name|could not create locale|collation ".*" for encoding ".*" does not exist|could not open collator/.test(
      text,
    )
  )
    return new UserError(
      'locale-missing',
      `The server lacks a locale: ${what}`,
      'Generate it (locale-gen), or restore on a server that has it.',
    )
  return new UserError(
    'restore-failed',
    `pg_restore failed: ${what}`,
    'The backup does not restore as it is, into an empty database by its own pg_restore; the line above names what stands in the way.',
  )
}
