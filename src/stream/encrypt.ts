import { randomBytes } from 'node:crypto'
import { Transform } from 'node:stream'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { UserError } from '../errors.ts'
import { chunkSize, nonceSize, payloadKey, sealChunk, tagSize } from './age-payload.ts'
import { Gatherer, givesPieces, type Passing, release } from './gather.ts'

/**
 * A stage that encrypts to age recipients (`age1…`), at least one, in the age format
 * (age-encryption.org/v1): any stock `age` opens what this writes. The `age-encryption` package
 * makes the header, whatever the kind of recipient. The payload is sealed by node:crypto, which is
 * several times as fast, and digested on both sides in the same step, while it is in the
 * processor's cache.
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
  const handOn = (piece: Buffer): void => {
    after?.add(piece)
    stage.push(piece)
  }
  const out = new Gatherer(handOn)
  const seal = (last: boolean): void => {
    sealChunk(key, counter++, last, pending.subarray(0, filled), out.room(filled + tagSize))
    filled = 0
  }
  const stage = new Transform({
    ...givesPieces,
    construct(done) {
      handOn(Buffer.concat([header, nonce]))
      done()
    },
    transform(data: Buffer, _encoding, done) {
      before?.add(data)
      for (let at = 0; at < data.length;) {
        if (filled === chunkSize) seal(false) // only now is it known not to be the last
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
  // one more recipient, which takes no room in the header: the file key is told to recipients only
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

/**
 * Throws a UserError unless every line is an age recipient. `input` names the input they came from.
 */
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
      const what = /^age1/.test(identity)
        ? 'a public key, which cannot decrypt'
        : 'not an age identity'
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
