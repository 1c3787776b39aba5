import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../src/errors.ts'
import type { FoundBackup } from '../../src/repository/listing.ts'
import type { StoredArchive } from '../../src/repository/manifest.ts'
import { checkObject, openArchive } from '../../src/repository/read.ts'
import { type ArchiveOptions, storeArchive } from '../../src/repository/write.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { digestOf } from '../../src/stream/digest.ts'
import { giveBack } from '../../src/stream/pieces.ts'
import { until } from '../support/clock.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { asRead, identity, recipients } from './archives.ts'

const top = mkdtempSync(join(tmpdir(), 'holdfast-archive-'))
after(() => rmSync(top, { recursive: true }))
let folders = 0
const folder = (): Storage => openStorage(`file://${top}/${++folders}`)
const filesOf = (storage: Storage): string[] => {
  const path = storage.url.slice('file://'.length)
  if (!existsSync(path)) return [] // nothing was written yet
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
}

const store = (
  archive: Readable,
  destinations: Storage[],
  options: Partial<ArchiveOptions> = {},
): Promise<StoredArchive> =>
  storeArchive(
    archive,
    {
      name: 'rows/01.dump',
      folder: 'shop/id/',
      compressed: true,
      recipients,
      destinations,
      ...options,
    },
    quietWork(),
  )

const backupAt = (storage: Storage, encrypted = true): FoundBackup =>
  ({
    storage,
    folder: 'shop/id/',
    location: storage.url,
    manifest: { encryption: encrypted ? { recipients } : 'none' },
  }) as unknown as FoundBackup

async function opened(storage: Storage, object: StoredArchive, encrypted = true): Promise<Buffer> {
  const archive = await openArchive(backupAt(storage, encrypted), object, [identity], quietWork())
  const out = new PassThrough()
  const [bytes] = await Promise.all([
    buffer(out),
    pipeline([archive.source, ...archive.stages, out]),
  ])
  archive.check()
  return bytes
}

/**
 * A destination that takes its time over each piece before it looks at it, and keeps what it saw.
 */
function slowly(milliseconds: number): Storage & { seen: Buffer[] } {
  const seen: Buffer[] = []
  const create = async (_key: string, source: Readable): Promise<{ bytes: number }> => {
    for await (const piece of source as AsyncIterable<Buffer>) {
      await sleep(milliseconds)
      seen.push(Buffer.from(piece))
      giveBack(piece)
    }
    return { bytes: 0 }
  }
  return override(folder(), { create, seen })
}

function failing(afterBytes: number, reason: Error): Storage {
  const create: Storage['create'] = async (_key, source) => {
    let bytes = 0
    for await (const piece of source as AsyncIterable<Buffer>)
      if ((bytes += piece.length) > afterBytes) throw reason
    return { bytes }
  }
  return override(folder(), { create })
}

