import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { text as readText } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import { type Exit, start } from '../stream/process.ts'
import type { Held, Work } from '../work.ts'
import { type Programs, program } from './binaries.ts'
import { type Connection, libpqEnvironment } from './connection.ts'

/** An entry of an archive's table of contents. */
export interface Entry {
  id: number
  /** For example `TABLE DATA public.orders`. */
  what: string
  /** What the server said of it. */
  error: string
}

/**
 * Restores an archive, as it streams in, into an empty database. Subscriptions are left out, since a copy of one would take the
 * changes meant for the original. The archive is always read to its end, so that its digests can be checked.
 *
 * pg_restore's own counting of "errors ignored" is not used: every error is looked at. Some can only mean that the order was wrong (a
 * CHECK whose function reads a table that comes later); these entries are given back, for another pass with `only`. Anything else throws.
 */
export async function load(
  programs: Programs,
  connection: Connection,
  archive: Readable,
  options: { tablespaces: boolean; only?: readonly number[] },
  work: Work,
): Promise<Entry[]> {
  const into = ['-d', connection.database]
  const list = options.only === undefined ? undefined : await writeList(options.only, work)
  try {
    const said = new Said()
    const child = start(
      program(programs, 'pg_restore'),
      // verbose: without it, pg_restore does not say which entry an error belongs to
      ['--verbose', '--no-subscriptions', ...(options.tablespaces ? [] : ['--no-tablespaces']), ...(list ? ['-L', list.file] : []), ...into],
      { env: { ...work.env, ...libpqEnvironment(connection) }, stdin: 'pipe', onLine: (line) => said.add(line) || void child.stop() },
      work,
    )
    const stopped = async (error: Error): Promise<never> => {
      await child.stop()
      throw error
    }
    const feed = pipeline(archive, feeding(child.stdin as Writable), { signal: work.signal }).catch(stopped)
    const [exit, fed] = await Promise.allSettled([child.exit, feed])
    work.signal.throwIfAborted()
    if (fed.status === 'rejected') throw fed.reason
    if (exit.status === 'rejected') throw exit.reason
    for (const warning of said.warnings) work.log.warning(`pg_restore: ${warning}`)
    const other = said.failed.find((entry) => !mayBeOrder(entry))
    if (other || (exit.value.code !== 0 && said.failed.length === 0)) throw whyRestoreFailed(other, endedBy(exit.value), connection)
    return said.failed
  } finally {
    await list?.remove()
  }
}

/** What pg_restore said last; or, when it was killed (by us, or for want of memory), by what. */
function endedBy({ signal, stderr }: Exit): string {
  const said = stderr.trim().split('\n').slice(-3).join(' ')
  return signal === null ? said : `terminating connection: pg_restore was ended by ${signal}. ${said}`
}

/** Why entries still do not restore after all others have. */
export function whyStillFailed(failed: readonly Entry[], connection: Connection): UserError {
  return whyRestoreFailed(failed[0], failed.map(({ error }) => error).join('\n'), connection)
}

/** The materialized views of an archive, whose rows are computed from what a later pass may add. */
export async function listMatviewData(programs: Programs, archive: Readable, work: Work): Promise<number[]> {
  const child = start(program(programs, 'pg_restore'), ['-l'], { env: { ...work.env }, stdin: 'pipe', stdout: 'pipe' }, work)
  const fed = pipeline(archive, feeding(child.stdin as Writable), { signal: work.signal })
  const [text, exit] = await Promise.all([readText(child.stdout as Readable), child.exit, fed])
  if (exit.code !== 0) throw new UserError('restore-failed', `pg_restore cannot list the archive: ${exit.stderr.trim()}`, 'Use another backup.')
  return [...text.matchAll(/^(\d+);.* MATERIALIZED VIEW DATA /gm)].map(([, id]) => Number(id))
}

/** Passes everything on while the program reads, and the rest to nowhere: a program that has what it wants may stop reading. */
function feeding(stdin: Writable): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (stdin.destroyed || stdin.writableEnded) return done()
      if (stdin.write(chunk)) return done()
      const go = (): void => {
        stdin.off('drain', go).off('close', go)
        done()
      }
      stdin.on('drain', go).on('close', go)
    },
    final(done) {
      stdin.end()
      done()
    },
    destroy(error, done) {
      if (error) stdin.destroy()
      done(error)
    },
  })
}

