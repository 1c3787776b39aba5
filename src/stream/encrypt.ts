import { randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { UserError } from '../errors.ts'
import { input, text } from '../text.ts'
import { chunkSize, nonceSize, payloadKey, sealChunk, tagSize } from './age-payload.ts'
import { Gatherer, givesPieces, type Passing, release } from './gather.ts'

/**
 * Returns a stage that encrypts to one or more age recipients (`age1…`) in the age format
 * (age-encryption.org/v1): stock `age` opens what it writes. The `age-encryption` package makes the
 * header, for any kind of recipient. node:crypto seals the payload, several times as fast. Both
 * sides are digested in the same step, while the bytes are in the processor's cache.
 */
export async function encrypting(
  recipients: readonly string[],
  { before, after, owned = false }: Passing = {},
): Promise<Transform> {
  const { header, fileKey } = await headerFor(recipients)
  const nonce = randomBytes(nonceSize)
  const key = payloadKey(fileKey, nonce)
  const pending = Buffer.allocUnsafeSlow(chunkSize)
  let filled = 0
  let counter = 0
  const passOn = (piece: Buffer): void => {
    after?.add(piece)
    stage.push(piece)
  }
  const out = new Gatherer(passOn)
  const seal = (last: boolean): void => {
    sealChunk(key, counter++, last, pending.subarray(0, filled), out.room(filled + tagSize))
    filled = 0
  }
  const stage = new Transform({
    ...givesPieces,
    construct(done) {
      passOn(Buffer.concat([header, nonce]))
      done()
    },
    transform(data: Buffer, _encoding, done) {
      before?.add(data)
      for (let at = 0; at < data.length;) {
        if (filled === chunkSize) seal(false) // a byte follows: it is not the last chunk
        const taken = data.copy(pending, filled, at)
        filled += taken
        at += taken
      }
      release(data, owned)
      done()
    },
    flush(done) {
      seal(true)
      out.end()
      done()
    },
  })
  return stage
}

async function headerFor(
  recipients: readonly string[],
): Promise<{ header: Uint8Array; fileKey: Uint8Array }> {
  let fileKey: Uint8Array | undefined
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  // The package gives the file key to recipients only, so this adds one that writes no stanza.
  encrypter.addRecipient({
    wrapFileKey(key) {
      fileKey = key.slice()
      return []
    },
  })
  const empty = await encrypter.encrypt(new Uint8Array(0))
  if (!fileKey) throw new Error('age-encryption asked for no stanza')
  return { header: empty.subarray(0, empty.length - nonceSize - tagSize), fileKey }
}

/** What to do about a private key in the place of a public one. */
export const privateKeyHint =
  'Pass the public key (age1…): age-keygen -y key.txt prints it. ' +
  'If anyone saw this private key, make a new pair.'

/**
 * Throws a UserError unless every line is an age recipient. `inputName` is the input with the lines.
 */
export function checkRecipients(recipients: readonly string[], inputName: string): void {
  for (const recipient of recipients) {
    if (/^AGE-SECRET-KEY-/i.test(recipient)) {
      throw new UserError(
        'bad-recipient',
        text`${input(inputName)} is a private key, not a public key.`,
        privateKeyHint,
      )
    }
    try {
      new Encrypter().addRecipient(recipient)
    } catch (cause) {
      throw new UserError(
        'bad-recipient',
        text`${input(inputName)} holds "${recipient.slice(0, 80)}", which is not an age public key.`,
        'A public key begins with "age1". age-keygen -o key.txt makes a key pair and prints it.',
        { cause },
      )
    }
  }
}

/**
 * Throws a UserError unless every line is an age identity; the message never shows one.
 * `inputName` is the input with the lines.
 */
export function checkIdentities(identities: readonly string[], inputName: string): void {
  for (const [i, identity] of identities.entries()) {
    try {
      new Decrypter().addIdentity(identity)
    } catch (cause) {
      const problem = /^age1/.test(identity)
        ? 'a public key, which cannot decrypt'
        : 'not an age identity'
      throw new UserError(
        'bad-identity',
        text`${input(inputName)}: line ${i + 1} is ${problem}.`,
        'An age identity is one line that begins with "AGE-SECRET-KEY-". ' +
          'Store the complete line as a secret, without quotes.',
        { cause },
      )
    }
  }
}

/** Returns the public keys of the identities, in the same order. */
export function recipientsOf(identities: readonly string[]): Promise<string[]> {
  return Promise.all(identities.map((identity) => identityToRecipient(identity)))
}
