import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open.ts'
import { parseS3Url } from '../../src/storage/s3/url.ts'

function refuses(url: string, code: string, says: RegExp): UserError {
  let found: unknown
  assert.throws(
    () => openStorage(url),
    (error) => ((found = error), true),
  )
  assert.ok(found instanceof UserError, String(found))
  assert.equal(found.code, code)
  assert.match(found.message, says)
  assert.ok(found.hint.length > 20)
  return found
}

describe('openStorage', () => {
  test('file:// and s3:// open, and keep their URL as typed', () => {
    for (const url of [
      'file:///var/backups',
      'FILE:///var/with%20space',
      's3://bucket',
      's3://bucket/a/b/',
      's3://bucket/p?endpoint=http://127.0.0.1:9000&region=eu-west-1',
    ]) {
      assert.equal(openStorage(`  ${url}\n`).url, url)
    }
  })

  test('the error for an unknown scheme names it and lists the known ones', () => {
    const { hint } = refuses('ftp://x/y', 'storage-scheme-unknown', /ftp/)
    assert.match(hint, /s3:\/\/.*file:\/\//)
    refuses('constructor://x', 'storage-scheme-unknown', /constructor/)
    refuses('gs://bucket/x', 'storage-scheme-unknown', /gs/)
  })

  test('a path is shown with its URL; other text that is not a URL may be a secret and is not shown', () => {
    assert.match(
      refuses('/var/backups', 'storage-url-invalid', /\/var\/backups in storage is a path/).hint,
      /file:\/\/\/var\/backups/,
    )
    refuses('./backups', 'storage-url-invalid', /\.\/backups/)
    refuses('', 'storage-url-invalid', /no URL/)
    const shown = refuses(
      'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      'storage-url-invalid',
      /not a URL/,
    )
    assert.ok(!`${shown.message}${shown.hint}`.includes('wJalr'))
  })

  test('a password in a URL is refused and not shown', () => {
    for (const url of [
      's3://key:s3cret@bucket/p',
      's3://s3cret@bucket',
      'file://user:s3cret@/var/x',
      'ftp://user:s3cret@host/x',
      's3://b/p?secret-key=s3cret',
      's3://b/p?endpoint=http://user:s3cret@host',
      's3://b/p?endpoint=s3cret',
      's3://b/p?region=us&region=s3cret',
      's3://b/p#s3cret',
      's3:/b:s3cret@x',
    ]) {
      assert.throws(
        () => openStorage(url),
        (error) =>
          error instanceof UserError && !`${error.message}${error.hint}`.includes('s3cret'),
        url,
      )
    }
  })

  test('file:// takes an absolute path and nothing else', () => {
    assert.match(
      refuses('file://backups/x', 'storage-url-invalid', /three slashes.*"file:\/\/\/backups\/x"/)
        .hint,
      /file:\/\/\//,
    )
    refuses('file:backups', 'storage-url-invalid', /slashes/)
    refuses('file:/backups', 'storage-url-invalid', /slashes/)
    refuses('file:///', 'storage-url-invalid', /root/)
    refuses('file:///a?b=c', 'storage-url-invalid', /\? or #/)
    refuses('file:///a#b', 'storage-url-invalid', /\? or #/)
    refuses('file:///a%2Fb', 'storage-url-invalid', /no file can have/)
    refuses('file:///a%00b', 'storage-url-invalid', /NUL|no file/)
  })

  test('s3:// URLs are parsed strictly', () => {
    refuses('s3://', 'storage-url-invalid', /no bucket/)
    refuses('s3:///key', 'storage-url-invalid', /no bucket/)
    refuses('s3://b/p?regoin=x', 'storage-url-invalid', /"regoin"/)
    refuses('s3://b/p?region=', 'storage-url-invalid', /region= without a value/)
    refuses('s3://b/p?path-style=yes', 'storage-url-invalid', /path-style/)
    refuses('s3://b/p?endpoint=127.0.0.1:9000', 'storage-url-invalid', /https:\/\//)
    refuses('s3://b/a/../b', 'storage-url-invalid', /\.\./)
    refuses('s3://b/%zz', 'storage-url-invalid', /percent/)
  })

  test('an s3:// URL is parsed into bucket, prefix, endpoint and region', () => {
    const read = (url: string): object => {
      const { url: typed, ...rest } = parseS3Url(url)
      assert.equal(typed, url)
      return rest
    }
    assert.deepEqual(read('s3://bucket'), { bucket: 'bucket', prefix: '', pathStyle: false })
    assert.deepEqual(read('s3://bucket//a/b//'), {
      bucket: 'bucket',
      prefix: 'a/b/',
      pathStyle: false,
    })
    assert.deepEqual(read('s3://my.bucket/a%20b?region=eu-west-1'), {
      bucket: 'my.bucket',
      prefix: 'a b/',
      region: 'eu-west-1',
      pathStyle: false,
    })
    assert.deepEqual(read('s3://b/p?endpoint=https%3A%2F%2Fs3.example.com%2F'), {
      bucket: 'b',
      prefix: 'p/',
      endpoint: 'https://s3.example.com',
      region: 'us-east-1',
      pathStyle: true,
    })
    assert.deepEqual(
      read('s3://b/p?endpoint=https://x.y/storage/v1/s3&region=auto&path-style=false'),
      {
        bucket: 'b',
        prefix: 'p/',
        endpoint: 'https://x.y/storage/v1/s3',
        region: 'auto',
        pathStyle: false,
      },
    )
  })
})
