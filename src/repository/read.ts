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

/** The archive with the schema, and the rows of all tables that no other archive has. */
export function baseOf(backup: FoundBackup): StoredArchive {
  const base = backup.manifest.objects.find(({ kind }) => kind === 'base')
  if (!base)
    throw new UserError(
      'manifest-damaged',
      `The manifest of ${backup.location} names no archive.`,
      'Read the backup from another destination, or take another backup.',
    )
  return base
}

/** All archives, in the manifest's order. */
export function archivesOf({ objects }: Pick<Manifest, 'objects'>): StoredArchive[] {
  return objects.filter(({ kind }) => kind !== 'recovery-guide')
}

/** The archives beside the base archive, which hold data alone; the largest first. */
export function dataArchivesOf({ objects }: Pick<Manifest, 'objects'>): StoredArchive[] {
  return objects
    .filter(({ kind }) => kind === 'rows' || kind === 'large-objects')
    .sort((a, b) => b.bytes - a.bytes)
}

/**
 * Opens an archive of the backup, gives it to `use`, and afterwards checks that what flowed was
 * what the manifest says. Throws `object-damaged` and `object-missing`.
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
  // damage goes before what it made pg_restore say
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

/**
 * The same for whoever needs the beginning only: no more is read than that, and no digest can be
 * checked.
 */
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

/** What a store that has no such object means for a backup. */
export function asMissing(name: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ObjectMissing)
      throw new UserError(
        'object-missing',
        `${name} is missing.`,
        'The backup is not whole. Read it from another destination, or use another backup.',
        { cause: error },
      )
    throw error
  }
}

/**
 * Puts an archive, opened, into a new file that nobody else may read. When this returns, every
 * digest was right.
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
      'The base archive of a backup is kept there, decrypted, while it is restored. Free some space, or use a larger runner.',
      { cause: error },
    )
  }
}

/**
 * What decryption and decompression found, with its place; undefined for what is no fault of the
 * object. A key that the manifest names (`findReadable` looked) and that does not open the object:
 * its header was changed.
 */
function damageOf(error: unknown, where: string): UserError | undefined {
  const { code = '', message } = error as Error & { code?: string }
  const damaged = (how: string): UserError =>
    new UserError(
      'object-damaged',
      `${where}: ${how}${how.endsWith('.') ? '' : '.'}`,
      'Read the backup from another destination, or take another backup.',
      { cause: error },
    )
  if (/^(ZSTD_|Z_)/.test(code)) return damaged(`damaged: it does not decompress (${message})`)
  if (!(error instanceof UserError)) return undefined
  if (code === 'wrong-key')
    return damaged('damaged: its header does not open with the key that it was encrypted to')
  return code === 'object-damaged'
    ? damaged(message.replace(/^The encrypted object is /, ''))
    : error
}

/**
 * An archive on its way from the store: `stages` check and open it as it flows; `check` throws
 * unless every digest and size was the manifest's.
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

/** Reads an object to its end and throws unless it is what the manifest says. */
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
  const how =
    found.bytes === expected.bytes
      ? 'its SHA-256 is another'
      : `it has ${found.bytes} bytes where there were ${expected.bytes}`
  throw new UserError(
    'object-damaged',
    `${where}: damaged: ${how} than the manifest says.`,
    'Read the backup from another destination, or take another backup.',
  )
}
