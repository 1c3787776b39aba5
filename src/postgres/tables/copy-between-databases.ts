import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../../errors.ts'
import { type Child, type Exit, start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Connection, dumpEnvironment, libpqEnvironment } from '../connection/connection.ts'
import { quoteName } from '../connection/session.ts'
import { type Table, tableName } from '../fingerprint/tables.ts'
import { restoreError } from '../pg-restore/errors.ts'
import { toStdin } from '../pg-restore/pg-restore.ts'
import { program, type Programs } from '../programs/find-programs.ts'

/** Returns the columns whose values an archive holds. The server recomputes generated columns. */
export function storedColumns(table: Table): string[] {
  return table.columns.filter(({ generated }) => generated === 'no').map(({ name }) => name)
}

/**
 * Copies one table's rows between databases, COPY to COPY, with two psql of the server's own major
 * version. Throws a UserError if either fails.
 */
export async function copyRows(
  programs: Programs,
  from: { connection: Connection; table: Table },
  to: { connection: Connection; relation: string },
  encoding: string,
  work: Work,
): Promise<void> {
  const [read, write] = copyStatements(from.table, to.relation)
  const out = { stdout: 'pipe' } as const
  const reading = psqlCommand(programs, from.connection, read, encoding, out, work)
  const into = { stdin: 'pipe' } as const
  const writing = psqlCommand(programs, to.connection, write, encoding, into, work)
  // the writer's input ends only after the reader's psql exited with 0: half a table is never
  // committed
  const flow = pipeline(
    reading.stdout as Readable,
    async function* (source: AsyncIterable<Buffer>) {
      yield* source
      const { code, stderr } = await reading.exit
      if (code !== 0)
        throw new UserError(
          'restore-failed',
          `${tableName(from.table)} could not be read from the side database: ${stderr.trim()}`,
          'Nothing was changed. Check the server’s log, and run this again.',
        )
    },
    toStdin(writing.stdin as Writable),
  ).catch(stopping(reading, writing))
  const [flowed, written] = await Promise.allSettled([flow, writing.exit])
  work.signal.throwIfAborted()
  checkRestoring(written, to.connection)
  for (const each of [flowed, written]) if (each.status === 'rejected') throw each.reason
}

/** Returns the COPY that reads a table's rows, and the one that writes them. */
function copyStatements(table: Table, relation: string): [read: string, write: string] {
  const columns = storedColumns(table).map(quoteName).join(', ')
  const name = `${quoteName(table.schema)}.${quoteName(table.name)}`
  // a table without columns still has rows, which COPY writes as empty lines
  const list = columns ? ` (${columns})` : ''
  return [
    `COPY (SELECT ${columns} FROM ONLY ${name}) TO STDOUT`,
    `COPY ${relation}${list} FROM STDIN`,
  ]
}

/** Returns a handler that ends both programs of a pipe that broke, and throws its error. */
function stopping(reader: Child, writer: Child): (error: Error) => Promise<never> {
  return async (error) => {
    await Promise.all([reader.stop(), writer.stop()])
    throw error
  }
}

/** Throws if the program that writes into the target failed by itself, and was not ended. */
function checkRestoring(ended: PromiseSettledResult<Exit>, to: Connection): void {
  if (ended.status === 'rejected') return
  const { code, signal, stderr } = ended.value
  if (code !== 0 && signal === null) throw restoreError(undefined, stderr, to)
}

function psqlCommand(
  programs: Programs,
  connection: Connection,
  sql: string,
  encoding: string,
  ends: { stdin?: 'pipe'; stdout?: 'pipe' },
  work: Work,
): Child {
  const env = dumpEnvironment(connection, programs.major)
  const pinned = [
    'datestyle=ISO',
    'intervalstyle=postgres',
    'extra_float_digits=3',
    'search_path=',
    'statement_timeout=0',
    'lock_timeout=0',
    'row_security=off',
  ].map((setting) => `-c ${setting}`)
  const settings = {
    PGOPTIONS: `${env['PGOPTIONS'] ?? ''} ${pinned.join(' ')}`,
    PGCLIENTENCODING: encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8',
  }
  return start(
    program(programs, 'psql'),
    ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', sql],
    { env: { ...work.env, ...env, ...settings }, ...ends },
    work,
  )
}

/**
 * Copies whole schemas between databases with `pg_dump` and `pg_restore`, in one transaction: all
 * of them or none. The connecting user owns them; no other role has grants on them. Throws a
 * UserError if either program fails.
 */
export async function copySchemas(
  programs: Programs,
  from: Connection,
  to: Connection,
  schemas: readonly string[],
  encoding: string,
  work: Work,
): Promise<void> {
  const dump = dumpSchemas(programs, from, schemas, encoding, work)
  const restore = restoreSchemas(programs, to, work)
  const flow = pipeline(dump.stdout as Readable, toStdin(restore.stdin as Writable)).catch(
    stopping(dump, restore),
  )
  const [flowed, restored, dumped] = await Promise.allSettled([flow, restore.exit, dump.exit])
  work.signal.throwIfAborted()
  checkRestoring(restored, to)
  if (dumped.status === 'fulfilled' && dumped.value.code !== 0)
    throw new UserError(
      'restore-failed',
      `pg_dump could not read the side database: ${dumped.value.stderr.trim()}`,
      'Check the server’s log, and run this again.',
    )
  for (const each of [flowed, restored, dumped]) if (each.status === 'rejected') throw each.reason
}

function dumpSchemas(
  programs: Programs,
  from: Connection,
  schemas: readonly string[],
  encoding: string,
  work: Work,
): Child {
  const patterns = schemas.map((name) => `--schema=${quoteName(name)}`)
  const utf8 = encoding === 'UTF8' || encoding === 'SQL_ASCII' ? [] : ['--encoding=UTF8']
  return start(
    program(programs, 'pg_dump'),
    ['-Fc', '-Z0', '--strict-names', ...utf8, ...patterns],
    { env: { ...work.env, ...dumpEnvironment(from, programs.major) }, stdout: 'pipe' },
    work,
  )
}

function restoreSchemas(programs: Programs, to: Connection, work: Work): Child {
  const flags = [
    '--single-transaction',
    '--exit-on-error',
    '--no-owner',
    '--no-privileges',
    '--no-tablespaces',
    '--no-security-labels',
  ]
  return start(
    program(programs, 'pg_restore'),
    [...flags, '-d', to.database],
    { env: { ...work.env, ...libpqEnvironment(to) }, stdin: 'pipe' },
    work,
  )
}
