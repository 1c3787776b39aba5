import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { errorPage, UserError } from '../src/errors.ts'
import { catalogue } from '../src/errors/catalogue.ts'
import { input, text } from '../src/text.ts'

describe('a user error', () => {
  test('shows the hint of the catalogue unless it has one of its own', () => {
    assert.equal(new UserError('storage-full', 'full').hint, catalogue['storage-full'].hint)
    assert.equal(new UserError('storage-full', 'full', 'Buy a disk.').hint, 'Buy a disk.')
  })

  test('has its texts as a workflow writes them, and keeps the marked ones', () => {
    const hint = text`Set ${input('safety-backup', false)}.`
    const error = new UserError('storage-full', text`${input('storage')} is full.`, hint)
    assert.equal(error.message, 'storage is full.')
    assert.equal(error.hint, 'Set safety-backup: false.')
    assert.equal(error.texts.hint, hint)
  })
})

describe('the address of an error code', () => {
  test('is the section of this version, where the version is known', () => {
    const at = { server: 'https://github.com', repository: 'acme/holdfast', ref: 'v1' }
    assert.equal(
      errorPage('wrong-key', at),
      'https://github.com/acme/holdfast/blob/v1/docs/errors.md#wrong-key',
    )
  })

  test('is a path within the project otherwise', () => {
    assert.equal(errorPage('wrong-key'), 'docs/errors.md#wrong-key')
  })
})
