import type { KeyObject } from 'node:crypto'
import { Transform } from 'node:stream'
import { Decrypter } from 'age-encryption'
import { UserError } from '../errors.ts'
import { chunkSize, nonceSize, openChunk, payloadKey, tagSize } from './age-payload.ts'
import { Gatherer, givesPieces, type Passing, release } from './gather.ts'
import { free } from './pieces.ts'

/**
 * A header of a dozen recipients is some kilobytes; one that goes on for longer is no age header.
 */
const longestHeader = 1024 * 1024
const sealedSize = chunkSize + tagSize

/**
 * A stage that decrypts with age identities (`AGE-SECRET-KEY-…`) what any `age` has sealed. It
 * fails with a UserError `wrong-key` when none of them opens the header, and `object-damaged` when
 * anything was changed, cut or added; what it has given until then was authentic.
 */
export function decrypting(
  identities: readonly string[],
  { before, after, owned = false }: Passing = {},
): Transform {
  let header: Buffer = Buffer.alloc(0)
  let key: KeyObject | undefined
  let counter = 0
  /**
   * The chunk that is coming in. It is opened only when a byte follows it: until then it may be the
   * last.
   */
  const pending = Buffer.allocUnsafeSlow(sealedSize)
  let filled = 0
  const out = new Gatherer((piece) => {
    after?.add(piece)
    stage.push(piece)
  })
  const open = (key: KeyObject, sealed: Buffer, last: boolean): void => {
    if (sealed.length < tagSize || (last && counter > 0 && sealed.length === tagSize))
      throw damaged('it ends too early')
    const plain = openChunk(key, counter++, last, sealed)
    if (!plain)
      throw damaged(
        last ? 'its end was changed or cut' : `it was changed near byte ${counter * chunkSize}`,
      )
    plain.copy(out.room(plain.length))
    free(plain)
  }
  const openPayload = (key: KeyObject, data: Buffer): void => {
    for (let at = 0; at < data.length;) {
      if (filled === sealedSize) {
        open(key, pending, false)
        filled = 0
      }
      if (filled === 0 && data.length - at > sealedSize) {
        open(key, data.subarray(at, at + sealedSize), false)
        at += sealedSize
        continue
      }
      const taken = data.copy(pending, filled, at)
      filled += taken
      at += taken
    }
  }
  /** Gives the first bytes of the payload, once the header is whole. */
  const openHeader = async (data: Buffer): Promise<Buffer | undefined> => {
    header = Buffer.concat([header, data])
    const end = headerEnd(header)
    if (end === undefined) {
      if (header.length > longestHeader || !looksLikeAge(header))
        throw damaged('it does not begin as an age file')
      return
    }
    if (header.length < end + nonceSize) return
    const fileKey = await fileKeyOf(header.subarray(0, end), identities)
    key = payloadKey(fileKey, header.subarray(end, end + nonceSize))
    return header.subarray(end + nonceSize)
  }
  const stage = new Transform({
    ...givesPieces,
    transform(data: Buffer, _encoding, done) {
      before?.add(data)
      if (!key) {
        openHeader(data)
          .then((rest) => {
            if (key && rest) openPayload(key, rest)
            release(data, owned)
          })
          .then(() => done(), done)
        return
      }
      try {
        openPayload(key, data)
      } catch (error) {
        return done(error as Error)
      }
      release(data, owned)
      done()
    },
    flush(done) {
      try {
        if (!key) throw damaged('it ends within its header')
        open(key, pending.subarray(0, filled), true)
        out.end()
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
  return stage
}

async function fileKeyOf(header: Buffer, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  for (const identity of identities) decrypter.addIdentity(identity)
  try {
    return await decrypter.decryptHeader(header)
  } catch (cause) {
    if (!/no identity matched/.test(String(cause))) throw damaged('its header was changed', cause)
    throw new UserError(
      'wrong-key',
      'None of the identities in decrypt-with opens this object.',
      'Give the identity whose public key the backup was encrypted to; if it is the right one, the object was damaged.',
      { cause },
    )
  }
}

function damaged(how: string, cause?: unknown): UserError {
  return new UserError(
    'object-damaged',
    `The encrypted object is damaged: ${how}.`,
    'Use another copy of this backup, or another backup.',
    { cause },
  )
}

function headerEnd(data: Buffer): number | undefined {
  const mac = data.indexOf('\n--- ')
  const end = mac < 0 ? -1 : data.indexOf('\n', mac + 1)
  return end < 0 ? undefined : end + 1
}

function looksLikeAge(data: Buffer): boolean {
  const magic = 'age-encryption.org/v1\n'
  return magic.startsWith(data.subarray(0, magic.length).toString('latin1'))
}
