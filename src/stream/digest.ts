import { createHash } from 'node:crypto'

/** What went by: how many bytes, and their SHA-256 in lower-case hex. */
export interface Digest {
  bytes: number
  sha256: string
}

/** A digest that is being taken. `result` is to be asked once, when everything was added. */
export interface Digesting {
  add(data: Uint8Array): void
  result(): Digest
}

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

/** The digest of bytes that are at hand. */
export function digestOf(data: Uint8Array | string): Digest {
  return { bytes: Buffer.byteLength(data), sha256: createHash('sha256').update(data).digest('hex') }
}
