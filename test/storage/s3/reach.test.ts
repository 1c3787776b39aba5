import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { UserError } from '../../../src/errors.ts'
import { openStorage } from '../../../src/storage/open.ts'
import { S3Storage, type S3Options } from '../../../src/storage/s3/s3.ts'
import { startFaultyProxy } from '../../support/faulty-proxy.ts'
import { findS3Server, freePort, type RunningS3, startS3 } from '../../support/s3.ts'
import { inPieces, noise } from '../contract.ts'

const partSize = 5 << 20
const quick: S3Options = { partSize, bufferBudget: 3 * partSize, timeouts: { pause: 20 } }
const kind = findS3Server().kind
const real = kind !== 'stand-in'

describe('S3 that cannot be used', () => {
  let server: RunningS3
  before(async () => {
    server = await startS3(['backups'])
    Object.assign(process.env, server.env)
  })
  after(() => server.stop())

  const probes = async (url: string, code: string, says: RegExp): Promise<void> => {
    const storage = openStorage(url)
    const start = Date.now()
    await assert.rejects(storage.probe(), (error) => {
      assert.ok(error instanceof UserError, String(error))
      assert.equal(error.code, code)
      assert.match(error.message, says)
      assert.ok(error.hint.length > 20)
      assert.ok(
        !`${error.message}${error.hint}`.includes(server.env.AWS_SECRET_ACCESS_KEY) ||
          server.kind === 'stand-in',
      )
      return true
    })
    assert.ok(Date.now() - start < 10_000, `${Date.now() - start} ms`)
    await storage.close()
  }

  test('a missing bucket is named', async () => {
    await probes(server.url('p', 'nobucket'), 'storage-bucket-missing', /nobucket/)
    const storage = openStorage(server.url('p', 'nobucket'))
    await assert.rejects(
      storage.read('a/b'),
      (error) => error instanceof UserError && error.code === 'storage-bucket-missing',
    )
    await assert.rejects(
      async () => {
        for await (const object of storage.list('')) assert.ok(object)
      },
      (error) => error instanceof UserError && error.code === 'storage-bucket-missing',
    )
    await storage.close()
  })

  test(
    'a wrong secret key and an unknown key id are reported',
    { skip: !real && 'the stand-in takes any' },
    async () => {
      process.env.AWS_SECRET_ACCESS_KEY = 'wrong'
      await probes(server.url('p'), 'storage-credentials-refused', /SignatureDoesNotMatch/)
      process.env.AWS_ACCESS_KEY_ID = 'nobody'
      await probes(
        server.url('p'),
        'storage-credentials-refused',
        /InvalidAccessKeyId|UserNotFound/,
      )
      Object.assign(process.env, server.env)
    },
  )

  test('missing credentials are reported', async () => {
    const before = { ...process.env }
    for (const name of Object.keys(process.env))
      if (name.startsWith('AWS_')) delete process.env[name]
    process.env.AWS_EC2_METADATA_DISABLED = 'true'
    process.env.AWS_SHARED_CREDENTIALS_FILE = process.env.AWS_CONFIG_FILE = '/dev/null'
    try {
      const storage = openStorage(server.url('p'))
      await assert.rejects(
        storage.probe(),
        (error) =>
          error instanceof UserError &&
          error.code === 'storage-credentials-missing' &&
          /AWS_ACCESS_KEY_ID/.test(error.hint) &&
          /OIDC/.test(error.hint),
      )
      await storage.close()
    } finally {
      for (const name of [
        'AWS_EC2_METADATA_DISABLED',
        'AWS_SHARED_CREDENTIALS_FILE',
        'AWS_CONFIG_FILE',
      ])
        delete process.env[name]
      Object.assign(process.env, before)
    }
  })

  test('an endpoint that cannot be reached is named within seconds', async () => {
    const dead = await freePort()
    await probes(
      `s3://backups/p?endpoint=http://127.0.0.1:${dead}`,
      'storage-unreachable',
      new RegExp(`127\\.0\\.0\\.1:${dead}.*ECONNREFUSED`),
    )
    await probes(
      's3://backups/p?endpoint=http://no-such-host.invalid',
      'storage-unreachable',
      /no-such-host\.invalid/,
    )
  })

  test('an endpoint that is not an S3 server is reported', async () => {
    const sockets = new Set<Socket>()
    const other = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.end(
        'HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\nnot here\n',
      )
    })
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    assert.ok(address !== null && typeof address === 'object')
    await probes(
      `s3://backups/p?endpoint=http://127.0.0.1:${address.port}`,
      'storage-refused',
      /404/,
    )
    // The URL says https, and the server has no TLS.
    await probes(
      `s3://backups/p?endpoint=https://127.0.0.1:${address.port}`,
      'storage-tls-untrusted',
      /127\.0\.0\.1/,
    )
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => other.close(resolve))
  })

  test('a bucket in another region is reported with its region', async () => {
    const proxy = await startFaultyProxy(server.port)
    proxy.rules.push({
      method: 'PUT',
      url: /./,
      times: 1,
      fault: {
        kind: 'answer',
        status: 301,
        body:
          '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>PermanentRedirect</Code>' +
          '<Message>elsewhere</Message><Region>eu-central-1</Region></Error>',
      },
    })
    const storage = openStorage(`s3://backups/p?endpoint=${proxy.endpoint}`)
    await assert.rejects(
      storage.probe(),
      (error) =>
        error instanceof UserError &&
        error.code === 'storage-region-wrong' &&
        /region=eu-central-1/.test(error.hint),
    )
    await storage.close()
    await proxy.stop()
  })

  test('a server that stops during a write fails it, without hanging', async () => {
    const own = await startS3(['backups'])
    Object.assign(process.env, own.env)
    const storage = new S3Storage(own.url('p'), quick)
    await storage.probe()
    let stopped: Promise<void> | undefined
    const source = inPieces(noise(6 * partSize))
    source.on('data', () => {
      stopped ??= own.stop()
    })
    source.pause()
    await assert.rejects(
      storage.create('object', source),
      (error) => error instanceof UserError && /unreachable|unavailable/.test(error.code),
    )
    await stopped
    await storage.close()
    Object.assign(process.env, server.env)
  })
})

