import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import { isServerError } from '../../../src/postgres/connection/server-error.ts'

const withCode = (code: unknown, more: object = {}): Error =>
  Object.assign(new Error('a message'), { code, ...more })

test('an error with a SQLSTATE comes from a server; codes narrow it', () => {
  assert.equal(isServerError(withCode('42501')), true)
  assert.equal(isServerError(withCode('XX001')), true)
  assert.equal(isServerError(withCode('42501'), '42P01', '42501'), true)
  assert.equal(isServerError(withCode('42501'), '42P01'), false)
})

test('socket errors, user errors and other values do not come from a server', () => {
  assert.equal(isServerError(withCode('ECONNRESET')), false)
  assert.equal(isServerError(withCode('EPIPE', { errno: -32, syscall: 'write' })), false)
  assert.equal(isServerError(new UserError('no-permission', 'It may not be read.')), false)
  assert.equal(isServerError(withCode(42501)), false)
  assert.equal(isServerError({ code: '42501' }), false)
  assert.equal(isServerError(new Error('a message')), false)
  assert.equal(isServerError(undefined), false)
})
