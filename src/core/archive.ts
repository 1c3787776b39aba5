import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Readable as NodeReadable } from 'node:stream'
import { UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { compressing, decompressing } from '../stream/compress.ts'
import { type Digest, digesting, digestOf } from '../stream/digest.ts'
import { decrypting, encrypting } from '../stream/encrypt.ts'
import { tee } from '../stream/tee.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'
import type { StoredArchive } from './manifest.ts'

/** Sends one stream to every destination under one key, at the pace of the slowest. It is at all of them, whole, or the call fails. */
export async function storeEverywhere(source: Readable, stages: Transform[], key: string, destinations: readonly Storage[], work: Work): Promise<void> {
  const { sink, branches } = tee(destinations.length)
  const creates = destinations.map(async (destination, i) => {
    const branch = branches[i] as Readable
    try {
      await destination.create(key, branch, { signal: work.signal })
    } catch (error) {
      branch.destroy(error as Error)
      throw error
    }
  })
  const sent = pipeline([source, ...stages, sink], { signal: work.signal })
  const outcomes = await Promise.allSettled([sent, ...creates])
  work.signal.throwIfAborted()
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
  // the first cause goes before what it caused elsewhere: an aborted branch, a stream that closed too early
  const cause = failures.find((failure) => failure instanceof UserError) ?? failures.find((failure) => !isConsequence(failure)) ?? failures[0]
  if (cause) throw cause
}

function isConsequence(error: Error & { code?: string }): boolean {
  return error.name === 'AbortError' || error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ERR_STREAM_DESTROYED'
}

/** Stores a pg_dump archive: compressed if it is not yet, encrypted if there are recipients. Gives the manifest's entry. */
export async function storeArchive(
  archive: Readable,
  options: { name: string; folder: string; compressed: boolean; recipients: readonly string[] | 'none'; destinations: readonly Storage[] },
  work: Work,
): Promise<StoredArchive> {
  const plain = digesting()
  const stored = digesting()
  const { recipients } = options
  const name = `${options.name}${options.compressed ? '' : '.zst'}${recipients === 'none' ? '' : '.age'}`
  const stages = [
    ...(options.compressed ? [] : [compressing()]),
    plain.stream,
    ...(recipients === 'none' ? [] : [await encrypting(recipients)]),
    stored.stream,
  ]
  await storeEverywhere(archive, stages, options.folder + name, options.destinations, work)
  const before: Digest = plain.result()
  if (before.bytes === 0) throw new UserError('dump-failed', 'pg_dump ended well and wrote nothing.', 'Nothing was stored. Run the backup again; if it stays so, the pg_dump on this machine is broken.')
  return { name, kind: 'frame', ...stored.result(), plain: { ...before, compression: options.compressed ? 'none' : 'zstd' } }
}

/** Stores a small text object. */
export async function storeText(text: string, key: string, destinations: readonly Storage[], work: Work): Promise<Digest> {
  await storeEverywhere(NodeReadable.from([Buffer.from(text)]), [], key, destinations, work)
  return digestOf(text)
}

/** An archive on its way from the store: `stages` check and open it as it flows; `check` throws unless every digest and size was the manifest's. */
export interface OpenedArchive {
  source: Readable
  stages: Transform[]
  check(): void
}

export async function openArchive(backup: FoundBackup, object: StoredArchive, identities: readonly string[], work: Work): Promise<OpenedArchive> {
  const stored = digesting()
  const plain = digesting()
  const encrypted = backup.manifest.encryption !== 'none'
  const source = await backup.storage.read(backup.folder + object.name, { signal: work.signal })
  return {
    source,
    stages: [stored.stream, ...(encrypted ? [decrypting(identities)] : []), plain.stream, ...(object.plain?.compression === 'zstd' ? [decompressing()] : [])],
    check() {
      const where = `${backup.location}: ${object.name}`
      compare(stored.result(), object, `${where}, as stored`)
      if (object.plain) compare(plain.result(), object.plain, `${where}, decrypted`)
    },
  }
}

/** Reads an object to its end and throws unless it is what the manifest says. */
export async function checkObject(backup: FoundBackup, object: StoredArchive, work: Work): Promise<void> {
  const { stream, result } = digesting()
  const source = await backup.storage.read(backup.folder + object.name, { signal: work.signal })
  await pipeline(source, stream, async (chunks) => {
    for await (const chunk of chunks) void chunk
  }, { signal: work.signal })
  compare(result(), object, `${backup.location}: ${object.name}`)
}

function compare(found: Digest, expected: Digest, where: string): void {
  if (found.bytes === expected.bytes && found.sha256 === expected.sha256) return
  const how = found.bytes === expected.bytes ? 'its SHA-256 is another' : `it has ${found.bytes} bytes where there were ${expected.bytes}`
  throw new UserError('object-damaged', `${where}: damaged: ${how} than the manifest says.`, 'Read the backup from another destination, or take another backup.')
}
