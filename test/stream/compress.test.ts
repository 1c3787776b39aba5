import assert from 'node:assert/strict'
import { Readable, type Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { compressing, decompressing } from '../../src/stream/compress.ts'

const lines = (bytes: number): Buffer =>
  Buffer.from(Array.from({ length: bytes / 8 }, (_, i) => `row ${i}\n`).join('')).subarray(0, bytes)

async function through(pieces: Buffer[], stage: Transform): Promise<Buffer> {
  const [, result] = await Promise.all([pipeline(Readable.from(pieces), stage), buffer(stage)])
  return result
}

test('compressed data comes back, and a frame cut anywhere fails', async () => {
  for (const bytes of [0, 1000, 131072, 131080, 500_000]) {
    const text = lines(bytes)
    const whole = await through(
      Array.from({ length: Math.ceil(bytes / 8192) }, (_, i) =>
        text.subarray(i * 8192, (i + 1) * 8192),
      ),
      compressing(),
    )
    assert.deepEqual(await through([whole], decompressing()), text)
    const few = Array.from({ length: 12 }, (_, i) => i + 1)
    const cuts = [...few, ...few.map((i) => Math.floor((whole.length * i) / 13))].filter(
      (cut) => cut < whole.length,
    )
    for (const cut of cuts)
      await assert.rejects(
        through([whole.subarray(0, -cut)], decompressing()),
        (error: Error & { code?: string }) => /^(ZSTD|Z)_/.test(error.code ?? ''),
        `${bytes} bytes, ${cut} cut off`,
      )
  }
})