async function writeList(ids: readonly number[], work: Work): Promise<{ file: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(work.temporary, 'holdfast-list-'))
  const held: Held = { kind: 'folder', directory }
  work.hold(held)
  const file = join(directory, 'list')
  await writeFile(file, ids.map((id) => `${id};\n`).join(''))
  return {
    file,
    async remove() {
      await rm(directory, { recursive: true, force: true })
      work.release(held)
    },
  }
}

/** What pg_restore said that matters, line by line: it names the entry first, once for all errors of it that follow each other. */
class Said {
  readonly failed: Entry[] = []
  readonly warnings: string[] = []
  #current = { id: -1, what: 'the archive' }

  /** False when the line is an error that no other pass would mend: no use in going on. */
  add(line: string): boolean {
    const named = /^pg_restore: from TOC entry (\d+); \d+ \d+ (.*)$/.exec(line)
    if (named) this.#current = { id: Number(named[1]), what: named[2] ?? '' }
    const warning = /^pg_restore: warning: (.*)$/.exec(line)?.[1]
    if (warning !== undefined && !warning.startsWith('errors ignored on restore')) this.warnings.push(warning)
    const error = /^pg_restore: error: (.*)$/.exec(line)?.[1]
    if (error === undefined) return true
    const entry = { ...this.#current, error }
    this.failed.push(entry)
    return mayBeOrder(entry)
  }
}

/** Rows that a CHECK refused, and what rests on rows that are not there yet. Rows are loaded whole or not at all, so another pass adds none twice. */
function mayBeOrder({ what, error }: Entry): boolean {
  if (/^TABLE DATA /.test(what)) return /violates check constraint|value for domain .* violates/.test(error)
  if (/^FK CONSTRAINT /.test(what)) return /violates foreign key constraint/.test(error)
  return false
}

function whyRestoreFailed(entry: Entry | undefined, stderr: string, connection: Connection): UserError {
  const text = entry?.error ?? stderr.trim()
  const what = entry ? `${entry.error} (at ${entry.what})` : text.replace(/^pg_restore: error: /, '')
  if (/FATAL:|server closed the connection|terminating connection|connection to server .* failed|too many clients|out of shared memory|out of memory|shared_preload_libraries|SSL connection has been closed/i.test(text))
    return new UserError('server-failed', `The server that was restored into failed: ${what}`, 'This says nothing against the backup. Look into that server’s log (memory, connections, shared_preload_libraries), and run this again.')
  const extension = /extension "([^"]+)" is not available/.exec(text)?.[1] ?? /extension\/([\w-]+)\.control/.exec(text)?.[1]
  if (extension) return new UserError('extension-missing', `The server lacks the extension "${extension}", which the backup needs: ${what}`, `This says nothing against the backup. Install the package that has it (on Debian and Ubuntu: apt-cache search postgresql | grep ${extension}), or give a scratch-url whose image has it.`)
  const role = /role "([^"]+)" does not exist/.exec(text)?.[1]
  if (role) return new UserError('role-missing', `The server lacks the role "${role}", which the backup names: ${what}`, `Create it first: CREATE ROLE "${role}" NOLOGIN;`)
  if (/permission denied|must be (owner|superuser|able|member)/.test(text)) return new UserError('no-permission', `"${connection.user}" may not restore this: ${what}`, 'Restore as a superuser, or as the role that the provider gives for it.')
  if (/No space left on device|could not extend file/.test(text)) return new UserError('disk-full', `The server's disk is full: ${what}`, 'Give it more space; nothing was replaced.')
  if (/locale|collation .* does not exist/.test(text)) return new UserError('locale-missing', `The server lacks a locale: ${what}`, 'Generate it (locale-gen), or restore on a server that has it.')
  return new UserError('restore-failed', `pg_restore failed: ${what}`, 'The backup does not restore as it is, into an empty database by its own pg_restore; the line above names what stands in the way.')
}

/** Reads an archive to its end without restoring it: `pg_restore -l` reads only its head, and is content with half an archive. */
export async function checkArchive(programs: Programs, archive: Readable, work: Work): Promise<void> {
  const child = start(program(programs, 'pg_restore'), ['-f', '/dev/null'], { env: { ...work.env }, stdin: 'pipe' }, work)
  const fed = pipeline(archive, child.stdin as NodeJS.WritableStream, { signal: work.signal })
  const [flowed, exit] = await Promise.allSettled([fed, child.exit])
  work.signal.throwIfAborted()
  if (exit.status === 'rejected') throw exit.reason
  if (exit.value.code !== 0) throw new UserError('restore-failed', `pg_restore cannot read the archive: ${exit.value.stderr.trim()}`, 'Use another backup.')
  if (flowed.status === 'rejected') throw flowed.reason
}
