/**
 * An S3 server from an npm package, for machines without a real one: `node s3-stand-in.ts PORT
 * FOLDER BUCKET…`. The package knows no create-only writes, and the product rightly refuses such a
 * store: this wrapper adds them, and the end of a half upload.
 */
import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

interface Package {
  store: {
    getResourcePath(bucket: string, key: string | undefined, resource: string): string
    getObject(bucket: string, key: string): Promise<{ content?: { destroy(): void } } | undefined>
  }
  configureBuckets(): Promise<unknown>
  callback(): (request: IncomingMessage, response: ServerResponse) => void
}
type PackageClass = new (options: object) => Package

const S3rver = createRequire(import.meta.url)('s3rver') as PackageClass
const [port = '0', directory = '', ...buckets] = process.argv.slice(2)
const server = new S3rver({
  directory,
  silent: true,
  configureBuckets: buckets.map((name) => ({ name })),
})
await server.configureBuckets()
const answer = server.callback()

/** The create-only writes of one key, one after the other. */
const turns = new Map<string, Promise<void>>()

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand-in')
  const upload = searchParams.get('uploadId')
  if (request.method === 'DELETE' && upload !== null)
    return void endUpload(pathname.split('/')[1] ?? '', upload, response)
  const commits = request.method === 'PUT' || (request.method === 'POST' && upload !== null)
  if (!commits || request.headers['if-none-match'] !== '*') return answer(request, response)
  const before = turns.get(pathname) ?? Promise.resolve()
  turns.set(
    pathname,
    before.then(() => createOnly(pathname, request, response)),
  )
}).listen(Number(port), '127.0.0.1')

async function createOnly(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [, bucket = '', ...key] = path.split('/')
  const taken = await server.store
    .getObject(bucket, decodeURIComponent(key.join('/')))
    .catch(() => undefined)
  taken?.content?.destroy()
  if (response.closed) return
  if (taken) {
    request.resume()
    response.writeHead(412, { 'content-type': 'application/xml' })
    response.end(
      '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>PreconditionFailed</Code>' +
        '<Message>The key is taken.</Message></Error>',
    )
    return
  }
  await new Promise<void>((resolve) => {
    response.once('close', resolve)
    answer(request, response)
  })
}

async function endUpload(bucket: string, id: string, response: ServerResponse): Promise<void> {
  if (/^[\w-]+$/.test(id))
    await rm(join(server.store.getResourcePath(bucket, undefined, 'uploads'), id), {
      recursive: true,
      force: true,
    })
  response.writeHead(204).end()
}
