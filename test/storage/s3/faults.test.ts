import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, afterEach, before, describe, test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import { S3Storage, type S3Options } from '../../../src/storage/s3/s3.ts'
import { ObjectExists, type Storage } from '../../../src/storage/storage.ts'
import { type Fault, type FaultyProxy, startFaultyProxy } from '../../support/faulty-proxy.ts'
import { findS3Server, type RunningS3, startS3 } from '../../support/s3.ts'
import { type Bucket, bucketOf } from '../bucket.ts'
import { inPieces, noise } from '../contract.ts'

const partSize = 5 << 20
const quick: S3Options = { partSize, bufferBudget: 3 * partSize, timeouts: { pause: 20 } }
const kind = findS3Server().kind
const real = kind !== 'stand-in'

describe('S3 with faults on the way', () => {
  let server: RunningS3
  let proxy: FaultyProxy
  let storage: Storage
  let bucket: Bucket

  before(async () => {
    server = await startS3(['backups'])
    Object.assign(process.env, server.env)
    proxy = await startFaultyProxy(server.port)
    storage = new S3Storage(`s3://backups/p?endpoint=${proxy.endpoint}`, quick)
    bucket = bucketOf(server, 'backups')
  })
  afterEach(async () => {
    assert.ok(
      proxy.rules.every(({ times }) => times === 0 || times === Infinity),
      'a fault was never met',
    )
    proxy.rules.length = 0
    proxy.seen.length = 0
    await storage.sweep('')
  })
  after(async () => {
    await storage.close()
    await proxy.stop()
    bucket.close()
    await server.stop()
  })

  const fail = (method: string, url: RegExp, fault: Fault, times = 1): void =>
    void proxy.rules.push({ method, url, fault, times })
  const asked = (method: string, url: RegExp): number =>
    proxy.seen.filter((line) => line.startsWith(`${method} `) && url.test(line)).length
  const errorBody = (code: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>please wait</Message></Error>`

  const storesWhole = async (size: number): Promise<void> => {
    const bytes = noise(size)
    assert.deepEqual(await storage.create('object', inPieces(bytes)), { bytes: size })
    assert.ok((await buffer(await storage.read('object'))).equals(bytes))
    assert.deepEqual(await bucket.everything(), ['p/object'])
  }

  test('a connection reset in the middle of a part: the part is sent again', async () => {
    fail('PUT', /partNumber=2/, { kind: 'reset-upload', after: 1 << 20 }, 2)
    await storesWhole(3 * partSize)
    assert.equal(asked('PUT', /partNumber=2/), 3)
    assert.equal(asked('PUT', /partNumber=1&/), 1)
  })

  test('a connection reset in the middle of a small object: it is sent again', async () => {
    fail('PUT', /object/, { kind: 'reset-upload', after: 100_000 })
    await storesWhole(1 << 20)
  })

  test('503, time after time: asked again with waits, and it ends well', async () => {
    fail('POST', /uploads/, { kind: 'answer', status: 503, body: errorBody('SlowDown') }, 2)
    fail('PUT', /partNumber=1/, { kind: 'answer', status: 503, body: errorBody('SlowDown') }, 3)
    fail('POST', /uploadId=/, { kind: 'answer', status: 500, body: errorBody('InternalError') }, 2)
    fail('HEAD', /object/, { kind: 'answer', status: 503, body: '' }, 1)
    await storesWhole(2 * partSize)
  })

  test('503 without end: a clear error after a bounded number of tries, and nothing left', async () => {
    fail(
      'PUT',
      /partNumber=2/,
      { kind: 'answer', status: 503, body: errorBody('SlowDown') },
      Infinity,
    )
    const source = inPieces(noise(4 * partSize))
    await assert.rejects(
      storage.create('object', source),
      (error) =>
        error instanceof UserError &&
        error.code === 'storage-unavailable' &&
        /503 SlowDown/.test(error.message),
    )
    assert.ok(source.destroyed)
    assert.equal(asked('PUT', /partNumber=2/), 6)
    assert.deepEqual(await bucket.everything(), [])
  })

  test('a 200 with an error in its body is an error: the upload is completed again', async () => {
    fail('POST', /uploadId=/, { kind: 'answer', status: 200, body: errorBody('InternalError') })
    fail('POST', /uploadId=/, {
      kind: 'answer',
      status: 200,
      body: `${errorBody('InternalError')}\n`,
    })
    fail('POST', /uploadId=/, { kind: 'answer', status: 200, body: '' })
    await storesWhole(2 * partSize)
    assert.equal(asked('POST', /uploadId=/), 4)
  })

  test('a 200 with an error in its body without end: an error, and nothing left', async () => {
    fail(
      'POST',
      /uploadId=/,
      { kind: 'answer', status: 200, body: errorBody('InternalError') },
      Infinity,
    )
    await assert.rejects(
      storage.create('object', inPieces(noise(2 * partSize))),
      (error) => error instanceof UserError && error.code === 'storage-unavailable',
    )
    assert.deepEqual(await bucket.everything(), [])
  })

  test('the answer to a write is lost: the second try finds the key taken, and knows that it was itself', async () => {
    fail('PUT', /object/, { kind: 'lose-answer' })
    await storesWhole(1000)
    assert.equal(asked('PUT', /object/), 2)
    await storage.sweep('')
    fail('POST', /uploadId=/, { kind: 'lose-answer' })
    await storesWhole(2 * partSize)
  })

  test('a taken key is told as such, also when the first answer is lost', async () => {
    await storage.create('object', inPieces(Buffer.from('first')))
    fail('PUT', /object/, { kind: 'lose-answer' })
    await assert.rejects(storage.create('object', inPieces(Buffer.from('other'))), ObjectExists)
    assert.equal(String(await buffer(await storage.read('object'))), 'first')
  })

  test(
    'the answer to the start of a multipart upload is lost: no half upload stays behind, well or ill',
    { skip: !real && 'the stand-in can not list half uploads' },
    async () => {
      fail('POST', /uploads/, { kind: 'lose-answer' })
      await storesWhole(2 * partSize)
      await storage.sweep('')
      fail('POST', /uploads/, { kind: 'lose-answer' })
      fail('PUT', /partNumber=1/, {
        kind: 'answer',
        status: 400,
        body: errorBody('InvalidRequest'),
      })
      await assert.rejects(storage.create('object', inPieces(noise(2 * partSize))), UserError)
      assert.deepEqual(await bucket.everything(), [])
    },
  )

  test(
    'a store that takes a prefix for a whole key, as MinIO does: half uploads are swept all the same, and no others',
    { skip: !real && 'the stand-in can not list half uploads' },
    async () => {
      for (const key of ['p/dead/id/dump', 'p/dead2/dump', 'elsewhere']) await bucket.leaveHalf(key)
      const none =
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>'
      fail('GET', /\?(.*&)?prefix=p.*uploads|uploads.*prefix=p/, {
        kind: 'answer',
        status: 200,
        body: none,
      })
      await storage.sweep('dead/')
      assert.deepEqual(await bucket.everything(), ['half:elsewhere', 'half:p/dead2/dump'])
      const others = new S3Storage(`s3://backups?endpoint=${proxy.endpoint}`, quick)
      await others.sweep('')
      await others.close()
      assert.deepEqual(await bucket.everything(), [])
    },
  )

  test('a connection reset in the middle of a download: read on from the byte where it broke', async () => {
    const bytes = noise(4 * partSize)
    await storage.create('object', inPieces(bytes))
    fail('GET', /object/, { kind: 'reset-download', after: 3 << 20 }, 4)
    proxy.headers.length = 0
    assert.ok((await buffer(await storage.read('object'))).equals(bytes))
    assert.equal(asked('GET', /object/), 5)
    const resumed = proxy.headers.filter(({ range }) => range !== undefined)
    assert.equal(resumed.length, 4)
    const starts = resumed.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]))
    assert.deepEqual(
      starts,
      starts.toSorted((a, b) => a - b),
    )
    assert.ok((starts[0] ?? 0) > 2 << 20)
    assert.ok(resumed.every((headers) => headers['if-match'] !== undefined))
  })

  test('a reader that rests for longer than any connection may be silent loses nothing, and is not given up', async () => {
    const bytes = noise(6 * partSize)
    await storage.create('object', inPieces(bytes))
    const impatient = new S3Storage(storage.url, {
      ...quick,
      timeouts: { pause: 20, idle: 150, attempts: 2 },
    })
    const pieces: Buffer[] = []
    for await (const piece of (await impatient.read('object')) as AsyncIterable<Buffer>) {
      pieces.push(Buffer.from(piece))
      if (pieces.length === 3) await new Promise((resolve) => setTimeout(resolve, 1500))
    }
    assert.ok(Buffer.concat(pieces).equals(bytes))
    assert.equal(asked('GET', /object/), 2)
    await impatient.close()
  })

  test('an object that is exchanged between two pieces of a download is not patched together', async () => {
    await storage.create('object', inPieces(noise(2 * partSize, 1)))
    fail('GET', /object/, { kind: 'reset-download', after: 1 << 20 })
    const reading = await storage.read('object')
    await storage.remove(['object'])
    await storage.create('object', inPieces(noise(2 * partSize, 2)))
    await assert.rejects(buffer(reading), /changed while it was read/)
  })

  test('a download that breaks at once, each time, ends with an error', async () => {
    await storage.create('object', inPieces(noise(partSize)))
    fail('GET', /object/, { kind: 'reset-download', after: -1 }, Infinity)
    await assert.rejects(
      async () => await buffer(await storage.read('object')),
      (error) => error instanceof UserError && error.code === 'storage-unavailable',
    )
  })

  test('a server that takes a request and says nothing is given up, not waited for', async () => {
    const impatient = new S3Storage(storage.url, {
      ...quick,
      timeouts: { pause: 20, idle: 300, attempts: 2 },
    })
    fail('PUT', /object/, { kind: 'stall' }, Infinity)
    const start = Date.now()
    await assert.rejects(
      impatient.create('object', inPieces(Buffer.from('x'))),
      (error) => error instanceof UserError && error.code === 'storage-unavailable',
    )
    assert.ok(Date.now() - start < 4000, `${Date.now() - start} ms`)
    await impatient.close()
  })

  test('an abort while the server is silent is heard at once, and cleaned up without the signal', async () => {
    fail('PUT', /partNumber=2/, { kind: 'stall' }, Infinity)
    const stop = new AbortController()
    const reason = new Error('cancelled')
    const writing = storage.create('object', inPieces(noise(4 * partSize)), { signal: stop.signal })
    setTimeout(() => stop.abort(reason), 300)
    const start = Date.now()
    await assert.rejects(writing, (error) => error === reason)
    assert.ok(Date.now() - start < 3000, `${Date.now() - start} ms`)
    assert.deepEqual(await bucket.everything(), [])
  })

  test("an abort while the server is gone for good ends all the same, within the runner's timeouts", async () => {
    fail('PUT', /partNumber=2/, { kind: 'stall' }, Infinity)
    fail('DELETE', /./, { kind: 'stall' }, Infinity)
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('cancelled')), 300)
    const start = Date.now()
    await assert.rejects(
      storage.create('object', inPieces(noise(4 * partSize)), { signal: stop.signal }),
      /cancelled/,
    )
    assert.ok(Date.now() - start < 6500, `${Date.now() - start} ms`)
  })

  test('a store that knows no checksums: written without them, still proven by the size', async () => {
    const plain = new S3Storage(storage.url, quick)
    fail('PUT', /small/, { kind: 'answer', status: 501, body: errorBody('NotImplemented') })
    assert.deepEqual(await plain.create('small', inPieces(Buffer.from('text'))), { bytes: 4 })
    proxy.headers.length = 0
    await plain.create('object', inPieces(noise(2 * partSize)))
    assert.ok(proxy.headers.every((headers) => headers['x-amz-checksum-crc32'] === undefined))
    assert.ok(
      proxy.headers.some(
        (headers) =>
          /^[0-9a-f]{64}$/.test(String(headers['x-amz-content-sha256'])) &&
          headers['content-length'] === String(partSize),
      ),
    )
    await plain.close()
  })

  test('every body has its checksum in a header, and none a trailer', async () => {
    proxy.headers.length = 0
    await storage.create('object', inPieces(noise(2 * partSize)))
    const parts = proxy.headers.filter((headers) => headers['content-length'] === String(partSize))
    assert.equal(parts.length, 2)
    assert.ok(
      parts.every(
        (headers) =>
          headers['x-amz-checksum-crc32'] !== undefined &&
          headers['x-amz-trailer'] === undefined &&
          headers['content-encoding'] === undefined,
      ),
    )
    // What stays on this machine is not hashed a second time to be signed.
    assert.ok(parts.every((headers) => headers['x-amz-content-sha256'] === 'UNSIGNED-PAYLOAD'))
  })

  test(
    'a byte that flips on the way is sent again or refused, never stored',
    { skip: !real && 'the stand-in checks nothing' },
    async () => {
      fail('PUT', /partNumber=1/, { kind: 'flip-upload', at: 4_000_000 })
      await storesWhole(2 * partSize)
      assert.equal(asked('PUT', /partNumber=1/), 2)
    },
  )

  test('a store that says another size than was sent is not believed', async () => {
    fail('HEAD', /object/, {
      kind: 'answer-headers',
      status: 200,
      headers: { 'content-length': '999', etag: '"x"' },
    })
    await assert.rejects(
      storage.create('object', inPieces(Buffer.from('text'))),
      (error) =>
        error instanceof UserError &&
        error.code === 'storage-not-confirmed' &&
        /4 bytes.*999 bytes/.test(error.message),
    )
    assert.deepEqual(await bucket.everything(), [])
  })

  test('a store that ignores "create only" is found out by probe, in one piece and in parts', async () => {
    const refuses = async (): Promise<void> =>
      assert.rejects(
        storage.probe(),
        (error) => error instanceof UserError && error.code === 'create-only-ignored',
      )
    fail(
      'PUT',
      /holdfast-probe\?x-id=PutObject/,
      { kind: 'answer-headers', status: 200, headers: { etag: '"x"' } },
      4,
    )
    await refuses()
    const done =
      '<?xml version="1.0" encoding="UTF-8"?>\n<CompleteMultipartUploadResult><Key>p/holdfast-probe</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>'
    fail('POST', /holdfast-probe\?uploadId/, { kind: 'answer', status: 200, body: done }, 4)
    await refuses()
  })

  test('credentials that may not delete can probe: one small object stays, always the same, and is not listed', async () => {
    fail(
      'DELETE',
      /holdfast-probe\?x-id/,
      { kind: 'answer', status: 403, body: errorBody('AccessDenied') },
      Infinity,
    )
    await storage.probe()
    await storage.probe()
    assert.deepEqual(await bucket.everything(), ['p/holdfast-probe'])
    for await (const { key } of storage.list('')) assert.fail(`${key} is listed`)
    proxy.rules.length = 0
    await storage.remove(['holdfast-probe'])
  })

  test(
    'credentials that may write and not look: the checksum that the store gave back must do',
    { skip: !real && 'the stand-in gives none back' },
    async () => {
      fail('HEAD', /./, { kind: 'answer', status: 403, body: '' }, Infinity)
      assert.deepEqual(await storage.create('small', inPieces(Buffer.from('text'))), { bytes: 4 })
      assert.deepEqual(await storage.create('large', inPieces(noise(2 * partSize))), {
        bytes: 2 * partSize,
      })
      await assert.rejects(storage.create('small', inPieces(Buffer.from('text'))), ObjectExists)
    },
  )

  test('many deletes go in few requests; one by one where the store can not', async () => {
    const keys = Array.from({ length: 30 }, (_, index) => `many/${index}`)
    await Promise.all(keys.map((key) => storage.create(key, inPieces(Buffer.from(key)))))
    fail('POST', /delete/, { kind: 'answer', status: 501, body: errorBody('NotImplemented') })
    await storage.remove(keys.slice(0, 10))
    assert.equal(asked('DELETE', /many/), 10)
    await storage.remove(keys)
    assert.equal(asked('DELETE', /many/), 10)
    assert.deepEqual(await bucket.everything(), [])
  })

  test(
    'a list of several pages is whole, and so is what is deleted of it',
    { skip: kind !== 'versitygw' && 'needs a server whose folder can be filled by hand' },
    async () => {
      const folder = join(server.root, 'backups/p/pages')
      mkdirSync(folder, { recursive: true })
      for (let index = 0; index < 2345; index++) writeFileSync(join(folder, String(index)), '')
      const found = new Set<string>()
      for await (const { key } of storage.list('pages/')) found.add(key)
      assert.equal(found.size, 2345)
      assert.ok(asked('GET', /list-type=2/) >= 3)
      await storage.sweep('pages/')
      assert.deepEqual(await bucket.everything(), [])
      assert.equal(asked('POST', /delete/), 3)
    },
  )
})
