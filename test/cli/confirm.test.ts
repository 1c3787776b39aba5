import assert from 'node:assert/strict'
import { test } from 'node:test'
import { question } from '../../src/cli/confirm.ts'

test('the question names what to type to start, and how to stop', () => {
  const url = 'postgres://me@localhost/shop'
  const given = {
    INPUT_STORAGE: 'file:///backups',
    'INPUT_TARGET-URL': url,
    'INPUT_DRY-RUN': 'true',
  }
  assert.equal(question(given), 'Type shop to start, or press Enter to stop: ')
  assert.equal(
    question({ ...given, INPUT_ENVIRONMENT: 'production' }),
    'Type production/shop to start, or press Enter to stop: ',
  )
})
