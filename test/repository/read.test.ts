import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { generateX25519Identity } from 'age-encryption'
import { UserError } from '../../src/errors.ts'
import type { FoundBackup } from '../../src/repository/listing.ts'
import type { StoredArchive } from '../../src/repository/manifest.ts'
import {
  archivesOf,
  asMissing,
  baseOf,
  checkObject,
  dataArchivesOf,
  fetchArchive,
  withArchive,
  withHead,
} from '../../src/repository/read.ts'
import { storeArchive } from '../../src/repository/write.ts'
import { openStorage } from '../../src/storage/open.ts'
import { ObjectMissing } from '../../src/storage/storage.ts'
import { temporaryFolder } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { asRead, identity, recipients } from './archives.ts'

const folder = 'test/id/'
const bytes = randomBytes(300_000)

interface Stored {
  backup: FoundBackup
  object: StoredArchive
  /** Where the object is on disk. */
  file: string
}

/** A backup with one archive, which pg_dump has compressed or not, and which is encrypted or not. */
async function stored(compressed = true, encrypted = true, content = bytes): Promise<Stored> {
  const root = temporaryFolder()
  const storage = openStorage(`file://${root}`)
  const object = await storeArchive(
    asRead(content),
    {
      name: 'base.dump',
      folder,
      compressed,
      recipients: encrypted ? recipients : 'none',
      destinations: [storage],
    },
    quietWork(),
  )
  const manifest = { encryption: encrypted ? { recipients } : 'none', objects: [object] }
  return {
    backup: { storage, folder, location: 'file:///here/id', manifest } as unknown as FoundBackup,
    object,
    file: join(root, folder, object.name),
  }
}

/** Changes the object as it is stored. */
function damage({ file }: Stored, change: (bytes: Buffer) => Buffer): void {
  writeFileSync(file, change(readFileSync(file)))
}

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at] = (bytes[at] as number) ^ 1
  return bytes
}

const read = <T>(
  { backup, object }: Stored,
  use: (archive: Readable) => Promise<T>,
  {
    work = quietWork(),
    identities = [identity],
    onBytes = undefined as ((bytes: number) => void) | undefined,
  } = {},
): Promise<T> => withArchive(backup, object, identities, use, work, onBytes)

const head = <T>(
  { backup, object }: Stored,
  use: (archive: Readable) => Promise<T>,
  { work = quietWork(), identities = [identity] } = {},
): Promise<T> => withHead(backup, object, identities, use, work)

/** Reads the first piece and no more. */
const first = async (archive: Readable): Promise<Buffer> => {
  for await (const piece of archive) return piece as Buffer
  throw new Error('empty')
}

