import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { PassThrough, type Transform } from 'node:stream'
import { test } from 'node:test'
import {
  Decrypter,
  Encrypter,
  generateHybridIdentity,
  generateX25519Identity,
  identityToRecipient,
} from 'age-encryption'
import { UserError } from '../../src/errors.ts'
import { decrypting } from '../../src/stream/decrypt.ts'
import { checkIdentities, checkRecipients, encrypting } from '../../src/stream/encrypt.ts'
import { temporaryFolder } from '../support/copies.ts'

const chunk = 64 * 1024
const identity = await generateX25519Identity()
const recipient = await identityToRecipient(identity)

/** Pushes bytes through a stage in pieces of the given size. */
async function through(stage: Transform, data: Uint8Array, piece = 10_000): Promise<Buffer> {
  const pieces = function* (): Generator<Uint8Array> {
    for (let at = 0; at < data.length; at += piece) yield data.subarray(at, at + piece)
  }
  const out = new PassThrough()
  const [whole] = await Promise.all([buffer(out), pipeline(Readable.from(pieces()), stage, out)])
  return whole
}

for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 17]) {
  test(`${size} bytes come back, and age-encryption reads and writes the same format`, async () => {
    const plain = randomBytes(size)
    const sealed = await through(await encrypting([recipient]), plain)
    assert.deepEqual(await through(decrypting([identity]), sealed), plain)
    const theirs = new Decrypter()
    theirs.addIdentity(identity)
    assert.deepEqual(Buffer.from(await theirs.decrypt(new Uint8Array(sealed))), plain)
    const encrypter = new Encrypter()
    encrypter.addRecipient(recipient)
    assert.deepEqual(
      await through(decrypting([identity]), await encrypter.encrypt(new Uint8Array(plain))),
      plain,
    )
  })
}

test('the size of the pieces changes nothing', async () => {
  const plain = randomBytes(chunk + 300)
  const sealed = await through(await encrypting([recipient]), plain, 1)
  assert.deepEqual(await through(decrypting([identity]), sealed, 1), plain)
  assert.deepEqual(await through(decrypting([identity]), sealed, sealed.length), plain)
})

test('each of several recipients opens it, also a post-quantum one; another key does not', async () => {
  const hybrid = await generateHybridIdentity()
  const other = await generateX25519Identity()
  const sealed = await through(
    await encrypting([recipient, await identityToRecipient(hybrid)]),
    Buffer.from('x'),
  )
  for (const key of [identity, hybrid])
    assert.equal((await through(decrypting([other, key]), sealed)).toString(), 'x')
  await assert.rejects(
    through(decrypting([other]), sealed),
    (error: UserError) => error.code === 'wrong-key',
  )
})

test('a flipped bit is detected in every part of the format', async () => {
  const sealed = await through(await encrypting([recipient]), randomBytes(2 * chunk + 5))
  const start = sealed.indexOf('\n--- ')
  const places = [
    ...Array(start + 80).keys(),
    start + 80 + chunk,
    sealed.length - 40,
    sealed.length - 17,
    sealed.length - 1,
  ]
  for (const place of places) {
    const damaged = Buffer.from(sealed)
    damaged[place] = (damaged[place] as number) ^ 1
    await assert.rejects(
      through(decrypting([identity]), damaged),
      (error) => error instanceof UserError,
      `bit flipped in byte ${place}`,
    )
  }
})

test('a cut or an addition at the end is detected, also between two chunks', async () => {
  const sealed = await through(await encrypting([recipient]), randomBytes(2 * chunk))
  const header = sealed.length - 2 * (chunk + 16)
  for (const length of [
    0,
    10,
    header - 1,
    header,
    header + 15,
    header + 16,
    header + chunk + 16,
    sealed.length - 1,
  ])
    await assert.rejects(
      through(decrypting([identity]), sealed.subarray(0, length)),
      (error: UserError) => error.code === 'object-damaged',
      `cut to ${length}`,
    )
  await assert.rejects(
    through(decrypting([identity]), Buffer.concat([sealed, Buffer.from('x')])),
    (error: UserError) => error.code === 'object-damaged',
  )
})

test('stock age opens what encrypting writes, and decrypting opens what age writes', (t) => {
  if (spawnSync('age', ['--version']).error)
    return t.skip('NOT SHOWN: stock age is not on this machine')
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'key'), identity)
  return (async () => {
    const plain = randomBytes(200_000)
    const opened = spawnSync('age', ['-d', '-i', join(folder, 'key')], {
      input: await through(await encrypting([recipient]), plain),
      maxBuffer: 1 << 30,
    })
    assert.deepEqual(opened.stdout, plain)
    const sealed = spawnSync('age', ['-r', recipient], { input: plain, maxBuffer: 1 << 30 })
    assert.deepEqual(await through(decrypting([identity]), sealed.stdout), plain)
  })()
})

test('an invalid key is refused with the name of the input, and a private key is never shown', async () => {
  assert.doesNotThrow(() => checkRecipients([recipient], 'encrypt-to'))
  assert.throws(
    () => checkRecipients(['age1notakey'], 'encrypt-to'),
    /encrypt-to holds "age1notakey"/,
  )
  const shown = (error: Error): boolean =>
    error instanceof UserError &&
    /private key/.test(error.message) &&
    !(error.message + error.hint).includes(identity)
  assert.throws(() => checkRecipients([identity], 'encrypt-to'), shown)
  assert.throws(
    () => checkIdentities([identity, 'AGE-SECRET-KEY-1XX'], 'decrypt-with'),
    /decrypt-with: line 2 is not an age identity/,
  )
  assert.throws(
    () => checkIdentities([recipient], 'decrypt-with'),
    /a public key, which cannot decrypt/,
  )
})
