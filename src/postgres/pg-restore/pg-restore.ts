/** Runs pg_restore on an archive, and reads its table of contents and its errors. */
import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { giveBack } from '../../stream/pieces.ts'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import { type Connection, libpqEnvironment } from '../connection/connection.ts'
import { writeList } from './use-list.ts'
import {
  exitMessage,
  parallelExitMessage,
  type FailedEntry,
  mayPassOnRetry,
  PgRestoreLog,
  restoreError,
} from './errors.ts'

/** What of an archive is restored, and how. */
export interface PgRestoreOptions {
  /** False: everything goes into the default tablespace. */
  tablespaces: boolean
  /**
   * False: the connecting role owns everything, and there are no grants. The server then does not
   * need the roles.
   */
  owners?: boolean
  /** Only these entries, in the archive's order. The list for pg_restore is written to `folder`. */
  only?: { ids: readonly number[]; folder: string }
  /** Only types, tables and functions: no rows, indexes, constraints or grants. */
  preData?: boolean
  /**
   * Only the rows of tables with one of these names in one of these schemas, which may include a
   * few more tables than meant.
   */
  tables?: { schemas: readonly string[]; names: readonly string[] }
}

/**
 * Runs one pg_restore on one connection, from a stream or a file. It leaves out subscriptions,
 * because a copy of one would take the changes meant for the original. It reads a stream to its
 * end, so that the caller can check its digests.
 *
 * It accounts for every error instead of trusting pg_restore's count of ignored errors. Returns the
 * entries that may have failed only because of the order, for another pass. Throws a UserError for
 * any other failure.
 */
export async function runPgRestore(
  programs: Programs,
  connection: Connection,
  archive: Readable | string,
  options: PgRestoreOptions,
  work: Work,
): Promise<FailedEntry[]> {
  const log = new PgRestoreLog()
  const [stream, files] = typeof archive === 'string' ? [undefined, [archive]] : [archive, []]
  const flags = await optionFlags(options)
  const child = start(
    program(programs, 'pg_restore'),
    // without --verbose, pg_restore does not name the entry that an error belongs to
    ['--verbose', ...flags, '-d', connection.database, ...files],
    {
      env: { ...work.env, ...libpqEnvironment(connection) },
      stdin: stream ? 'pipe' : 'ignore',
      onLine: (line) => log.add(line) || void child.stop(),
    },
    work,
  )
  const stopChild = async (error: Error): Promise<never> => {
    await child.stop()
    throw error
  }
  const feed =
    stream &&
    pipeline(stream, toStdin(child.stdin as Writable), { signal: work.signal }).catch(stopChild)
  const [exit, fed] = await Promise.allSettled([child.exit, feed])
  work.signal.throwIfAborted()
  if (fed.status === 'rejected') throw fed.reason
  if (exit.status === 'rejected') throw exit.reason
  for (const warning of log.warnings) work.log.warning(`pg_restore: ${warning}`)
  const fatal = log.failed.find((entry) => !mayPassOnRetry(entry))
  // without its count of errors, pg_restore stopped early and did not try the remaining entries
  const ended =
    exit.value.code === 0 || (exit.value.code === 1 && log.ignored > 0 && log.failed.length > 0)
  if (fatal || !ended) throw restoreError(fatal, exitMessage(exit.value), connection)
  return [...new Map(log.failed.map((entry) => [entry.id, entry])).values()]
}

/**
 * Restores entries of a file on several connections, and throws a UserError at the first error.
 * Only for entries whose dependencies are all restored. The exit code tells whether there was an
 * error, so mixed lines of the workers do not matter.
 */
export async function runParallelPgRestore(
  programs: Programs,
  connection: Connection,
  file: string,
  options: PgRestoreOptions & { jobs: number },
  work: Work,
): Promise<void> {
  const flags = ['--exit-on-error', `--jobs=${options.jobs}`, ...(await optionFlags(options))]
  const child = start(
    program(programs, 'pg_restore'),
    [...flags, '-d', connection.database, file],
    { env: { ...work.env, ...libpqEnvironment(connection) } },
    work,
  )
  const exit = await child.exit
  work.signal.throwIfAborted()
  if (exit.code !== 0) throw restoreError(undefined, parallelExitMessage(exit), connection)
  if (exit.stderr.trim()) work.log.warning(exit.stderr.trim())
}

async function optionFlags(options: PgRestoreOptions): Promise<string[]> {
  const { tablespaces, owners, preData, tables, only } = options
  return [
    '--no-subscriptions',
    ...(tablespaces ? [] : ['--no-tablespaces']),
    ...(owners === false ? ['--no-owner', '--no-privileges'] : []),
    ...(preData ? ['--section=pre-data', '--no-privileges'] : []),
    ...[...new Set(tables?.schemas)].map((name) => `--schema=${name}`),
    ...[...new Set(tables?.names)].map((name) => `--table=${name}`),
    ...(only ? ['-L', await writeList(only)] : []),
  ]
}

/**
 * Returns a writable that passes everything to a program's input, and discards the rest once the
 * program stops reading: it may already have all it needs.
 */
export function toStdin(stdin: Writable): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (stdin.destroyed || stdin.writableEnded) {
        giveBack(chunk)
        return done()
      }
      if (stdin.write(chunk, () => giveBack(chunk))) return done()
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
