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
   * False: everything belongs to the connecting role, and there are no grants: the server need not
   * have the roles.
   */
  owners?: boolean
  /** Only these entries, given in the archive's order: written as a list into `folder`. */
  only?: { ids: readonly number[]; folder: string }
  /** Types, tables and functions, without data, indexes, constraints and grants. */
  preData?: boolean
  /**
   * Of rows: only those of tables with such a name in such a schema; a few more may come with them.
   */
  tables?: { schemas: readonly string[]; names: readonly string[] }
}

/**
 * Runs one pg_restore on one connection, from an archive as it streams in or from a file.
 * Subscriptions are left out, since a copy of one would take the changes meant for the original. A
 * stream is always read to its end, so that its digests can be checked.
 *
 * pg_restore's own counting of "errors ignored" is not used: every error is looked at. Some may
 * only mean that the order was wrong; these entries are given back, for another pass. Anything else
 * throws.
 */
export async function runPgRestore(
  programs: Programs,
  connection: Connection,
  archive: Readable | string,
  loading: PgRestoreOptions,
  work: Work,
): Promise<FailedEntry[]> {
  const said = new PgRestoreLog()
  const stream = typeof archive === 'string' ? undefined : archive
  const child = start(
    program(programs, 'pg_restore'),
    // verbose: without it, pg_restore does not say which entry an error belongs to
    [
      '--verbose',
      ...(await optionFlags(loading)),
      '-d',
      connection.database,
      ...(typeof archive === 'string' ? [archive] : []),
    ],
    {
      env: { ...work.env, ...libpqEnvironment(connection) },
      stdin: stream ? 'pipe' : 'ignore',
      onLine: (line) => said.add(line) || void child.stop(),
    },
    work,
  )
  const stopped = async (error: Error): Promise<never> => {
    await child.stop()
    throw error
  }
  const feed =
    stream &&
    pipeline(stream, toStdin(child.stdin as Writable), { signal: work.signal }).catch(stopped)
  const [exit, fed] = await Promise.allSettled([child.exit, feed])
  work.signal.throwIfAborted()
  if (fed.status === 'rejected') throw fed.reason
  if (exit.status === 'rejected') throw exit.reason
  for (const warning of said.warnings) work.log.warning(`pg_restore: ${warning}`)
  const other = said.failed.find((entry) => !mayPassOnRetry(entry))
  // one that did not come to its end, whatever it had said by then, has not tried the rest
  const ended =
    exit.value.code === 0 || (exit.value.code === 1 && said.ignored > 0 && said.failed.length > 0)
  if (other || !ended) throw restoreError(other, exitMessage(exit.value), connection)
  return [...new Map(said.failed.map((entry) => [entry.id, entry])).values()]
}

/**
 * Restores entries of a file on several connections at once, and stops at the first error, whatever
 * it is: for what rests on nothing but what is there already. That there was one is known by the
 * exit code, and does not depend on how its lines came out.
 */
export async function runParallelPgRestore(
  programs: Programs,
  connection: Connection,
  file: string,
  loading: PgRestoreOptions & { jobs: number },
  work: Work,
): Promise<void> {
  const child = start(
    program(programs, 'pg_restore'),
    [
      '--exit-on-error',
      `--jobs=${loading.jobs}`,
      ...(await optionFlags(loading)),
      '-d',
      connection.database,
      file,
    ],
    { env: { ...work.env, ...libpqEnvironment(connection) } },
    work,
  )
  const exit = await child.exit
  work.signal.throwIfAborted()
  if (exit.code !== 0) throw restoreError(undefined, parallelExitMessage(exit), connection)
  if (exit.stderr.trim()) work.log.warning(exit.stderr.trim())
}

async function optionFlags(loading: PgRestoreOptions): Promise<string[]> {
  return [
    '--no-subscriptions',
    ...(loading.tablespaces ? [] : ['--no-tablespaces']),
    ...(loading.owners === false ? ['--no-owner', '--no-privileges'] : []),
    ...(loading.preData ? ['--section=pre-data', '--no-privileges'] : []),
    ...(loading.tables
      ? [...new Set(loading.tables.schemas)]
          .map((name) => `--schema=${name}`)
          .concat([...new Set(loading.tables.names)].map((name) => `--table=${name}`))
      : []),
    ...(loading.only ? ['-L', await writeList(loading.only)] : []),
  ]
}

/**
 * Passes everything on while the program reads, and the rest to nowhere: a program that has what it
 * wants may stop reading.
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
