import { Readable, type Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { compressing } from '../stream/compress.ts'
import { type Digest, digesting, digestOf } from '../stream/digest.ts'
import { encrypting } from '../stream/encrypt.ts'
import { gathering } from '../stream/gather.ts'
import { tee } from '../stream/tee.ts'
import type { Work } from '../work.ts'
import type { StoredArchive } from './manifest.ts'

/**
 * Sends one stream to every destination under one key, at the pace of the slowest. Throws if it is
 * not stored completely at all of them.
 */
export async function storeEverywhere(
  source: Readable,
  stages: Transform[],
  key: string,
  destinations: readonly Storage[],
  work: Work,
): Promise<void> {
  const [sent, readers] = sending(source, stages, destinations.length, work.signal)
  const creates = destinations.map(async (destination, i) => {
    const reader = readers[i] as Readable
    try {
      await destination.create(key, reader, { signal: work.signal })
    } catch (error) {
      reader.on('error', () => {}) // the rejection below reports the failure
      reader.destroy(error as Error)
      throw error
    }
  })
  const outcomes = await Promise.allSettled([sent, ...creates])
  work.signal.throwIfAborted()
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as Error] : [],
  )
  // report the cause, not its consequences: an aborted branch, a stream that closed too early
  const cause =
    failures.find((failure) => failure instanceof UserError) ??
    failures.find((failure) => !isConsequence(failure)) ??
    failures[0]
  if (cause) throw cause
}

/**
 * Starts a stream. Returns a promise of its end and a stream for each reader; a single reader reads
 * from the last stage.
 */
function sending(
  source: Readable,
  stages: Transform[],
  readers: number,
  signal: AbortSignal,
): [Promise<void>, Readable[]] {
  if (readers === 1) {
    const last = stages.at(-1)
    return last
      ? [pipeline([source, ...stages], { signal }), [last]]
      : [Promise.resolve(), [source]]
  }
  const { sink, branches } = tee(readers)
  return [pipeline([source, ...stages, sink], { signal }), branches]
}

function isConsequence(error: Error & { code?: string }): boolean {
  return (
    error.name === 'AbortError' ||
    error.code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    error.code === 'ERR_STREAM_DESTROYED'
  )
}

export interface ArchiveOptions {
  name: string
  kind?: 'base' | 'rows' | 'large-objects'
  /** The folder of the backup, with its slash. */
  folder: string
  /** Whether pg_dump has compressed it. */
  compressed: boolean
  recipients: readonly string[] | 'none'
  destinations: readonly Storage[]
}

/**
 * Stores a pg_dump archive: compresses it unless pg_dump did, and encrypts it if there are
 * recipients. Returns the manifest's entry. Throws `dump-failed` if the archive is empty.
 *
 * Frees the memory of each piece of `archive` once it is stored, so nothing else may hold the pieces;
 * the output of a child process fulfils that.
 */
export async function storeArchive(
  archive: Readable,
  options: ArchiveOptions,
  work: Work,
): Promise<StoredArchive> {
  const plain = digesting()
  const stored = digesting()
  const { recipients, compressed, kind = 'base' } = options
  const name = `${options.name}${compressed ? '' : '.zst'}${recipients === 'none' ? '' : '.age'}`
  const stages = [
    ...(compressed ? [] : [compressing()]),
    recipients === 'none'
      ? gathering({ after: stored, owned: true })
      : await encrypting(recipients, { before: plain, after: stored, owned: true }),
  ]
  await storeEverywhere(archive, stages, options.folder + name, options.destinations, work)
  const after: Digest = stored.result()
  const before = recipients === 'none' ? after : plain.result()
  if (before.bytes === 0)
    throw new UserError(
      'dump-failed',
      'pg_dump exited with code 0 and wrote nothing.',
      'Run the backup again; if it fails again, the pg_dump on this machine is broken.',
    )
  return { name, kind, ...after, plain: { ...before, compression: compressed ? 'none' : 'zstd' } }
}

/** Stores a small text object, and returns its digest. */
export async function storeText(
  text: string,
  key: string,
  destinations: readonly Storage[],
  work: Work,
): Promise<Digest> {
  await storeEverywhere(Readable.from([Buffer.from(text)]), [], key, destinations, work)
  return digestOf(text)
}