describe('an archive', () => {
  for (const encrypted of [true, false])
    for (const compressed of [true, false]) {
      const how = `${encrypted ? 'encrypted' : 'plain'}, compressed by ${compressed ? 'pg_dump' : 'us'}`
      test(`${how}: comes back as it went, and its entry tells its digests`, async () => {
        for (const [size, cut] of [
          [1, 1],
          [70_000, 1000],
          [3_000_000, 65_536],
          [2_000_000, 12_345],
        ] as const) {
          const bytes = randomBytes(size)
          const [one, two] = [folder(), folder()]
          const object = await store(asRead(bytes, cut), [one, two], {
            compressed,
            recipients: encrypted ? recipients : 'none',
            kind: 'rows',
          })
          assert.equal(
            object.name,
            `rows/01.dump${compressed ? '' : '.zst'}${encrypted ? '.age' : ''}`,
          )
          assert.equal(object.kind, 'rows')
          for (const storage of [one, two]) {
            const stored = await buffer(await storage.read(`shop/id/${object.name}`))
            assert.deepEqual(digestOf(stored), { bytes: object.bytes, sha256: object.sha256 })
            assert.ok((await opened(storage, object, encrypted)).equals(bytes))
            await checkObject(backupAt(storage), object, quietWork())
          }
          if (compressed)
            assert.deepEqual(object.plain, { ...digestOf(bytes), compression: 'none' })
          else assert.equal(object.plain?.compression, 'zstd')
          if (!encrypted)
            assert.deepEqual(digestOf(await buffer(await one.read(`shop/id/${object.name}`))), {
              bytes: object.plain?.bytes,
              sha256: object.plain?.sha256,
            })
        }
      })
    }

  test('is a base where nothing else is said', async () => {
    const { kind } = await store(asRead(Buffer.from('x')), [folder()])
    assert.equal(kind, 'base')
  })

  test('of nothing is no archive', async () => {
    await assert.rejects(
      store(asRead(Buffer.alloc(0)), [folder()]),
      (error) => error instanceof UserError && error.code === 'dump-failed',
    )
  })

  test('reaches a slow destination unchanged, while a fast one is done with each piece at once', async () => {
    const bytes = randomBytes(8_000_000)
    const slow = slowly(5)
    const fast = folder()
    const object = await store(asRead(bytes), [fast, slow])
    assert.deepEqual(digestOf(Buffer.concat(slow.seen)), {
      bytes: object.bytes,
      sha256: object.sha256,
    })
    assert.ok((await opened(fast, object)).equals(bytes))
  })

  for (const count of [1, 2])
    test(`is read at the pace of the slowest of ${count}`, async () => {
      let given = 0
      const slow = slowly(20)
      let ahead = 0
      const source = Readable.from(
        (function* () {
          for (; given < 20_000_000; given += 65_536) {
            ahead = Math.max(ahead, given - slow.seen.reduce((sum, { length }) => sum + length, 0))
            yield Buffer.allocUnsafeSlow(65_536)
          }
        })(),
        { objectMode: false },
      )
      await store(source, count === 1 ? [slow] : [slow, folder()])
      assert.ok(ahead < 5_000_000, `${ahead} bytes were read ahead`)
    })

  for (const count of [1, 2])
    test(`one of ${count} destinations fails: the source is let go, the failure told, and nothing stored`, async () => {
      const reason = new UserError('storage-full', 'full', 'free space')
      const other = folder()
      const source = asRead(randomBytes(9_000_000))
      await assert.rejects(
        store(source, [failing(1_000_000, reason), ...(count === 2 ? [other] : [])]),
        (error) => error === reason,
      )
      assert.ok(source.destroyed)
      if (count === 2) await assert.rejects(other.read('shop/id/rows/01.dump.age'))
    })

  for (const count of [1, 2])
    test(`whose source fails is stored at none of ${count}`, async () => {
      const reason = new Error('pg_dump died')
      const destinations = Array.from({ length: count }, folder)
      const source = Readable.from(
        (function* () {
          for (let i = 0; i < 50; i++) yield Buffer.allocUnsafeSlow(65_536)
          throw reason
        })(),
        { objectMode: false },
      )
      await assert.rejects(store(source, destinations), (error) => error === reason)
      for (const storage of destinations) assert.deepEqual(filesOf(storage), [])
    })

  for (const count of [1, 2])
    test(`that is cancelled is stored at none of ${count}, and the cancel's reason comes out`, async () => {
      const stop = new AbortController()
      const reason = new Error('cancelled')
      const destinations = Array.from({ length: count }, folder)
      const source = asRead(randomBytes(2_000_000))
      void until('a file at each destination', () =>
        destinations.every((each) => filesOf(each).length > 0),
      ).then(() => stop.abort(reason))
      const endless = new PassThrough()
      source.pipe(endless, { end: false })
      await assert.rejects(
        storeArchive(
          endless,
          { name: 'a', folder: 'f/', compressed: true, recipients, destinations },
          quietWork(stop.signal),
        ),
        (error) => error === reason,
      )
      for (const storage of destinations) assert.deepEqual(filesOf(storage), [])
    })

  test('that was changed in the store is found: by checkObject, and by whoever opened it', async () => {
    const storage = folder()
    const object = await store(asRead(randomBytes(300_000)), [storage], { recipients: 'none' })
    const file = join(storage.url.slice('file://'.length), 'shop/id', object.name)
    const bytes = await buffer(await storage.read(`shop/id/${object.name}`))
    bytes[12_345] = (bytes[12_345] as number) ^ 1
    writeFileSync(file, bytes)
    const damaged = (error: unknown): boolean =>
      error instanceof UserError && error.code === 'object-damaged'
    await assert.rejects(checkObject(backupAt(storage, false), object, quietWork()), damaged)
    await assert.rejects(opened(storage, object, false), damaged)
  })
})
