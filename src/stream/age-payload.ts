import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import { free } from './pieces.ts'

/**
 * The payload of an age file is a sequence of chunks: 64 KiB each, sealed by ChaCha20-Poly1305 under
 * HKDF-SHA256(file key, nonce, "payload"). A chunk's nonce is an 11-byte big-endian counter and a
 * byte that is 1 for the last chunk only. So a payload cut between two chunks does not open either.
 */
export const chunkSize = 64 * 1024
export const tagSize = 16
/** The size of the payload's nonce, which is between the header and the chunks. */
export const nonceSize = 16

const cipherName = 'chacha20-poly1305'
const options = { authTagLength: tagSize }

/**
 * Returns the payload key, as a key object: Node would parse plain bytes again for each chunk, which
 * takes as long as sealing it.
 */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)))
}

/** Seals one chunk into `room`, which is `tagSize` bytes longer than `plain`. */
export function sealChunk(
  key: KeyObject,
  counter: number,
  last: boolean,
  plain: Buffer,
  room: Buffer,
): void {
  const cipher = createCipheriv(cipherName, key, chunkNonce(counter, last), options)
  const sealed = cipher.update(plain)
  cipher.final()
  sealed.copy(room)
  cipher.getAuthTag().copy(room, plain.length)
  free(sealed)
}

/**
 * Opens one chunk. Returns undefined if it was not sealed as that chunk under this key. Nothing else
 * refers to the buffer that it returns.
 */
export function openChunk(
  key: KeyObject,
  counter: number,
  last: boolean,
  sealed: Buffer,
): Buffer | undefined {
  const decipher = createDecipheriv(cipherName, key, chunkNonce(counter, last), options)
  const end = sealed.length - tagSize
  decipher.setAuthTag(sealed.subarray(end))
  const plain = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return plain
}

/** `counter` stays below 2^48: that is 16 EiB of payload. */
function chunkNonce(counter: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(counter, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}
