import { createHash } from 'node:crypto'

/** The number of bytes of some data, and their SHA-256 in lower-case hex. */
export interface Digest {
  bytes: number
  sha256: string
}

/** A digest in progress. Call `result` once, after everything was added. */
export interface Digesting {
  add(data: Uint8Array): void
  result(): Digest
}

/** Starts a digest. */
export function digesting(): Digesting {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    add(data) {
      hash.update(data)
      bytes += data.length
    },
    result: () => ({ bytes, sha256: hash.digest('hex') }),
  }
}

/** Returns the digest of data in memory. A string counts as UTF-8. */
export function digestOf(data: Uint8Array | string): Digest {
  return { bytes: Buffer.byteLength(data), sha256: createHash('sha256').update(data).digest('hex') }
}
