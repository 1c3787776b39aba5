import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import type { ErrorCode } from '../../../src/errors/catalogue.ts'
import { explainLocal } from '../../../src/storage/local/errors.ts'

const systemError = (code: string): Error =>
  Object.assign(new Error(code), { code, syscall: 'open', path: '/backups/a' })

describe('a failed system call', () => {
  const cases: [errno: string, ErrorCode, says: RegExp][] = [
    ['ENOSPC', 'storage-full', /no space is left on the device/],
    ['EDQUOT', 'storage-full', /the quota is used up/],
    ['EFBIG', 'storage-full', /larger than allowed/],
    ['EACCES', 'storage-access-denied', /permission denied/],
    ['EPERM', 'storage-access-denied', /permission denied/],
    ['EROFS', 'storage-access-denied', /mounted read-only/],
    ['ENOENT', 'storage-access-denied', /does not exist and cannot be created/],
    ['ENOTDIR', 'storage-not-a-folder', /is a file, not a folder/],
    ['EEXIST', 'storage-not-a-folder', /is a file, not a folder/],
    ['ENAMETOOLONG', 'storage-url-invalid', /path is too long/],
    ['ELOOP', 'storage-url-invalid', /symbolic links/],
    ['EIO', 'storage-failed', /failed with EIO/],
  ]
  for (const [errno, expected, says] of cases) {
    test(`${errno} is ${expected}`, () => {
      const cause = systemError(errno)
      const error = explainLocal(cause, 'write in /backups')
      assert.ok(error instanceof UserError)
      assert.equal(error.code, expected)
      assert.match(error.message, says)
      assert.match(error.message, /^Cannot write in \/backups: .* \(\/backups\/a\)\.$/)
      assert.equal(error.cause, cause)
    })
  }

  test('other errors stay as they are', () => {
    const bug = new TypeError('a bug')
    assert.equal(explainLocal(bug, 'write'), bug)
  })
})