const fails =
  (code: string, message: RegExp) =>
  (error: UserError): boolean => {
    assert.ok(error instanceof UserError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  }

describe('an archive', () => {
  for (const [compressed, encrypted] of [
    [true, true],
    [false, true],
    [true, false],
    [false, false],
  ] as const) {
    const what =
      `compressed by ${compressed ? 'pg_dump' : 'us'}, ` +
      `${encrypted ? 'encrypted' : 'in the clear'}`

    test(`is opened, and each piece is counted: ${what}`, async () => {
      let counted = 0
      const archive = await stored(compressed, encrypted)
      const opened = await read(archive, buffer, { onBytes: (length) => (counted += length) })
      assert.ok(opened.equals(bytes))
      assert.equal(counted, bytes.length)
      await checkObject(archive.backup, archive.object, quietWork())
    })

    for (const part of ['sha256', 'bytes'] as const)
      test(`is damaged if the manifest has another ${part} for it, as stored: ${what}`, async () => {
        const archive = await stored(compressed, encrypted)
        const other = part === 'bytes' ? archive.object.bytes + 1 : '0'.repeat(64)
        archive.object = { ...archive.object, [part]: other }
        const how =
          part === 'bytes'
            ? `it has ${archive.object.bytes - 1} bytes, and the manifest says ${other}`
            : 'its SHA-256 is not the one in the manifest'
        await assert.rejects(
          read(archive, buffer),
          fails(
            'object-damaged',
            new RegExp(`^file:///here/id: ${archive.object.name}, as stored: damaged: ${how}\\.$`),
          ),
        )
        await assert.rejects(
          checkObject(archive.backup, archive.object, quietWork()),
          fails(
            'object-damaged',
            new RegExp(`^file:///here/id: ${archive.object.name}: damaged: ${how}\\.$`),
          ),
        )
      })
  }

  for (const encrypted of [true, false])
    test(`is damaged if its opened digest is another: ${encrypted ? 'encrypted' : 'in the clear'}`, async () => {
      const archive = await stored(true, encrypted)
      const { plain } = archive.object
      assert.ok(plain)
      archive.object = { ...archive.object, plain: { ...plain, sha256: '0'.repeat(64) } }
      await assert.rejects(
        read(archive, buffer),
        fails('object-damaged', /, decrypted: damaged: its SHA-256/),
      )
      delete archive.object.plain
      assert.ok((await read(archive, buffer)).equals(bytes), 'an object without such a digest')
    })

  test('that is missing is named', async () => {
    const archive = await stored()
    archive.object = { ...archive.object, name: 'other.dump' }
    const missing = fails('object-missing', /^file:\/\/\/here\/id: other\.dump is missing\.$/)
    await assert.rejects(read(archive, buffer), missing)
    await assert.rejects(head(archive, buffer), missing)
    await assert.rejects(
      fetchArchive(archive.backup, archive.object, [], join(temporaryFolder(), 'x'), quietWork()),
      missing,
    )
  })

  const damages: [title: string, change: (bytes: Buffer) => Buffer, how: RegExp, zstd?: true][] = [
    ['whose header was changed', flip(0), /: damaged: its header was changed\.$/],
    ['whose payload was changed', flip(150_000), /: damaged: it was changed near byte \d+\.$/],
    [
      'that was cut off',
      (bytes) => bytes.subarray(0, -5),
      /: damaged: its end was changed or cut off\.$/,
    ],
    [
      'that does not decompress',
      flip(100_000),
      /: damaged: it does not decompress \(.+\)\.$/,
      true,
    ],
  ]
  for (const [title, change, how, zstd] of damages)
    test(`${title} is damaged, whatever its reader says`, async () => {
      const archive = await stored(zstd !== true, zstd !== true)
      damage(archive, change)
      const damaged = fails('object-damaged', how)
      await assert.rejects(read(archive, buffer), damaged)
      await assert.rejects(
        read(archive, async (opened) => {
          await buffer(opened).catch(() => {})
          throw new Error('pg_restore: unexpected end of file')
        }),
        damaged,
      )
    })

  test('that another key opens has a changed header: the keys were checked before', async () => {
    const archive = await stored()
    const identities = [await generateX25519Identity()]
    const damaged = fails(
      'object-damaged',
      /^file:.*base\.dump\.age: damaged: the key that it was encrypted to does not open its header\.$/,
    )
    await assert.rejects(read(archive, buffer, { identities }), damaged)
    await assert.rejects(head(archive, buffer, { identities }), damaged)
  })

  test('whose reader fails: that failure is thrown', async () => {
    const reason = new Error('the disk is full')
    for (const use of [
      async (opened: Readable) => {
        await buffer(opened)
        throw reason
      },
      async (opened: Readable) => {
        await first(opened)
        throw reason
      },
      () => Promise.reject(reason),
    ]) {
      await assert.rejects(read(await stored(), use), (error) => error === reason)
      await assert.rejects(head(await stored(), use), (error) => error === reason)
    }
  })

  test('whose reader reads only the beginning was not checked, and so fails', async () => {
    await assert.rejects(
      read(await stored(), first),
      (error: Error) => !(error instanceof UserError) && /abort|premature/i.test(error.message),
    )
  })

  test('whose store breaks: its failure is thrown unchanged', async () => {
    const reason = new UserError('storage-unreachable', 'no answer', 'wait')
    const broken = new Error('socket hang up')
    for (const failure of [reason, broken]) {
      const archive = await stored()
      archive.backup.storage = override(archive.backup.storage, {
        read: async () =>
          Readable.from(
            (async function* () {
              yield Buffer.from('age-encryption.org/v1\n')
              throw failure
            })(),
          ),
      })
      const use = async (opened: Readable): Promise<void> => {
        await buffer(opened).catch(() => {})
      }
      await assert.rejects(read(archive, use), (error) => error === failure)
      archive.backup.storage = override(archive.backup.storage, {
        read: () => Promise.reject(failure),
      })
      await assert.rejects(read(archive, use), (error) => error === failure)
      await assert.rejects(head(archive, use), (error) => error === failure)
    }
  })

  test('that is being read when the work is cancelled: the reason comes out', async () => {
    for (const open of [read, head]) {
      const stop = new AbortController()
      const reason = new Error('cancelled')
      const use = async (opened: Readable): Promise<string> => {
        await first(opened)
        stop.abort(reason)
        return 'as if nothing had happened'
      }
      await assert.rejects(
        open(await stored(), use, { work: quietWork(stop.signal) }),
        (error) => error === reason,
      )
    }
  })
})

describe('the beginning of an archive', () => {
  test('is read, and the rest is let go', async () => {
    const content = randomBytes(5_000_000)
    const archive = await stored(true, true, content)
    damage(archive, (bytes) => bytes.subarray(0, -5))
    const beginning = await head(archive, first)
    assert.ok(beginning.length > 0 && beginning.equals(content.subarray(0, beginning.length)))
  })

  test('that is damaged is reported before the error of its reader', async () => {
    const archive = await stored()
    damage(archive, flip(0))
    await assert.rejects(
      head(archive, buffer),
      fails('object-damaged', /: damaged: its header was changed\.$/),
    )
  })
})

describe('a file', () => {
  test('is written for its owner alone, and is never replaced', async () => {
    const { backup, object } = await stored()
    const file = join(temporaryFolder(), 'base')
    await fetchArchive(backup, object, [identity], file, quietWork())
    assert.ok(readFileSync(file).equals(bytes))
    assert.equal(statSync(file).mode & 0o777, 0o600)
    await assert.rejects(
      fetchArchive(backup, object, [identity], file, quietWork()),
      (error: NodeJS.ErrnoException) => error.code === 'EEXIST',
    )
  })

  test('that does not fit on the disk says so', async () => {
    const { backup, object } = await stored()
    const full = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
    backup.storage = override(backup.storage, { read: () => Promise.reject(full) })
    await assert.rejects(
      fetchArchive(backup, object, [identity], join(temporaryFolder(), 'base'), quietWork()),
      fails('disk-full', /full: base\.dump\.age does not fit into \//),
    )
  })
})

describe('the archives of a manifest', () => {
  const object = (name: string, kind: StoredArchive['kind'], bytes: number): StoredArchive => ({
    name,
    kind,
    bytes,
    sha256: '0'.repeat(64),
  })
  const objects = [
    object('small', 'rows', 1),
    object('base', 'base', 9),
    object('RECOVER.md', 'recovery-guide', 9),
    object('large', 'rows', 5),
    object('blobs', 'large-objects', 3),
  ]
  const names = (found: StoredArchive[]): string[] => found.map(({ name }) => name)
  const backup = (of: StoredArchive[]): FoundBackup =>
    ({ location: 'file:///here/id', manifest: { objects: of } }) as unknown as FoundBackup

  test('are all but the recovery guide; those of data are the largest first', () => {
    assert.deepEqual(names(archivesOf({ objects })), ['small', 'base', 'large', 'blobs'])
    assert.deepEqual(names(dataArchivesOf({ objects })), ['large', 'blobs', 'small'])
  })

  test('have one base', () => {
    assert.equal(baseOf(backup(objects)).name, 'base')
    assert.throws(
      () => baseOf(backup(objects.filter(({ kind }) => kind !== 'base'))),
      fails('manifest-damaged', /^The manifest of file:\/\/\/here\/id names no base archive\.$/),
    )
  })
})

test('only a missing object is reported as missing', () => {
  assert.throws(
    () => asMissing('here')(new ObjectMissing('key', 'there')),
    fails('object-missing', /^here is missing\.$/),
  )
  const other = new Error('refused')
  assert.throws(
    () => asMissing('here')(other),
    (error) => error === other,
  )
})