describe('S3 through a proxy', () => {
  test(
    'HTTP_PROXY and NO_PROXY are honoured if they are given',
    { skip: !real && 'the stand-in takes the host name for a bucket' },
    async (t) => {
      const server = await startS3(['backups'])
      t.after(() => server.stop())
      Object.assign(process.env, server.env)
      const proxy = await startFaultyProxy(server.port)
      t.after(() => proxy.stop())
      const url = `s3://backups/p?endpoint=http://store.invalid:${server.port}`
      const storage = openStorage(url, { env: { HTTP_PROXY: proxy.endpoint } })
      t.after(() => storage.close())
      await storage.create('object', inPieces(Buffer.from('text')))
      assert.ok(proxy.seen.length > 0)
      assert.ok(
        proxy.seen.every((line) => line.includes(`http://store.invalid:${server.port}/`)),
        proxy.seen[0],
      )
      // Without TLS, and not on this machine alone: the body is signed.
      assert.match(
        String(
          proxy.headers.find((headers) => headers['content-length'] === '4')?.[
            'x-amz-content-sha256'
          ],
        ),
        /^[0-9a-f]{64}$/,
      )
      const behind = openStorage(server.url('p'), { env: { HTTP_PROXY: proxy.endpoint } })
      t.after(() => behind.close())
      proxy.headers.length = 0
      await behind.create('other', inPieces(Buffer.from('text'))) // 127.0.0.1 as the proxy sees it
      assert.match(
        String(
          proxy.headers.find((headers) => headers['content-length'] === '4')?.[
            'x-amz-content-sha256'
          ],
        ),
        /^[0-9a-f]{64}$/,
      )
      const direct = openStorage(server.url('p'), {
        env: { HTTP_PROXY: proxy.endpoint, NO_PROXY: '127.0.0.1' },
      })
      t.after(() => direct.close())
      const before = proxy.seen.length
      assert.equal(await direct.size('object'), 4)
      assert.equal(proxy.seen.length, before)
    },
  )
})

describe('S3 over TLS', () => {
  test(
    'objects of all sizes are written and read; an untrusted certificate is refused',
    { skip: kind !== 'versitygw' && 'takes a server with TLS' },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
      const made = spawnSync('openssl', [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        tls.key,
        '-out',
        tls.cert,
        '-days',
        '2',
        '-subj',
        '/CN=127.0.0.1',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ])
      if (made.status !== 0) return t.skip('no openssl')
      const server = await startS3(['backups'], findS3Server(), tls)
      t.after(() => server.stop())
      const writer = fileURLToPath(new URL('../storage-process.ts', import.meta.url))
      const ask = async (env: Record<string, string>, ...args: string[]): Promise<string> => {
        const child = spawn(process.execPath, [writer, server.url('p'), ...args], {
          env: { ...process.env, ...server.env, ...env },
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        return String(await buffer(child.stdout)).trim()
      }
      const trusted = { NODE_EXTRA_CA_CERTS: tls.cert }
      assert.equal(await ask(trusted, 'probe'), 'ended well')
      assert.equal(await ask(trusted, 'create', 'small', '1000'), 'ended well')
      assert.equal(await ask(trusted, 'create', 'large', String(20 << 20)), 'ended well')
      assert.equal(await ask(trusted, 'read', 'large'), 'ended well')
      assert.match(await ask({}, 'probe'), /^storage-tls-untrusted /)
    },
  )
})
