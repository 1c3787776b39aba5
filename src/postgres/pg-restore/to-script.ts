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
   * Whether large objects' content is among it, which pg_restore frames in transactions of its own.
   */
  largeObjects?: boolean
  owners: boolean
  connection: Connection
}

/**
 * What pg_restore makes of an archive, as SQL into a psql: an archive's file, or one that streams
 * in and is always read to its end. Large objects come framed in transactions of their own, which
 * would end ours: with `largeObjects`, those lines are left out, and nothing else is.
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
  const stopped = async (error: unknown): Promise<never> => {
    await child.stop()
    throw error
  }
  const text = options.largeObjects ? withoutFrames() : new PassThrough()
  const written = pipeline(child.stdout as Readable, text).catch(stopped)
  const fed = psql.feed(text).catch(stopped)
  const read =
    stream &&
    pipeline(stream, toStdin(child.stdin as Writable), { signal: work.signal }).catch(stopped)
  const [flowed, asked, exit, passed] = await Promise.allSettled([fed, read, child.exit, written])
  work.signal.throwIfAborted()
  if (asked.status === 'rejected') throw asked.reason
  if (flowed.status === 'rejected') throw flowed.reason
  if (exit.status === 'rejected') throw exit.reason
  if (exit.value.code !== 0) throw restoreError(undefined, exit.value.stderr, options.connection)
  if (passed.status === 'rejected') throw passed.reason
  for (const line of exit.value.stderr.split('\n')) if (line.trim()) work.log.warning(line)
}

/**
 * Leaves out the lines `BEGIN;` and `COMMIT;` around large objects: pg_restore writes `BEGIN;`
 * between two empty lines, then only calls of lo_open, lowrite and lo_close. Only for text of large
 * objects: a function's may have such lines. What else there is, a comment on one, cannot have the
 * mark: within quotes, its quote would be doubled.
 */
function withoutFrames(): Transform {
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
