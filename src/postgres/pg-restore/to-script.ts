import { PassThrough, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import type { Connection } from '../connection/connection.ts'
import { writeList } from './use-list.ts'
import { toStdin } from './pg-restore.ts'
import type { Psql } from './psql.ts'
import { restoreError } from './errors.ts'

export interface ScriptOptions {
  folder: string
  /** Only these entries, in the archive's order. */
  only?: readonly number[]
  /**
   * Whether it includes the content of large objects, which pg_restore wraps in transactions.
   */
  largeObjects?: boolean
  owners: boolean
  connection: Connection
}

/**
 * Restores an archive (a file, or a stream that is read to its end) as SQL through a psql, inside
 * its transaction. pg_restore wraps large objects in transactions, which would end that one: with
 * `largeObjects`, exactly those lines are left out. Throws a UserError if pg_restore fails, and a
 * PsqlError if the server refuses a statement.
 */
export async function restoreAsScript(
  programs: Programs,
  psql: Psql,
  archive: string | Readable,
  options: ScriptOptions,
  work: Work,
): Promise<void> {
  const { folder, only, owners } = options
  if (only?.length === 0) return
  const flags = [
    '--no-tablespaces',
    ...(owners ? [] : ['--no-owner', '--no-privileges']),
    ...(only ? ['-L', await writeList({ ids: only, folder })] : []),
  ]
  const stream = typeof archive === 'string' ? undefined : archive
  const child = start(
    program(programs, 'pg_restore'),
    ['-f', '-', '--no-subscriptions', ...flags, ...(typeof archive === 'string' ? [archive] : [])],
    { env: { ...work.env }, stdin: stream ? 'pipe' : 'ignore', stdout: 'pipe' },
    work,
  )
  const stopChild = async (error: unknown): Promise<never> => {
    await child.stop()
    throw error
  }
  const script = options.largeObjects ? withoutTransactions() : new PassThrough()
  const written = pipeline(child.stdout as Readable, script).catch(stopChild)
  const run = psql.feed(script).catch(stopChild)
  const read =
    stream &&
    pipeline(stream, toStdin(child.stdin as Writable), { signal: work.signal }).catch(stopChild)
  const [ran, fed, exit, passed] = await Promise.allSettled([run, read, child.exit, written])
  work.signal.throwIfAborted()
  if (fed.status === 'rejected') throw fed.reason
  if (ran.status === 'rejected') throw ran.reason
  if (exit.status === 'rejected') throw exit.reason
  if (exit.value.code !== 0) throw restoreError(undefined, exit.value.stderr, options.connection)
  if (passed.status === 'rejected') throw passed.reason
  for (const line of exit.value.stderr.split('\n')) if (line.trim()) work.log.warning(line)
}

/**
 * Leaves out the lines `BEGIN;` and `COMMIT;` around large objects: pg_restore writes `BEGIN;`
 * between two empty lines, then only calls of lo_open, lowrite and lo_close. Only for a script of
 * large objects, because a function's body may have such lines. A comment on a large object cannot:
 * its quotes are doubled.
 */
function withoutTransactions(): Transform {
  let rest: Buffer = Buffer.alloc(0)
  let inside = false
  const begin = Buffer.from(`\nBEGIN;\n\nSELECT pg_catalog.lo_open('`)
  const commit = Buffer.from('\nCOMMIT;\n')
  const quote = 0x27
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      rest = rest.length ? Buffer.concat([rest, chunk]) : chunk
      for (let from = 0; ;) {
        const mark = inside ? commit : begin
        const at = rest.indexOf(mark, from)
        if (at < 0) break
        const after = rest[at + mark.length]
        if (!inside && after === undefined) break
        if (!inside && after === quote) {
          from = at + mark.length
          continue
        }
        this.push(Buffer.from(rest.subarray(0, at + 1)))
        rest = rest.subarray(at + (inside ? '\nCOMMIT;'.length : '\nBEGIN;'.length))
        inside = !inside
        from = 0
      }
      const keep = Math.min(rest.length, begin.length)
      this.push(Buffer.from(rest.subarray(0, rest.length - keep)))
      rest = Buffer.from(rest.subarray(rest.length - keep))
      done()
    },
    flush(done) {
      this.push(rest)
      done()
    },
  })
}
