import { once } from 'node:events'
import { Transform, type Readable } from 'node:stream'
import { UserError } from '../errors.ts'
import { type Child, start } from '../stream/process.ts'
import type { Work } from '../work.ts'
import { type Programs, program } from './binaries.ts'
import { type Connection, dumpEnvironment } from './connection.ts'
import { encodingArguments } from './schema.ts'
import { Drift, lockWait } from './snapshot.ts'

/** One pg_dump that holds its locks and waits to be read. */
export interface Dump {
  /** True when pg_dump compresses by itself; otherwise the archive's data is to be compressed by us. */
  readonly compressed: boolean
  /**
   * The archive. It ends only after pg_dump has exited with 0; otherwise it fails, so that whoever stores it
   * never takes half a dump for a whole one.
   */
  readonly archive: Readable
  /** What pg_dump warned of, once the archive has ended. */
  warnings(): string[]
  stop(): Promise<void>
}

/**
 * Starts `pg_dump -Fc` on a snapshot. Settles when the archive's first byte is there: pg_dump writes none before it holds its locks
 * (seen on 15 to 18), and from then on waits for us at its full pipe. Throws Drift when a lock could not be had in time, or what it was to lock is gone.
 */
export async function startDump(programs: Programs, connection: Connection, options: { snapshot: string; encoding: string }, work: Work): Promise<Dump> {
  const compressed = programs.major >= 16
  const child = start(
    program(programs, 'pg_dump'),
    [
      '-Fc',
      compressed ? '--compress=zstd:1' : '--compress=0',
      `--snapshot=${options.snapshot}`,
      `--lock-wait-timeout=${lockWait}`,
      ...encodingArguments(options.encoding),
    ],
    { env: { ...work.env, ...dumpEnvironment(connection, programs.major) }, stdout: 'pipe' },
    work,
  )
  const stdout = child.stdout as Readable
  // a reader that ends early (an upload that failed) must not leave the child writing for nobody
  stdout.on('close', () => {
    if (!stdout.readableEnded) void child.stop()
  })
  const failed = child.exit.then((exit) => {
    if (exit.code !== 0) throw whyDumpFailed(exit.stderr, exit.signal, work)
  })
  failed.catch(() => {})
  try {
    await Promise.race([once(stdout, 'readable'), failed])
    if (stdout.readableLength === 0) await failed
  } catch (error) {
    await child.stop()
    throw error
  }
  const archive = stdout.compose(endingWith(failed)) as unknown as Readable
  archive.on('error', () => {}) // whoever reads it sees the failure; stopped before anybody reads it, it is no crash
  return { compressed, archive, warnings: () => warningsIn(child), stop: () => child.stop() }
}

/** Passes bytes on, and lets the stream end only when `done` has settled well. */
function endingWith(done: Promise<void>): Transform {
  return new Transform({
    transform: (chunk, _encoding, next) => next(null, chunk),
    flush: (next) => void done.then(() => next(), next),
  })
}

/** Lines that need nobody's attention: they only say that data of these tables alone could not be restored in order. */
const expected = [/^pg_dump: warning: there are circular foreign-key constraints/, /^pg_dump: detail: /, /^pg_dump: hint: (You might not be able to restore|Consider using a full dump)/]

function warningsIn(child: Child): string[] {
  return child
    .stderr()
    .split('\n')
    .filter((line) => line.trim() && !expected.some((pattern) => pattern.test(line)))
}

function whyDumpFailed(stderr: string, signal: string | null, work: Work): Error {
  if (work.signal.aborted) return work.signal.reason as Error
  const text = stderr.trim()
  if (/canceling statement due to (lock|statement) timeout|relation .* does not exist|cache lookup failed|could not open relation with OID|schema .* does not exist|tuple concurrently/.test(text)) return new Drift(lastLines(text, 2))
  if (/permission denied/.test(text))
    return new UserError('no-permission', `pg_dump may not read everything: ${lastLines(text, 1)}`, 'Grant the backup role pg_read_all_data; large objects need a superuser or their owner besides.')
  if (/row-level security/.test(text)) return new UserError('row-security', `pg_dump would see only some rows: ${lastLines(text, 1)}`, 'Give the backup role BYPASSRLS (ALTER ROLE … BYPASSRLS), or back up as the owner of these tables.')
  if (/server version mismatch/.test(text)) return new UserError('client-missing', `pg_dump refuses this server: ${lastLines(text, 2)}`, 'Install the client of the server’s major version.')
  if (/conflict with recovery|terminating connection due to conflict/.test(text)) return new Drift(lastLines(text, 2))
  if (/too many clients|remaining connection slots/.test(text)) return new UserError('too-many-connections', `The server has no connection left for pg_dump: ${lastLines(text, 1)}`, 'Try at a quieter time, or raise max_connections.')
  if (/out of shared memory/.test(text)) return new UserError('lock-table-full', `The server's lock table is full: ${lastLines(text, 1)}`, 'Raise max_locks_per_transaction; a dump locks every table once.')
  return new UserError('dump-failed', `pg_dump ${signal ? `was ended by ${signal}` : 'failed'}${text ? `: ${lastLines(text, 3)}` : ' without a word.'}`, 'Nothing was stored. If the server is well (its log says so), run the backup again.')
}

function lastLines(text: string, count: number): string {
  return text.split('\n').slice(-count).join(' ')
}
