import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, afterEach, before, describe, test } from 'node:test'
import { ObjectExists, ObjectMissing, type Storage } from '../../src/storage/storage.ts'

/** One storage under test. */
export interface Bench {
  /** A storage with an empty destination. */
  storage: Storage
  /** Larger objects take several requests, in bytes, if the storage has multipart uploads. */
  partSize: number
  /**
   * Returns everything in the destination, finished or not, as other tools see it: keys below its
   * prefix; partial uploads begin with `half:`.
   */
  everything(): Promise<string[]>
  /** Whether `everything` returns partial objects. */
  showsHalves: boolean
  /** Leaves a partial object under this key, as a killed writer does. */
  leaveHalf(key: string): Promise<void>
  close(): Promise<void>
}

/** Returns pseudo-random bytes, the same for each seed. */
export function noise(bytes: number, seed = 1): Buffer {
  const block = Buffer.concat(
    Array.from({ length: 2048 }, (_, index) =>
      createHash('sha256').update(`${seed}:${index}`).digest(),
    ),
  )
  const whole = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += block.length) {
    block.copy(whole, at)
    if (at + 4 <= bytes) whole.writeUInt32LE(at, at)
  }
  return whole
}

/** Returns a source that delivers the bytes in pieces of one size. */
export function inPieces(bytes: Buffer, piece = 64 * 1024): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece)
    })(),
    { objectMode: false },
  )
}

const bytesAt = async (storage: Storage, key: string): Promise<Buffer> =>
  await buffer(await storage.read(key))
