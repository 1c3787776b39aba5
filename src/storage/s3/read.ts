import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { Gatherer, givesPieces } from '../../stream/gather.ts'
import { free } from '../../stream/pieces.ts'
import type { S3Connection } from './connection.ts'
import { explain, failureOf, isTransient, S3Failure } from './errors.ts'
import { ObjectMissing } from '../storage.ts'

interface Answer {
  body: Readable
  /** Of the whole object. */
  size: number
  etag: string | undefined
}

/**
 * Opens one object. A connection that breaks, falls silent or ends early is asked again from the
 * byte where it broke, of the same object by its ETag; only tries without a single byte in between
 * count against the limit.
 */
export async function read(
  connection: S3Connection,
  key: string,
  name: string,
  outside?: AbortSignal,
): Promise<Readable> {
  const closed = new AbortController()
  const signal = outside ? AbortSignal.any([outside, closed.signal]) : closed.signal
  const first = await get(connection, key, name, 0, undefined, signal)
  const { size, etag } = first
  let body = first.body
  let at = 0
  let failures = 0
  let wake = (): void => {}
  const stream = new Readable({
    objectMode: true,
    highWaterMark: givesPieces.readableHighWaterMark,
    read: () => (wake(), void body.resume()),
  })
  const out = new Gatherer((piece) => {
    if (!stream.push(piece)) body.pause()
  })
  const take = (bytes: Buffer): void => {
    failures = 0
    at += bytes.length
    out.add(bytes)
  }
  const flow = async (): Promise<void> => {
    for (;;) {
      const error = await flowing(body, take)
      signal.throwIfAborted()
      if (at > size)
        throw new Error(`${name}: the store sent more than the ${size} bytes that it told`)
      if (at === size) return
      const broken =
        error === undefined
          ? new S3Failure(
              reading(name),
              undefined,
              'ECONNRESET',
              `ended after ${at} of ${size} bytes`,
            )
          : brokenBy(error, name)
      // A connection that was silent because nobody read from it is not missed before somebody
      // does.
      if (stream.readableLength >= stream.readableHighWaterMark)
        await new Promise<void>((resolve) => (wake = resolve))
      signal.throwIfAborted()
      if (++failures >= connection.timeouts.attempts) throw broken
      await connection.pause(failures, signal)
      body = (await get(connection, key, name, at, etag, signal)).body
    }
  }
  const stop = (): void =>
    void stream.destroy(outside?.reason instanceof Error ? outside.reason : new Error('stopped'))
  outside?.addEventListener('abort', stop, { once: true })
  stream.once('close', () => {
    outside?.removeEventListener('abort', stop)
    closed.abort(new Error('the reader was closed'))
    body.destroy()
    wake()
  })
  body.pause() // until somebody reads
  flow()
    .then(() => {
      out.end()
      stream.push(null)
    })
    .catch((error: unknown) => stream.destroy(explain(error, connection.address) as Error))
  return stream
}

/**
 * Gives what an answer brings, while it is not paused, and settles when nothing more comes: with
 * what broke it, or undefined at its end.
 *
 * Node copies what the socket gives for each piece of a body. Both copies are freed by us
 * (pieces.ts says why): the socket's as soon as Node's own listener, which came first, has parsed
 * it; the body's when the next has come. Should they ever be the same memory, neither is.
 */
async function flowing(body: Readable, take: (bytes: Buffer) => void): Promise<unknown> {
  const { socket } = body as IncomingMessage
  let arriving: Buffer | undefined
  let taken: Buffer | undefined
  let copied = false
  const arrives = (bytes: Buffer): void => void (arriving = bytes)
  const parsed = (bytes: Buffer): void => {
    arriving = undefined
    if (copied) free(bytes)
  }
  socket.prependListener('data', arrives).on('data', parsed)
  body.on('data', (bytes: Buffer) => {
    take(bytes)
    if (copied && taken) free(taken)
    copied ||= arriving !== undefined && arriving.buffer !== bytes.buffer
    taken = bytes
  })
  return await new Promise((resolve) => {
    body.once('end', () => resolve(undefined))
    body.once('error', resolve)
    body.once('close', () => resolve(undefined))
  }).finally(() => {
    socket.off('data', arrives).off('data', parsed)
    body.destroy()
  })
}

const reading = (name: string): { what: string; permission: string } => ({
  what: `read ${name}`,
  permission: 's3:GetObject',
})

function brokenBy(error: unknown, name: string): S3Failure {
  const failure = failureOf(error, reading(name))
  return failure instanceof S3Failure && isTransient(failure)
    ? failure
    : new S3Failure(reading(name), undefined, 'ECONNRESET', String(error))
}

async function get(
  connection: S3Connection,
  key: string,
  name: string,
  from: number,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    return await connection.ask(
      reading(name),
      async ({ sdk, client, options }) => {
        const pinned =
          from === 0
            ? {}
            : { Range: `bytes=${from}-`, ...(etag === undefined ? {} : { IfMatch: etag }) }
        const answer = await client.send(
          new sdk.GetObjectCommand({ Bucket: connection.address.bucket, Key: key, ...pinned }),
          options,
        )
        const body = answer.Body as unknown as Readable
        if (from > 0 && !answer.ContentRange?.startsWith(`bytes ${from}-`)) {
          body.destroy()
          throw new S3Failure(
            reading(name),
            416,
            'RangeIgnored',
            `asked for the bytes from ${from} on, got ${answer.ContentRange ?? 'something else'}`,
          )
        }
        if (answer.ContentLength === undefined) {
          body.destroy()
          throw new S3Failure(
            reading(name),
            200,
            'LengthMissing',
            'the store does not tell how long the object is',
          )
        }
        // A store that ignores If-Match is caught here.
        if (etag !== undefined && answer.ETag !== etag) {
          body.destroy()
          throw new S3Failure(reading(name), 412, 'PreconditionFailed', 'another object by now')
        }
        return { body, size: from + answer.ContentLength, etag: answer.ETag }
      },
      signal,
    )
  } catch (error) {
    if (error instanceof S3Failure && error.code === 'NoSuchKey')
      throw new ObjectMissing(name, connection.address.url)
    if (error instanceof S3Failure && error.status === 412)
      throw new Error(`${name} changed while it was read`)
    throw error
  }
}
