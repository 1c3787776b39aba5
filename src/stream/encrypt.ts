import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { UserError } from '../errors.ts'

/**
 * The age format (age-encryption.org/v1), as streams: any stock `age` opens what this writes, and the other way round.
 *
 * The `age-encryption` package makes and opens the header, whatever the kind of recipient. The payload is sealed here by
 * node:crypto, which is several times as fast: 64 KiB chunks of ChaCha20-Poly1305 under HKDF-SHA256(file key, nonce, "payload"),
 * each chunk's nonce an 11-byte big-endian counter and a byte that is 1 for the last chunk only. So a payload that was
 * cut at a chunk's border does not open either.
 */
const chunkSize = 64 * 1024
const tagSize = 16
const nonceSize = 16
/** A header of a dozen recipients is some kilobytes; one that goes on for longer is no age header. */
const longestHeader = 1024 * 1024

/** A stream that encrypts to age recipients (`age1…`), at least one. */
export async function encrypting(recipients: readonly string[]): Promise<Transform> {
  let fileKey: Uint8Array | undefined
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  encrypter.addRecipient({
    wrapFileKey(key) {
      fileKey = key.slice()
      return []
    },
  })
  const empty = await encrypter.encrypt(new Uint8Array(0))
  if (!fileKey) throw new Error('age-encryption asked for no stanza')
  const header = empty.subarray(0, empty.length - nonceSize - tagSize)
  const nonce = randomBytes(nonceSize)
  const key = payloadKey(fileKey, nonce)
  let counter = 0
  const pending = Buffer.allocUnsafe(chunkSize)
  let filled = 0
  const seal = (last: boolean): Buffer => {
    const cipher = createCipheriv('chacha20-poly1305', key, chunkNonce(counter++, last), { authTagLength: tagSize })
    const body = cipher.update(pending.subarray(0, filled))
    cipher.final()
    filled = 0
    return Buffer.concat([body, cipher.getAuthTag()])
  }
  return new Transform({
    construct(done) {
      this.push(Buffer.concat([header, nonce]))
      done()
    },
    transform(data: Buffer, _encoding, done) {
      for (let at = 0; at < data.length; ) {
        if (filled === chunkSize) this.push(seal(false)) // only now is it known not to be the last
        const taken = data.copy(pending, filled, at)
        filled += taken
        at += taken
      }
      done()
    },
    flush(done) {
      this.push(seal(true))
      done()
    },
  })
}

/**
 * A stream that decrypts with age identities (`AGE-SECRET-KEY-…`). It fails with a UserError `wrong-key` when none of them
 * opens the header, and `object-damaged` when anything was changed, cut or added; what it has given until then was authentic.
 */
export function decrypting(identities: readonly string[]): Transform {
  let gathered: Buffer = Buffer.alloc(0)
  let key: Buffer | undefined
  let counter = 0
  const open = (sealed: Buffer, last: boolean): Buffer => {
    if (sealed.length < tagSize || (last && counter > 0 && sealed.length === tagSize)) throw damaged('it ends too early')
    const decipher = createDecipheriv('chacha20-poly1305', key as Buffer, chunkNonce(counter++, last), { authTagLength: tagSize })
    decipher.setAuthTag(sealed.subarray(sealed.length - tagSize))
    const body = decipher.update(sealed.subarray(0, sealed.length - tagSize))
    try {
      decipher.final()
    } catch {
      throw damaged(last ? 'its end was changed or cut' : `it was changed near byte ${counter * chunkSize}`)
    }
    return body
  }
  const openHeader = async (): Promise<void> => {
    const end = headerEnd(gathered)
    if (end === undefined) {
      if (gathered.length > longestHeader || !looksLikeAge(gathered)) throw damaged('it does not begin as an age file')
      return
    }
    if (gathered.length < end + nonceSize) return
    const fileKey = await fileKeyOf(gathered.subarray(0, end), identities)
    key = payloadKey(fileKey, gathered.subarray(end, end + nonceSize))
    gathered = gathered.subarray(end + nonceSize)
  }
  const sealedSize = chunkSize + tagSize
  return new Transform({
    transform(data: Buffer, _encoding, done) {
      gathered = gathered.length ? Buffer.concat([gathered, data]) : data
      const work = async (): Promise<void> => {
        if (!key) await openHeader()
        if (!key) return
        // a chunk is opened only when a byte follows it: until then it may be the last
        while (gathered.length > sealedSize) {
          this.push(open(gathered.subarray(0, sealedSize), false))
          gathered = gathered.subarray(sealedSize)
        }
      }
      work().then(() => done(), done)
    },
    flush(done) {
      try {
        if (!key) throw damaged('it ends within its header')
        this.push(open(gathered, true))
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

/** Throws a UserError unless every line is an age recipient. `input` names the input they came from. */
export function checkRecipients(recipients: readonly string[], input: string): void {
  for (const recipient of recipients) {
    if (/^AGE-SECRET-KEY-/i.test(recipient)) {
      throw new UserError(
        'bad-recipient',
        `${input} holds a private key (an age identity) where a public key belongs.`,
        'Put the line that begins with "age1" there (age-keygen -y shows it), and make a new key if this one was shown to anybody.',
      )
    }
    try {
      new Encrypter().addRecipient(recipient)
    } catch (cause) {
      throw new UserError(
        'bad-recipient',
        `${input} holds "${recipient.slice(0, 80)}", which is not an age public key.`,
        'A public key begins with "age1" and is one line of the output of: age-keygen -o key.txt',
        { cause },
      )
    }
  }
}

/** Throws a UserError unless every line is an age identity; the message never shows one. */
export function checkIdentities(identities: readonly string[], input: string): void {
  for (const [i, identity] of identities.entries()) {
    try {
      new Decrypter().addIdentity(identity)
    } catch (cause) {
      const what = /^age1/.test(identity) ? 'a public key, which cannot decrypt' : 'not an age identity'
      throw new UserError(
        'bad-identity',
        `${input}: line ${i + 1} is ${what}.`,
        'An age identity is one line that begins with "AGE-SECRET-KEY-"; store the whole line as a secret, without quotes.',
        { cause },
      )
    }
  }
}

/** The public keys of some identities, in their order. */
export function recipientsOf(identities: readonly string[]): Promise<string[]> {
  return Promise.all(identities.map((identity) => identityToRecipient(identity)))
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
  return new UserError('object-damaged', `The encrypted object is damaged: ${how}.`, 'Use another copy of this backup, or another backup.', { cause })
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

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32))
}

/** `counter` stays below 2^48: that is 16 EiB of payload. */
function chunkNonce(counter: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(counter, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}