const listed = async (storage: Storage, prefix = ''): Promise<string[]> =>
  (await all(storage.list(prefix))).map(({ key }) => key)

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** Tests the contract that every storage keeps. */
export function keepsTheContract(name: string, open: () => Promise<Bench>): void {
  describe(`storage contract: ${name}`, () => {
    let bench: Bench
    let storage: Storage
    before(async () => {
      bench = await open()
      storage = bench.storage
    })
    afterEach(() => storage.removeAll(''))
    after(() => bench.close())

    test('probe succeeds, repeatedly and concurrently, and leaves nothing', async () => {
      await storage.probe()
      await Promise.all([storage.probe(), storage.probe(), storage.probe()])
      assert.deepEqual(await bench.everything(), [])
    })

    test('an empty destination lists nothing, and a key has no size', async () => {
      assert.deepEqual(await listed(storage), [])
      assert.deepEqual(await listed(storage, 'no/such/'), [])
      assert.equal(await storage.size('no/such'), undefined)
      await assert.rejects(
        storage.read('no/such'),
        (error) => error instanceof ObjectMissing && error.key === 'no/such',
      )
    })

    test('objects of sizes around a part are read back unchanged', async () => {
      const { partSize } = bench
      for (const size of [
        0,
        1,
        65_536,
        partSize - 1,
        partSize,
        partSize + 1,
        2 * partSize,
        2 * partSize + 12_345,
      ]) {
        const key = `sizes/${size}`
        const bytes = noise(size)
        assert.deepEqual(await storage.create(key, inPieces(bytes, 70_001)), { bytes: size })
        assert.equal(await storage.size(key), size)
        assert.ok((await bytesAt(storage, key)).equals(bytes), `${size} bytes came back changed`)
      }
      await storage.removeAll('sizes/')
    })

    test('many small pieces make several parts', async () => {
      const bytes = noise(2 * bench.partSize + 7)
      await storage.create('pieces', inPieces(bytes, 997))
      assert.ok((await bytesAt(storage, 'pieces')).equals(bytes))
      await storage.remove(['pieces'])
    })

    test('create on a taken key fails and leaves the object unchanged', async () => {
      await storage.create('taken', inPieces(Buffer.from('first')))
      await assert.rejects(
        storage.create('taken', inPieces(Buffer.from('second'))),
        (error) => error instanceof ObjectExists && error.key === 'taken',
      )
      await assert.rejects(
        storage.create('taken', inPieces(noise(bench.partSize + 1))),
        ObjectExists,
      )
      assert.equal(String(await bytesAt(storage, 'taken')), 'first')
      assert.deepEqual(await bench.everything(), ['taken'])
      await storage.remove(['taken'])
    })

    test('of concurrent creates of one key exactly one succeeds, and its bytes are stored', async () => {
      for (const size of [10, bench.partSize + 1]) {
        const sources = [1, 2, 3, 4].map((seed) => noise(size, seed))
        const ends = await Promise.allSettled(
          sources.map((bytes) => storage.create('race', inPieces(bytes))),
        )
        const winners = sources.filter((_, index) => ends[index]?.status === 'fulfilled')
        assert.equal(
          winners.length,
          1,
          JSON.stringify(
            ends.map((end) => (end.status === 'rejected' ? String(end.reason) : 'won')),
          ),
        )
        for (const end of ends)
          if (end.status === 'rejected')
            assert.ok(end.reason instanceof ObjectExists, String(end.reason))
        assert.ok((await bytesAt(storage, 'race')).equals(winners[0] ?? Buffer.alloc(0)))
        assert.deepEqual(await bench.everything(), ['race'])
        await storage.remove(['race'])
      }
    })

    for (const [what, size] of [
      ['early', 1000],
      ['in the second part', 1.5],
      ['after two parts', 2.5],
    ] as const) {
      test(`a source that fails ${what} leaves nothing, and create rejects with its error`, async () => {
        const bytes = noise(size < 100 ? Math.round(size * bench.partSize) : size)
        const reason = new Error('the dump died')
        const source = Readable.from(
          (function* () {
            for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
            throw reason
          })(),
          { objectMode: false },
        )
        await assert.rejects(storage.create('half/object', source), (error) => error === reason)
        assert.deepEqual(await bench.everything(), [])
        assert.equal(await storage.size('half/object'), undefined)
      })

      test(`an abort ${what} leaves nothing, rejects with its reason, and destroys the source`, async () => {
        const bytes = noise(size < 100 ? Math.round(size * bench.partSize) : size)
        const stop = new AbortController()
        const reason = new Error('cancelled')
        let at = 0
        // It delivers nothing after its last byte, like a pg_dump that waits for a lock.
        const source = new Readable({
          read() {
            if (at >= bytes.length) return void setTimeout(() => stop.abort(reason), 30)
            this.push(bytes.subarray(at, at + 65_536))
            at += 65_536
          },
        })
        await assert.rejects(
          storage.create('half/object', source, { signal: stop.signal }),
          (error) => error === reason,
        )
        assert.ok(source.destroyed)
        assert.deepEqual(await bench.everything(), [])
      })
    }

    test('a signal that has already fired stops each call with its reason', async () => {
      const reason = new Error('too late')
      const signal = AbortSignal.abort(reason)
      const source = inPieces(Buffer.from('x'))
      await assert.rejects(storage.create('never', source, { signal }), (error) => error === reason)
      assert.ok(source.destroyed)
      await storage.create('there', inPieces(Buffer.from('x')))
      await assert.rejects(storage.read('there', { signal }), (error) => error === reason)
      await assert.rejects(storage.remove(['there'], { signal }), (error) => error === reason)
      assert.deepEqual(await bench.everything(), ['there'])
      await storage.remove(['there'])
    })

    test('an aborted reader fails with the reason; one that stops early ends without an error', async () => {
      const bytes = noise(2 * bench.partSize)
      await storage.create('long', inPieces(bytes))
      const stop = new AbortController()
      const reason = new Error('enough')
      const reading = await storage.read('long', { signal: stop.signal })
      await assert.rejects(
        async () => {
          for await (const piece of reading) {
            assert.ok(piece)
            stop.abort(reason)
          }
        },
        (error) => error === reason,
      )
      for await (const piece of await storage.read('long')) {
        assert.ok(piece)
        break
      }
      const unread = await storage.read('long')
      unread.destroy()
      await storage.remove(['long'])
    })

    test('list returns finished objects below a prefix, in byte order', async () => {
      const keys = [
        'a',
        'a-b/c',
        'a.b',
        'a/b',
        'a/b-c/d',
        'a/b.c',
        'a0',
        'B',
        'a/Z',
        'aa/b',
      ].filter((key) => key !== 'a')
      for (const key of keys) await storage.create(key, inPieces(Buffer.from(key)))
      await bench.leaveHalf('a/half')
      assert.deepEqual(
        await all(storage.list('')),
        keys.toSorted().map((key) => ({ key, bytes: key.length })),
      )
      assert.deepEqual(await listed(storage, 'a/'), ['a/Z', 'a/b', 'a/b-c/d', 'a/b.c'].toSorted())
      assert.deepEqual(await listed(storage, 'a/b-c/'), ['a/b-c/d'])
      assert.deepEqual(await listed(storage, 'a/b/'), [])
      await storage.removeAll('')
    })

    test('remove deletes what exists, ignores what does not, and keeps other objects', async () => {
      for (const key of ['r/1', 'r/2', 'r/3']) await storage.create(key, inPieces(Buffer.from(key)))
      await storage.remove(['r/1', 'r/none', 'none/at/all', 'r/3'])
      assert.deepEqual(await listed(storage), ['r/2'])
      await storage.remove([])
      await storage.remove(['r/2'])
      assert.deepEqual(await bench.everything(), [])
    })

    test('removeAll deletes finished and partial objects below its prefix, and no others', async () => {
      for (const key of ['s/1/a', 's/1/rows/b', 's/10/a', 's/2'])
        await storage.create(key, inPieces(Buffer.from(key)))
      await bench.leaveHalf('s/1/dump')
      await bench.leaveHalf('s/10/dump')
      assert.equal((await bench.everything()).length, bench.showsHalves ? 6 : 4)
      await storage.removeAll('s/1/')
      const left = await bench.everything()
      assert.deepEqual(await listed(storage), ['s/10/a', 's/2'])
      assert.equal(left.length, bench.showsHalves ? 3 : 2, left.join())
      await storage.removeAll('s/')
      await storage.removeAll('never/was/')
      assert.deepEqual(await bench.everything(), [])
    })

    test('keys that could leave the destination are refused', async () => {
      for (const key of ['../up', 'a/../b', '/abs', '', 'a//b', 'a/', 'a b', 'a~b', './a']) {
        await assert.rejects(storage.create(key, inPieces(Buffer.from('x'))), /not a storage key/)
        await assert.rejects(storage.read(key), /not a storage key/)
        await assert.rejects(storage.remove([key]), /not a storage key/)
      }
      for (const prefix of ['a', '../', '/', 'a/../']) {
        await assert.rejects(storage.removeAll(prefix), /not a storage/)
        await assert.rejects(all(storage.list(prefix)), /not a storage/)
      }
      assert.deepEqual(await bench.everything(), [])
    })

    test('a slow store holds the source back', async () => {
      let given = 0
      const source = Readable.from(
        (async function* () {
          for (;;) {
            given += 65_536
            yield Buffer.alloc(65_536)
            if (given > 24 * bench.partSize) return
            await new Promise((resolve) => setImmediate(resolve))
          }
        })(),
        { objectMode: false },
      )
      const rss = process.memoryUsage.rss()
      let most = 0
      const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss() - rss)), 10)
      try {
        const { bytes } = await storage.create('large', source)
        assert.equal(bytes, given)
        assert.ok(
          most < 18 * bench.partSize,
          `${Math.round(most / 1e6)} MB were held for ${Math.round(bytes / 1e6)} MB`,
        )
      } finally {
        clearInterval(watch)
        await storage.removeAll('')
      }
    })
  })
}
