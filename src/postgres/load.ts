import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import { start } from '../stream/process.ts'
import type { Work } from '../work.ts'
import { type Programs, program } from './binaries.ts'
import { type Connection, libpqEnvironment } from './connection.ts'

/**
 * Restores an archive, as it streams in, into an empty database. Every error ends it: pg_restore's own counting of "errors
 * ignored" is not used. Subscriptions are left out, since a copy of one would take the changes meant for the original.
 * Settles when pg_restore has exited with 0; the archive's own failure (damage, a wrong key) goes before pg_restore's complaint of it.
 */
export async function load(programs: Programs, connection: Connection, archive: Readable, options: { tablespaces: boolean }, work: Work): Promise<void> {
  const child = start(
    program(programs, 'pg_restore'),
    ['--exit-on-error', '--no-subscriptions', ...(options.tablespaces ? [] : ['--no-tablespaces']), '-d', connection.database],
    { env: { ...work.env, ...libpqEnvironment(connection) }, stdin: 'pipe' },
    work,
  )
  let broken: Error | undefined
  const fed = pipeline(archive, child.stdin as NodeJS.WritableStream, { signal: work.signal }).catch(async (error: Error) => {
    broken = error
    if (!isEarlyClose(error)) await child.stop()
  })
  const exit = await child.exit
  await fed
  work.signal.throwIfAborted()
  if (broken && !isEarlyClose(broken)) throw broken
  if (exit.code !== 0) throw whyRestoreFailed(exit.stderr, connection)
  if (broken) throw broken
  if (exit.stderr.trim()) work.log.warning(`pg_restore: ${exit.stderr.trim()}`)
}

/** pg_restore went away before it had read everything: its own words say why. */
function isEarlyClose(error: Error): boolean {
  const { code } = error as { code?: string }
  return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED'
}

function whyRestoreFailed(stderr: string, connection: Connection): UserError {
  const text = stderr.trim()
  const first = text.split('\n').find((line) => /error:/.test(line)) ?? text
  const where = /from TOC entry [^;]*; \d+ \d+ (.*)/.exec(text)?.[1]
  const what = `${first.replace(/^pg_restore: error: /, '')}${where ? ` (at ${where})` : ''}`
  const extension = /extension "([^"]+)" is not available/.exec(text)?.[1] ?? /extension\/([\w-]+)\.control/.exec(text)?.[1]
  if (extension) return new UserError('extension-missing', `The server lacks the extension "${extension}", which the backup needs: ${what}`, `This says nothing against the backup. Install the package that has it (on Debian and Ubuntu: apt-cache search postgresql | grep ${extension}), or give a scratch-url whose image has it.`)
  const role = /role "([^"]+)" does not exist/.exec(text)?.[1]
  if (role) return new UserError('role-missing', `The server lacks the role "${role}", which the backup names: ${what}`, `Create it first: CREATE ROLE "${role}" NOLOGIN;`)
  if (/permission denied|must be (owner|superuser|able)/.test(text)) return new UserError('no-permission', `"${connection.user}" may not restore this: ${what}`, 'Restore as a superuser, or as the role that the provider gives for it.')
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
