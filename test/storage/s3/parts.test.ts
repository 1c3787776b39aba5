import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { PartBuffers } from '../../../src/storage/s3/part-buffers.ts'
import { fillParts, maxParts, partSizeOf } from '../../../src/storage/s3/parts.ts'
import { inPieces, noise } from '../contract.ts'

const never = new AbortController().signal

describe('parts', () => {
  test("10,000 parts hold over 5 TiB, each at most 5 GiB; up to 7 GiB all have the first one's size", () => {
    let total = 0
    for (let number = 1; number <= maxParts; number++) {
      const size = partSizeOf(number, 8 << 20)
      assert.ok(size >= 8 << 20 && size <= 5 * 2 ** 30)
      total += size
      if (total <= 7 * 2 ** 30) assert.equal(size, 8 << 20)
    }
    assert.ok(total > 5 * 2 ** 40)
  })

  test('for pieces of any size, all parts but the last are full, and the last is marked', async () => {
    for (const [size, piece] of [
      [0, 10],
      [1, 10],
      [99, 10],
      [100, 10],
      [101, 10],
      [300, 100],
      [300, 7],
      [305, 1000],
    ] as const) {
      const buffers = new PartBuffers(1000)
      const claim = { held: 0 }
      const bytes = noise(size)
      const seen: { length: number; last: boolean }[] = []
      const whole: Buffer[] = []
      for await (const part of fillParts(inPieces(bytes, piece), buffers, claim, 100, never)) {
        assert.equal(part.number, seen.length + 1)
        seen.push({ length: part.body.length, last: part.last })
        whole.push(Buffer.from(part.body))
        assert.equal(part.crc, crc32(part.body))
        buffers.give(claim, part.buffer)
      }
      assert.ok(Buffer.concat(whole).equals(bytes))
      assert.deepEqual(
        seen.map(({ last }) => last),
        seen.map((_, index) => index === seen.length - 1),
      )
      assert.ok(seen.slice(0, -1).every(({ length }) => length === 100))
      assert.equal(seen.length, Math.max(1, Math.ceil(size / 100)))
      assert.equal(claim.held, 0)
    }
  })

  test('the parts of an object of many parts grow', async () => {
    const buffers = new PartBuffers(1000)
    const claim = { held: 0 }
    const sizes: number[] = []
    for await (const part of fillParts(
      inPieces(noise(1000 + 2000 + 4 * 3 + 1)),
      buffers,
      claim,
      1,
      never,
    )) {
      sizes.push(part.body.length)
      buffers.give(claim, part.buffer)
    }
    assert.deepEqual(sizes, [
      ...Array<number>(1000).fill(1),
      ...Array<number>(1000).fill(2),
      4,
      4,
      4,
      1,
    ])
  })

  test('a source that fails returns its buffer', async () => {
    const buffers = new PartBuffers(100)
    const claim = { held: 0 }
    const source = Readable.from(
      (function* () {
        yield Buffer.from('abc')
        throw new Error('broken')
      })(),
    )
    await assert.rejects(async () => {
      for await (const part of fillParts(source, buffers, claim, 100, never))
        assert.fail(`part ${part.number}`)
    }, /broken/)
    assert.equal(claim.held, 0)
  })
})

describe('part buffers', () => {
  test('stay within the budget and are reused', async () => {
    const buffers = new PartBuffers(300)
    const claim = { held: 0 }
    const taken = [
      await buffers.take(claim, 100, never),
      await buffers.take(claim, 100, never),
      await buffers.take(claim, 100, never),
    ]
    let fourth: Buffer | undefined
    const waiting = buffers.take(claim, 100, never).then((buffer) => (fourth = buffer))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(fourth, undefined)
    buffers.give(claim, taken[1] as Buffer)
    assert.equal(await waiting, taken[1])
    assert.equal(buffers.peak, 300)
  })

  test('each upload may have one, so that uploads that wait for each other proceed', async () => {
    const buffers = new PartBuffers(100)
    const claims = Array.from({ length: 5 }, () => ({ held: 0 }))
    await Promise.all(claims.map((claim) => buffers.take(claim, 100, never)))
    const [claim = { held: 0 }] = claims
    const held = await new PartBuffers(0).take({ held: 0 }, 10, never)
    assert.equal(held.length, 10)
    const second = buffers.take(claim, 100, AbortSignal.timeout(30))
    await assert.rejects(second, { name: 'TimeoutError' })
    assert.equal(claim.held, 1)
  })

  test('an upload over the budget is served once its own buffer comes back', async () => {
    const buffers = new PartBuffers(100)
    const [a, b] = [{ held: 0 }, { held: 0 }]
    const ofA = await buffers.take(a, 100, never)
    await buffers.take(b, 100, never)
    const next = buffers.take(a, 100, never)
    buffers.give(a, ofA)
    assert.equal(await next, ofA)
  })
})
