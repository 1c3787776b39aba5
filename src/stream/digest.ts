import { createHash } from 'node:crypto'
import { Transform } from 'node:stream'

/** What went by: how many bytes, and their SHA-256 in lower-case hex. */
export interface Digest {
  bytes: number
  sha256: string
}

/** A stream that changes nothing and remembers what went by. `result` is to be asked once, after the stream has finished. */
export function digesting(): { stream: Transform; result: () => Digest } {
  const hash = createHash('sha256')
  let bytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      bytes += chunk.length
      done(null, chunk)
    },
  })
  return { stream, result: () => ({ bytes, sha256: hash.digest('hex') }) }
}

/** The digest of bytes that are at hand. */
export function digestOf(data: Uint8Array | string): Digest {
  return { bytes: Buffer.byteLength(data), sha256: createHash('sha256').update(data).digest('hex') }
}
