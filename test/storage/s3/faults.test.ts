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

describe('S3 with faults on the network', () => {
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
    await storage.removeAll('')
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
  /** Waits until the proxy has received such a request. */
  const arrived = async (method: string, url: RegExp): Promise<void> => {
    while (asked(method, url) === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const errorBody = (code: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>please wait</Message></Error>`

  const storesWhole = async (size: number): Promise<void> => {
    const bytes = noise(size)
    assert.deepEqual(await storage.create('object', inPieces(bytes)), { bytes: size })
    assert.ok((await buffer(await storage.read('object'))).equals(bytes))
    assert.deepEqual(await bucket.everything(), ['p/object'])
  }

  test('a connection reset during a part sends the part again', async () => {
    fail('PUT', /partNumber=2/, { kind: 'reset-upload', after: 1 << 20 }, 2)
    await storesWhole(3 * partSize)
    assert.equal(asked('PUT', /partNumber=2/), 3)
    assert.equal(asked('PUT', /partNumber=1&/), 1)
  })

  test('a connection reset during a small object sends it again', async () => {
    fail('PUT', /object/, { kind: 'reset-upload', after: 100_000 })
    await storesWhole(1 << 20)
  })

  test('repeated 503 answers are retried with pauses until the request succeeds', async () => {
    fail('POST', /uploads/, { kind: 'answer', status: 503, body: errorBody('SlowDown') }, 2)
    fail('PUT', /partNumber=1/, { kind: 'answer', status: 503, body: errorBody('SlowDown') }, 3)
    fail('POST', /uploadId=/, { kind: 'answer', status: 500, body: errorBody('InternalError') }, 2)
    fail('HEAD', /object/, { kind: 'answer', status: 503, body: '' }, 1)
    await storesWhole(2 * partSize)
  })

  test('endless 503 answers fail after a bounded number of attempts and leave nothing', async () => {
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

  test('a 200 with an error in its body completes the upload again', async () => {
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

  test('endless 200 answers with errors in their bodies fail and leave nothing', async () => {
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

  test('a write whose answer is lost finds the key taken, and recognises its own object', async () => {
    fail('PUT', /object/, { kind: 'lose-answer' })
    await storesWhole(1000)
    assert.equal(asked('PUT', /object/), 2)
    await storage.removeAll('')
    fail('POST', /uploadId=/, { kind: 'lose-answer' })
    await storesWhole(2 * partSize)
  })

  test('a taken key is reported, also if the first answer is lost', async () => {
    await storage.create('object', inPieces(Buffer.from('first')))
    fail('PUT', /object/, { kind: 'lose-answer' })
    await assert.rejects(storage.create('object', inPieces(Buffer.from('other'))), ObjectExists)
    assert.equal(String(await buffer(await storage.read('object'))), 'first')
  })

  test(
    'no partial upload remains if the answer to the start of a multipart upload is lost',
    { skip: !real && 'the stand-in cannot list partial uploads' },
    async () => {
      fail('POST', /uploads/, { kind: 'lose-answer' })
      await storesWhole(2 * partSize)
      await storage.removeAll('')
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
    'removeAll finds partial uploads in a store that takes a prefix for a key, as MinIO does',
    { skip: !real && 'the stand-in cannot list partial uploads' },
    async () => {
      for (const key of ['p/dead/id/dump', 'p/dead2/dump', 'elsewhere']) await bucket.leaveHalf(key)
      const none =
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListMultipartUploadsResult>' +
        '<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>'
      fail('GET', /\?(.*&)?prefix=p.*uploads|uploads.*prefix=p/, {
        kind: 'answer',
        status: 200,
        body: none,
      })
      await storage.removeAll('dead/')
      assert.deepEqual(await bucket.everything(), ['half:elsewhere', 'half:p/dead2/dump'])
      const others = new S3Storage(`s3://backups?endpoint=${proxy.endpoint}`, quick)
      await others.removeAll('')
      await others.close()
      assert.deepEqual(await bucket.everything(), [])
    },
  )

  test('a connection reset during a download continues at the byte where it broke', async () => {
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

  test('a reader that pauses longer than the idle timeout loses nothing', async () => {
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

  test('an object replaced during a download fails the download', async () => {
    await storage.create('object', inPieces(noise(2 * partSize, 1)))
    fail('GET', /object/, { kind: 'reset-download', after: 1 << 20 })
    const reading = await storage.read('object')
    await storage.remove(['object'])
    await storage.create('object', inPieces(noise(2 * partSize, 2)))
    await assert.rejects(buffer(reading), /changed while it was read/)
  })

  test('a download that breaks at once on every attempt fails', async () => {
    await storage.create('object', inPieces(noise(partSize)))
    fail('GET', /object/, { kind: 'reset-download', after: -1 }, Infinity)
    await assert.rejects(
      async () => await buffer(await storage.read('object')),
      (error) => error instanceof UserError && error.code === 'storage-unavailable',
    )
  })

  test('a server that does not answer is given up after the idle timeout', async () => {
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

  test('an abort while the server is silent stops at once and cleans up', async () => {
    fail('PUT', /partNumber=2/, { kind: 'stall' }, Infinity)
    const stop = new AbortController()
    const reason = new Error('cancelled')
    const writing = storage.create('object', inPieces(noise(4 * partSize)), { signal: stop.signal })
    await arrived('PUT', /partNumber=2/)
    stop.abort(reason)
    const start = Date.now()
    await assert.rejects(writing, (error) => error === reason)
    assert.ok(Date.now() - start < 3000, `${Date.now() - start} ms`)
    assert.deepEqual(await bucket.everything(), [])
  })

  test("an abort while the server is unreachable ends within the runner's timeouts", async () => {
    fail('PUT', /partNumber=2/, { kind: 'stall' }, Infinity)
    fail('DELETE', /./, { kind: 'stall' }, Infinity)
    const stop = new AbortController()
    const writing = storage.create('object', inPieces(noise(4 * partSize)), { signal: stop.signal })
    await arrived('PUT', /partNumber=2/)
    stop.abort(new Error('cancelled'))
    const start = Date.now()
    await assert.rejects(writing, /cancelled/)
    assert.ok(Date.now() - start < 6500, `${Date.now() - start} ms`)
  })

  test('a store without checksums is written without them, and the size is confirmed', async () => {
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

  test('every body has its checksum in a header, and no trailer', async () => {
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
    // The body is not part of the signature on a connection that stays on this machine.
    assert.ok(parts.every((headers) => headers['x-amz-content-sha256'] === 'UNSIGNED-PAYLOAD'))
  })

  test(
    'a byte that flips on the way is sent again, never stored',
    { skip: !real && 'the stand-in checks nothing' },
    async () => {
      fail('PUT', /partNumber=1/, { kind: 'flip-upload', at: 4_000_000 })
      await storesWhole(2 * partSize)
      assert.equal(asked('PUT', /partNumber=1/), 2)
    },
  )

  test('a store that reports another size than was sent fails the write', async () => {
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

  test('probe detects a store that ignores create-only, in one request and in parts', async () => {
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
      '<?xml version="1.0" encoding="UTF-8"?>\n<CompleteMultipartUploadResult>' +
      '<Key>p/holdfast-probe</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>'
    fail('POST', /holdfast-probe\?uploadId/, { kind: 'answer', status: 200, body: done }, 4)
    await refuses()
  })

  test('a probe without delete permission leaves one object, always the same and not listed', async () => {
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
    'without read permission, the checksum in the answer to the write confirms it',
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

  test('many keys are deleted in few requests, or one by one if the store lacks batches', async () => {
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
    'a list of several pages is complete, and so is its deletion',
    { skip: kind !== 'versitygw' && 'needs a server whose folder can be filled by hand' },
    async () => {
      const folder = join(server.root, 'backups/p/pages')
      mkdirSync(folder, { recursive: true })
      for (let index = 0; index < 2345; index++) writeFileSync(join(folder, String(index)), '')
      const found = new Set<string>()
      for await (const { key } of storage.list('pages/')) found.add(key)
      assert.equal(found.size, 2345)
      assert.ok(asked('GET', /list-type=2/) >= 3)
      await storage.removeAll('pages/')
      assert.deepEqual(await bucket.everything(), [])
      assert.equal(asked('POST', /delete/), 3)
    },
  )
})
