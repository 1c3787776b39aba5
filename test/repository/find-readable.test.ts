import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { UserError } from '../../src/errors.ts'
import { findReadable } from '../../src/repository/find-readable.ts'
import { newStore } from '../support/copies.ts'
import { quietWork } from '../support/start-servers.ts'
import { putBackup, rewrite } from './backup-index.ts'

const id = '20261101T030000Z-aa0001'
const store = await newStore()
putBackup(store, id)
const foreign = await generateX25519Identity()
const second = await generateX25519Identity()
const [foreignKey, secondKey] = [
  await identityToRecipient(foreign),
  await identityToRecipient(second),
]

const open = async (...identities: string[]): Promise<string> =>
  (await findReadable({ ...store.reading, identities }, quietWork())).manifest.id

const refused =
  (code: string, message: string, hint: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof UserError, String(error))
    assert.deepEqual([error.code, error.message, error.hint], [code, message, hint])
    return true
  }

test('an encrypted backup is opened with one of its keys, among others', async () => {
  assert.equal(await open(store.identity), id)
  assert.equal(await open(foreign, store.identity), id)
  rewrite(store, id, (manifest) => ({
    ...manifest,
    encryption: { recipients: [secondKey, store.recipient] },
  }))
  assert.equal(await open(store.identity), id)
  assert.equal(await open(second, foreign), id)
})

test('an encrypted backup without a key, or with others, is refused', async () => {
  rewrite(store, id, (manifest) => ({
    ...manifest,
    encryption: { recipients: [secondKey, store.recipient] },
  }))
  const to = `It was encrypted to ${secondKey}, ${store.recipient}.`
  await assert.rejects(
    open(),
    refused(
      'key-missing',
      `The backup ${id} is encrypted, and decrypt-with is empty.`,
      `${to} Give the age identity that belongs to one of these keys: decrypt-with: \${{ secrets.BACKUP_IDENTITY }}`,
    ),
  )
  const needs = `The backup needs the private key of ${secondKey} or ${store.recipient}.`
  await assert.rejects(
    open(foreign),
    refused(
      'wrong-key',
      `The private key in decrypt-with does not open the backup ${id}.`,
      `Its public key is ${foreignKey}. ${needs}`,
    ),
  )
  await assert.rejects(
    open(foreign, foreign),
    refused(
      'wrong-key',
      `No private key in decrypt-with opens the backup ${id}.`,
      `Their public keys are ${foreignKey}, ${foreignKey}. ${needs}`,
    ),
  )
})

test('a text that is no key is refused before a backup is looked for', async () => {
  await assert.rejects(
    findReadable({ ...store.reading, label: 'none', identities: ['no key'] }, quietWork()),
    (error: UserError) => error.code === 'bad-identity' && /line 1/.test(error.message),
  )
})

test('a backup in the clear needs no key', async () => {
  rewrite(store, id, (manifest) => ({ ...manifest, encryption: 'none' }))
  assert.equal(await open(), id)
  assert.equal(await open(foreign), id)
})
