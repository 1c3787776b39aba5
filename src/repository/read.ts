import { createWriteStream } from 'node:fs'
import { PassThrough, type Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../errors.ts'
import { ObjectMissing } from '../storage/storage.ts'
import { decompressing } from '../stream/compress.ts'
import { decrypting } from '../stream/decrypt.ts'
import { type Digest, digesting } from '../stream/digest.ts'
import { gathering } from '../stream/gather.ts'
import { giveBack } from '../stream/pieces.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './listing.ts'
import type { Manifest, StoredArchive } from './manifest.ts'

/** Returns the base archive. Throws `manifest-damaged` if the manifest names none. */
export function baseOf(backup: FoundBackup): StoredArchive {
  const base = backup.manifest.objects.find(({ kind }) => kind === 'base')
  if (!base)
    throw new UserError(
      'manifest-damaged',
      `The manifest of ${backup.location} names no base archive.`,
    )
  return base
}

/** Returns all archives, in the manifest's order. */
export function archivesOf({ objects }: Pick<Manifest, 'objects'>): StoredArchive[] {
  return objects.filter(({ kind }) => kind !== 'recovery-guide')
}

/** Returns the archives of rows and large objects, largest first. */
export function dataArchivesOf({ objects }: Pick<Manifest, 'objects'>): StoredArchive[] {
  return objects
    .filter(({ kind }) => kind === 'rows' || kind === 'large-objects')
    .sort((a, b) => b.bytes - a.bytes)
}

/**
 * Opens an archive of the backup for `use`, and checks its digests afterwards. Returns what `use`
 * returned. Throws `object-damaged` and `object-missing`.
 *
 * @param onBytes called with the size of each piece of the opened archive
 */
export async function withArchive<T>(
  backup: FoundBackup,
  object: StoredArchive,
  identities: readonly string[],
  use: (archive: Readable) => Promise<T>,
  work: Work,
  onBytes: (bytes: number) => void = () => {},
): Promise<T> {
  const opened = await openArchive(backup, object, identities, work).catch(
    asMissing(`${backup.location}: ${object.name}`),
  )
  const archive = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
  const fed = pipeline([opened.source, ...opened.stages, archive], { signal: work.signal })
  const [used, flowed] = await Promise.allSettled([
    use(archive).finally(() => archive.destroy()),
    fed,
  ])
  work.signal.throwIfAborted()
  // damage is reported before the pg_restore error that it caused
  const damage =
    flowed.status === 'rejected'
      ? damageOf(flowed.reason, `${backup.location}: ${object.name}`)
      : undefined
  if (damage) throw damage
  if (flowed.status === 'fulfilled') opened.check()
  if (used.status === 'rejected') throw used.reason
  if (flowed.status === 'rejected') throw flowed.reason
  return used.value
}

/** The same for a `use` that reads only the beginning. No digest is checked. */
export async function withHead<T>(
  backup: FoundBackup,
  object: StoredArchive,
  identities: readonly string[],
  use: (archive: Readable) => Promise<T>,
  work: Work,
): Promise<T> {
  const opened = await openArchive(backup, object, identities, work).catch(
    asMissing(`${backup.location}: ${object.name}`),
  )
  const archive = new PassThrough()
  const fed = pipeline([opened.source, ...opened.stages, archive], { signal: work.signal })
  const [used, flowed] = await Promise.allSettled([
    use(archive).finally(() => archive.destroy()),
    fed,
  ])
  work.signal.throwIfAborted()
  if (used.status === 'fulfilled') return used.value
  throw flowed.status === 'rejected' && flowed.reason instanceof UserError
    ? damageOf(flowed.reason, `${backup.location}: ${object.name}`)
    : used.reason
}

/** Rethrows an error of a store; as `object-missing` if the store has no such object. */
export function asMissing(name: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ObjectMissing)
      throw new UserError('object-missing', `${name} is missing.`, undefined, { cause: error })
    throw error
  }
}

/**
 * Writes an opened archive to a new private file, and checks its digests. Throws `disk-full`,
 * `object-damaged` and `object-missing`.
 */
export async function fetchArchive(
  backup: FoundBackup,
  object: StoredArchive,
  identities: readonly string[],
  file: string,
  work: Work,
): Promise<void> {
  try {
    await withArchive(
      backup,
      object,
      identities,
      (archive) =>
        pipeline(archive, createWriteStream(file, { flags: 'wx', mode: 0o600 }), {
          signal: work.signal,
        }),
      work,
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    throw new UserError(
      'disk-full',
      `The disk of this machine is full: ${object.name} does not fit into ${work.temporary}.`,
      undefined,
      { cause: error },
    )
  }
}

/**
 * The UserError for an error of decryption or decompression; undefined if it is not a fault of the
 * object. `findReadable` has checked the keys, so `wrong-key` here means that the header was changed.
 */
function damageOf(error: unknown, where: string): UserError | undefined {
  const { code = '', message } = error as Error & { code?: string }
  const damaged = (how: string): UserError =>
    new UserError('object-damaged', `${where}: ${how}${how.endsWith('.') ? '' : '.'}`, undefined, {
      cause: error,
    })
  if (/^(ZSTD_|Z_)/.test(code)) return damaged(`damaged: it does not decompress (${message})`)
  if (!(error instanceof UserError)) return undefined
  if (code === 'wrong-key')
    return damaged('damaged: the key that it was encrypted to does not open its header')
  return code === 'object-damaged'
    ? damaged(message.replace(/^The encrypted object is /, ''))
    : error
}

/**
 * A stored archive as a stream. The `stages` decrypt and decompress it and take its digests; `check`
 * then throws `object-damaged` unless digests and sizes match the manifest.
 */
export interface OpenedArchive {
  source: Readable
  stages: Transform[]
  check(): void
}

export async function openArchive(
  backup: FoundBackup,
  object: StoredArchive,
  identities: readonly string[],
  work: Work,
): Promise<OpenedArchive> {
  const stored = digesting()
  const plain = digesting()
  const encrypted = backup.manifest.encryption !== 'none'
  const source = await backup.storage.read(backup.folder + object.name, { signal: work.signal })
  return {
    source,
    stages: [
      encrypted
        ? decrypting(identities, { before: stored, after: plain })
        : gathering({ before: stored }),
      ...(object.plain?.compression === 'zstd' ? [decompressing()] : []),
    ],
    check() {
      const where = `${backup.location}: ${object.name}`
      const asStored = stored.result()
      compare(asStored, object, `${where}, as stored`)
      if (object.plain)
        compare(encrypted ? plain.result() : asStored, object.plain, `${where}, decrypted`)
    },
  }
}

/** Reads an object to its end. Throws `object-damaged` unless size and digest match the manifest. */
export async function checkObject(
  backup: FoundBackup,
  object: StoredArchive,
  work: Work,
): Promise<void> {
  const digest = digesting()
  const source = await backup.storage.read(backup.folder + object.name, { signal: work.signal })
  const sink = new Writable({
    write(piece: Buffer, _encoding, done) {
      digest.add(piece)
      giveBack(piece)
      done()
    },
  })
  await pipeline(source, sink, { signal: work.signal })
  compare(digest.result(), object, `${backup.location}: ${object.name}`)
}

function compare(found: Digest, expected: Digest, where: string): void {
  if (found.bytes === expected.bytes && found.sha256 === expected.sha256) return
  const difference =
    found.bytes === expected.bytes
      ? 'its SHA-256 is not the one in the manifest'
      : `it has ${found.bytes} bytes, and the manifest says ${expected.bytes}`
  throw new UserError('object-damaged', `${where}: damaged: ${difference}.`)
}
