import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Gatherer, release } from '../../src/stream/gather.ts'
import { free, giveBack, pieceSize, Pool, shareAmong } from '../../src/stream/pieces.ts'

test('a piece that was given back is reused; one in use is not', () => {
  const pool = new Pool(100)
  const first = pool.take()
  const second = pool.take()
  assert.notEqual(second, first)
  giveBack(first)
  assert.equal(pool.take(), first)
  assert.notEqual(pool.take(), second)
})

test('giving back a part of a piece gives back the piece', () => {
  const pool = new Pool(100)
  const piece = pool.take()
  giveBack(piece.subarray(0, 40))
  assert.equal(pool.take(), piece)
})

test('a piece with several readers is reused when the last one has given it back', () => {
  const pool = new Pool(100)
  const piece = pool.take()
  shareAmong(3, piece)
  giveBack(piece)
  giveBack(piece)
  assert.notEqual(pool.take(), piece)
  giveBack(piece)
  assert.equal(pool.take(), piece)
  assert.notEqual(pool.take(), piece)
})

test('giving a piece back once too often throws, also for a part of it', () => {
  const pool = new Pool(100)
  const piece = pool.take()
  giveBack(piece)
  assert.throws(() => giveBack(piece), /given back more often/)
  assert.throws(() => release(piece.subarray(0, 40), true), /given back more often/)
  const shared = pool.take()
  shareAmong(2, shared)
  giveBack(shared)
  giveBack(shared)
  assert.throws(() => giveBack(shared), /given back more often/)
  assert.equal(pool.take(), shared)
  assert.notEqual(pool.take(), shared)
})

test('a buffer of no pool is left alone', () => {
  const own = Buffer.from('text')
  giveBack(own)
  shareAmong(2, own)
  assert.equal(own.toString(), 'text')
})

test('free releases the memory of a buffer that does not share it, and of no other', () => {
  const own = Buffer.allocUnsafeSlow(100)
  free(own)
  assert.equal(own.length, 0)
  const part = Buffer.alloc(100, 7).subarray(0, 50)
  free(part)
  assert.deepEqual(part, Buffer.alloc(50, 7))
})

test('for input of any cut, gathered pieces are the same bytes, and all but the last are full', () => {
  const bytes = randomBytes(3 * pieceSize + 17)
  for (const cut of [1, 1000, 65_536, pieceSize, 2 * pieceSize + 1]) {
    const pieces: Buffer[] = []
    const gatherer = new Gatherer((piece) => {
      pieces.push(Buffer.from(piece))
      giveBack(piece)
    })
    for (let at = 0; at < bytes.length; at += cut) gatherer.add(bytes.subarray(at, at + cut))
    gatherer.end()
    gatherer.end()
    assert.deepEqual(
      pieces.map(({ length }) => length),
      [pieceSize, pieceSize, pieceSize, 17],
    )
    assert.ok(Buffer.concat(pieces).equals(bytes), `cut to ${cut}`)
  }
})
