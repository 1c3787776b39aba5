import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import { giveBack } from '../../stream/pieces.ts'
import type { Claim, PartBuffers } from './part-buffers.ts'

/** A part of an object. Its consumer returns the buffer. */
export interface Part {
  /** From 1. */
  number: number
  body: Buffer
  buffer: Buffer
  /** The CRC32 of the body. */
  crc: number
  /** No part follows. An empty source makes one empty part. */
  last: boolean
}

/** The number of parts that S3 takes for one object. */
export const maxParts = 10_000

/**
 * Returns the size in bytes of part `number` (from 1), given that of the first. It doubles after
 * each 1,000 parts: from 8 MiB, 10,000 parts hold 7.8 TiB, and objects below 7.8 GiB need no larger
 * buffer.
 */
export function partSizeOf(number: number, first: number): number {
  return first * 2 ** Math.floor((number - 1) / 1000)
}

/**
 * Copies a source with pieces of any size into parts. A full part is held back until a byte follows,
 * so that the last part is known to be the last. While it waits for a buffer, the source is not
 * read.
 */
export async function* fillParts(
  source: Readable,
  buffers: PartBuffers,
  claim: Claim,
  partSize: number,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  let buffer: Buffer | undefined
  let length = 0
  let number = 1
  let crc = 0
  const take = (last: boolean, from: Buffer): Part => {
    const part = { number: number++, body: from.subarray(0, length), buffer: from, crc, last }
    if (part.number > maxParts) throw new Error(`an object of more than ${maxParts} parts`)
    buffer = undefined
    length = 0
    crc = 0
    return part
  }
  try {
    for await (const chunk of source as AsyncIterable<Buffer | string>) {
      const piece = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      for (let at = 0; at < piece.length;) {
        if (buffer && length === buffer.length) yield take(false, buffer)
        buffer ??= await buffers.take(claim, partSizeOf(number, partSize), signal)
        const copied = piece.copy(buffer, length, at)
        crc = crc32(buffer.subarray(length, length + copied), crc)
        length += copied
        at += copied
      }
      giveBack(piece)
    }
    buffer ??= await buffers.take(claim, partSizeOf(number, partSize), signal)
    yield take(true, buffer)
  } finally {
    if (buffer) buffers.give(claim, buffer)
  }
}
