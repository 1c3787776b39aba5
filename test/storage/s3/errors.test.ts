import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import type { ErrorCode } from '../../../src/errors/catalogue.ts'
import { explain } from '../../../src/storage/s3/errors.ts'
import { failureOf, S3Failure } from '../../../src/storage/s3/failure.ts'
import { parseS3Url } from '../../../src/storage/s3/url.ts'
import { plainText } from '../../../src/text.ts'

const address = parseS3Url('s3://backups/team?endpoint=https://s3.example.com&region=eu-west-1')

function explained(status: number | undefined, code: string, region?: string): UserError {
  const operation = { action: 'write a/manifest.json', permission: 's3:PutObject' }
  const error = explain(new S3Failure(operation, status, code, 'the answer', region), address)
  assert.ok(error instanceof UserError)
  return error
}

describe('a failed S3 request', () => {
  const cases: [status: number | undefined, code: string, ErrorCode, says: RegExp][] = [
    [undefined, 'CredentialsProviderError', 'storage-credentials-missing', /bucket backups/],
    [undefined, 'RegionMissing', 'storage-region-wrong', /No region is known/],
    [undefined, 'SELF_SIGNED_CERT_IN_CHAIN', 'storage-tls-untrusted', /https:\/\/s3\.example\.com/],
    [undefined, 'ECONNREFUSED', 'storage-unreachable', /s3\.example\.com cannot be reached/],
    [undefined, 'ECONNRESET', 'storage-unavailable', /write a\/manifest\.json.*\(ECONNRESET\)/],
    [404, 'NoSuchBucket', 'storage-bucket-missing', /backups does not exist at https:/],
    [403, 'InvalidAccessKeyId', 'storage-credentials-refused', /\(InvalidAccessKeyId\)/],
    [400, 'ExpiredTokenException', 'storage-credentials-refused', /\(ExpiredTokenException\)/],
    [403, 'AccessDenied', 'storage-access-denied', /denied access: write a\/manifest\.json/],
    [301, 'PermanentRedirect', 'storage-region-wrong', /not in the region eu-west-1/],
    [507, 'Unknown', 'storage-full', /no space left to write a\/manifest\.json/],
    [400, 'QuotaExceeded', 'storage-full', /\(QuotaExceeded\)/],
    [501, 'NotImplemented', 'storage-unsupported', /does not support: write a\/manifest\.json/],
    [503, 'SlowDown', 'storage-unavailable', /\(503 SlowDown\)/],
    [503, '503', 'storage-unavailable', /\(503\)/],
    [418, 'Teapot', 'storage-refused', /\(418 Teapot: the answer\)/],
  ]
  for (const [status, code, expected, says] of cases) {
    test(`${status ?? 'without an answer'} ${code} is ${expected}`, () => {
      const error = explained(status, code)
      assert.equal(error.code, expected)
      assert.match(error.message, says)
    })
  }

  test('takes no region from a server that is not a region', () => {
    const thrown = Object.assign(new Error('x'), {
      Code: 'PermanentRedirect',
      Region: 'us&endpoint=https://evil.example',
      $metadata: { httpStatusCode: 301 },
    })
    const error = explain(failureOf(thrown, { action: 'read x', permission: 'p' }), address)
    assert.ok(error instanceof UserError)
    assert.match(error.hint, /region=REGION/)
    assert.doesNotMatch(error.message + error.hint, /evil/)
  })
  test('names the permission that is missing, and the region of the bucket', () => {
    assert.match(explained(403, 'AccessDenied').hint, /^Grant s3:PutObject /)
    assert.match(explained(301, 'PermanentRedirect', 'us-east-2').hint, /region=us-east-2/)
  })

  test('names inputs as the surface writes them', () => {
    const { texts } = explained(507, 'Unknown')
    assert.match(plainText(texts.hint, 'workflow'), /\. keep limits/)
    assert.match(plainText(texts.hint, 'terminal'), /\. --keep limits/)
  })

  test('other errors stay as they are', () => {
    const bug = new TypeError('a bug')
    assert.equal(explain(bug, address), bug)
  })
})
