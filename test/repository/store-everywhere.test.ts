import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { storeArchive, storeEverywhere, storeText } from '../../src/repository/write.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { digestOf } from '../../src/stream/digest.ts'
import { temporaryFolder } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { asRead, recipients } from './archives.ts'

const folder = (): Storage => openStorage(`file://${temporaryFolder()}`)

/** A destination that reads all it is given, and then fails. */
const failing = (reason: Error): Storage =>
  override(folder(), {
    create: async (_key: string, source: Readable) => {
      for await (const piece of source) void piece
      throw reason
    },
  })

const store = (...destinations: Storage[]): Promise<void> =>
  storeEverywhere(Readable.from([Buffer.from('bytes')]), [], 'key', destinations, quietWork())

test('a text is stored at every destination, and its digest comes back', async () => {
  for (const destinations of [[folder()], [folder(), folder()]]) {
    assert.deepEqual(
      await storeText('naïve', 'a/RECOVER.md', destinations, quietWork()),
      digestOf('naïve'),
    )
    for (const storage of destinations)
      assert.equal(await text(await storage.read('a/RECOVER.md')), 'naïve')
  }
})

describe('of several failures', () => {
  const named = (name: string, code?: string): Error =>
    Object.assign(new Error(name), code === undefined ? { name } : { code })
  const consequences = [
    named('AbortError'),
    named('closed', 'ERR_STREAM_PREMATURE_CLOSE'),
    named('destroyed', 'ERR_STREAM_DESTROYED'),
  ]
  const broken = new Error('socket hang up')
  const full = new UserError('storage-full', 'full', 'free space')

  for (const consequence of consequences)
    test(`the cause is thrown, and not its consequence: ${consequence.message}`, async () => {
      await assert.rejects(
        store(failing(consequence), failing(broken)),
        (error) => error === broken,
      )
      await assert.rejects(store(failing(consequence)), (error) => error === consequence)
    })

  test('one that the user can fix is thrown first', async () => {
    await assert.rejects(store(failing(broken), failing(full)), (error) => error === full)
  })
})

test('a destination that reads nothing lets the others, and the source, go', async () => {
  const reason = new Error('refused')
  const refusing = override(folder(), { create: () => Promise.reject(reason) })
  for (const destinations of [[refusing], [folder(), refusing]]) {
    const endless = new Readable({ read: () => {} })
    await assert.rejects(
      storeEverywhere(endless, [new PassThrough()], 'key', destinations, quietWork()),
      (error) => error === reason,
    )
    assert.ok(endless.destroyed)
  }
})

test('a destination that fails because the work was cancelled does not hide why', async () => {
  const stop = new AbortController()
  const reason = new Error('cancelled')
  const failure = new UserError('storage-unreachable', 'gone', 'wait')
  const stopping = override(folder(), {
    create: () => {
      stop.abort(reason)
      return Promise.reject(failure)
    },
  })
  await assert.rejects(
    storeText('text', 'key', [stopping], quietWork(stop.signal)),
    (error) => error === reason,
  )
})

describe('an archive', () => {
  const bytes = Buffer.from('an archive '.repeat(1000))

  for (const [compressed, encrypted, name] of [
    [true, true, 'base.dump.age'],
    [false, true, 'base.dump.zst.age'],
    [true, false, 'base.dump'],
    [false, false, 'base.dump.zst'],
  ] as const)
    test(`has a name that says how it is stored: ${name}`, async () => {
      const storage = folder()
      const object = await storeArchive(
        asRead(bytes),
        {
          name: 'base.dump',
          kind: 'rows',
          folder: 'a/',
          compressed,
          recipients: encrypted ? recipients : 'none',
          destinations: [storage],
        },
        quietWork(),
      )
      assert.deepEqual([object.name, object.kind], [name, 'rows'])
      assert.equal(object.plain?.compression, compressed ? 'none' : 'zstd')
      assert.equal(await storage.size(`a/${name}`), object.bytes)
      // the digest before encryption is of what we compressed
      const { bytes: length, sha256 } = digestOf(bytes)
      const isPlain = object.plain?.bytes === length && object.plain.sha256 === sha256
      assert.equal(isPlain, compressed)
      assert.equal(object.plain?.bytes === object.bytes, !encrypted)
    })

  test('of nothing is no archive, at any destination', async () => {
    for (const who of [recipients, 'none'] as const)
      await assert.rejects(
        storeArchive(
          asRead(Buffer.alloc(0)),
          {
            name: 'base.dump',
            folder: 'a/',
            compressed: true,
            recipients: who,
            destinations: [folder()],
          },
          quietWork(),
        ),
        (error: UserError) => error.code === 'dump-failed',
      )
  })
})
