import type { KeyObject } from 'node:crypto'
import { Transform } from 'node:stream'
import { Decrypter } from 'age-encryption'
import { UserError } from '../errors.ts'
import { input, text } from '../text.ts'
import { chunkSize, nonceSize, openChunk, payloadKey, tagSize } from './age-payload.ts'
import { Gatherer, givesPieces, type Passing, release } from './gather.ts'
import { free } from './pieces.ts'

/** The maximum header size in bytes. A header of a dozen recipients takes some kilobytes. */
const maxHeader = 1024 * 1024
const sealedSize = chunkSize + tagSize

/**
 * Returns a stage that decrypts an age file with age identities (`AGE-SECRET-KEY-…`). It fails with
 * a UserError: `wrong-key` if no identity opens the header, `object-damaged` if anything was
 * changed, cut off or added. What it has delivered until then is authentic.
 */
export function decrypting(
  identities: readonly string[],
  { before, after, owned = false }: Passing = {},
): Transform {
  let beginning: Buffer = Buffer.alloc(0)
  let payload: PayloadOpener | undefined
  const out = new Gatherer((piece) => {
    after?.add(piece)
    stage.push(piece)
  })
  const addToHeader = async (data: Buffer): Promise<void> => {
    beginning = Buffer.concat([beginning, data])
    const parts = splitHeader(beginning)
    if (!parts) return
    const fileKey = await fileKeyOf(parts.header, identities)
    payload = new PayloadOpener(payloadKey(fileKey, parts.nonce), out)
    payload.add(parts.rest)
  }
  const stage = new Transform({
    ...givesPieces,
    transform(data: Buffer, _encoding, done) {
      before?.add(data)
      if (!payload) {
        addToHeader(data)
          .then(() => release(data, owned))
          .then(() => done(), done)
        return
      }
      try {
        payload.add(data)
        release(data, owned)
      } catch (error) {
        return done(error as Error)
      }
      done()
    },
    flush(done) {
      try {
        if (!payload) throw damaged('it ends within its header')
        payload.end()
        out.end()
      } catch (error) {
        return done(error as Error)
      }
      done()
    },
  })
  return stage
}

/** Opens the chunks of an age payload, in order, and writes what they contain to `out`. */
class PayloadOpener {
  readonly #key: KeyObject
  readonly #out: Gatherer
  /** The chunk being received. It is opened when a byte follows: until then it may be the last. */
  readonly #pending = Buffer.allocUnsafeSlow(sealedSize)
  #filled = 0
  #counter = 0

  constructor(key: KeyObject, out: Gatherer) {
    this.#key = key
    this.#out = out
  }

  add(data: Buffer): void {
    for (let at = 0; at < data.length;) {
      if (this.#filled === sealedSize) {
        this.#open(this.#pending, false)
        this.#filled = 0
      }
      // Without a copy, if the chunk and a byte after it are here.
      if (this.#filled === 0 && data.length - at > sealedSize) {
        this.#open(data.subarray(at, at + sealedSize), false)
        at += sealedSize
        continue
      }
      const copied = data.copy(this.#pending, this.#filled, at)
      this.#filled += copied
      at += copied
    }
  }

  /** Opens the last chunk. */
  end(): void {
    this.#open(this.#pending.subarray(0, this.#filled), true)
  }

  #open(sealed: Buffer, last: boolean): void {
    // Only the first chunk may be empty.
    if (sealed.length < tagSize || (sealed.length === tagSize && this.#counter > 0))
      throw damaged('it ends too early')
    const plain = openChunk(this.#key, this.#counter++, last, sealed)
    if (!plain)
      throw damaged(
        last
          ? 'its end was changed or cut off'
          : `it was changed near byte ${this.#counter * chunkSize}`,
      )
    plain.copy(this.#out.room(plain.length))
    free(plain)
  }
}

/**
 * Splits the beginning of an age file. Returns undefined while it is incomplete; throws if it is not
 * an age file.
 */
function splitHeader(data: Buffer): { header: Buffer; nonce: Buffer; rest: Buffer } | undefined {
  const mac = data.indexOf('\n--- ')
  const newline = mac < 0 ? -1 : data.indexOf('\n', mac + 1)
  if (newline < 0) {
    if (data.length > maxHeader || !looksLikeAge(data))
      throw damaged('it does not begin as an age file')
    return undefined
  }
  const end = newline + 1
  if (data.length < end + nonceSize) return undefined
  return {
    header: data.subarray(0, end),
    nonce: data.subarray(end, end + nonceSize),
    rest: data.subarray(end + nonceSize),
  }
}

function looksLikeAge(data: Buffer): boolean {
  const magic = 'age-encryption.org/v1\n'
  return magic.startsWith(data.subarray(0, magic.length).toString('latin1'))
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
      text`No identity in ${input('decrypt-with')} opens this object.`,
      'Use the identity whose public key the backup was encrypted to. If this is the right one, ' +
        'the object is damaged.',
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
