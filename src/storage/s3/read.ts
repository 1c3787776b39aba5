import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { messageOf } from '../../errors.ts'
import { Gatherer, givesPieces } from '../../stream/gather.ts'
import { free } from '../../stream/pieces.ts'
import { ObjectMissing } from '../storage.ts'
import type { S3Connection } from './connection.ts'
import { explain } from './errors.ts'
import { failureOf, isTransient, type Operation, S3Failure } from './failure.ts'

/**
 * Streams one object. If the connection breaks, is silent for too long or ends early, the download
 * continues from that byte, of the same object by its ETag. Only attempts without a single byte in
 * between count against the limit. `key` is the key in the bucket; `name` is the key without the
 * prefix, for messages.
 */
export async function read(
  connection: S3Connection,
  key: string,
  name: string,
  signal?: AbortSignal,
): Promise<Readable> {
  const download = new Download(connection, key, name, signal)
  return await download.open()
}

/** One answer of the store. */
interface Answer {
  body: Readable
  /** The size of the complete object, in bytes. */
  size: number
  etag: string | undefined
}

/** The download of one object, over one or more connections. */
class Download {
  readonly #connection: S3Connection
  readonly #key: string
  readonly #name: string
  readonly #outside: AbortSignal | undefined
  readonly #closed = new AbortController()
  /** Fires when the caller aborts or closes the stream. */
  readonly #signal: AbortSignal
  readonly #stream: Readable
  readonly #out: Gatherer
  #answer: Answer | undefined
  /** The number of bytes received so far. */
  #at = 0
  /** Attempts in a row that brought no byte. */
  #failures = 0
  #wake = (): void => {}

  constructor(connection: S3Connection, key: string, name: string, outside?: AbortSignal) {
    this.#connection = connection
    this.#key = key
    this.#name = name
    this.#outside = outside
    this.#signal = outside ? AbortSignal.any([outside, this.#closed.signal]) : this.#closed.signal
    this.#stream = new Readable({
      objectMode: true,
      highWaterMark: givesPieces.readableHighWaterMark,
      read: () => {
        this.#wake()
        this.#answer?.body.resume()
      },
    })
    this.#out = new Gatherer((piece) => {
      if (!this.#stream.push(piece)) this.#answer?.body.pause()
    })
  }

  /** Sends the first request. Returns the stream, which stays paused until it is read. */
  async open(): Promise<Readable> {
    const answer = await this.#get()
    const stop = (): void => {
      const reason: unknown = this.#outside?.reason
      this.#stream.destroy(reason instanceof Error ? reason : new Error('stopped'))
    }
    this.#outside?.addEventListener('abort', stop, { once: true })
    this.#stream.once('close', () => {
      this.#outside?.removeEventListener('abort', stop)
      this.#closed.abort(new Error('the reader was closed'))
      this.#answer?.body.destroy()
      this.#wake()
    })
    answer.body.pause()
    this.#receive(answer)
      .then(() => {
        this.#out.end()
        this.#stream.push(null)
      })
      .catch((error: unknown) =>
        this.#stream.destroy(explain(error, this.#connection.address) as Error),
      )
    return this.#stream
  }

  /** Receives the complete object. */
  async #receive({ size, body }: Answer): Promise<void> {
    for (let current = body; ; current = (await this.#get()).body) {
      const error = await drain(current, (bytes) => this.#take(bytes))
      this.#signal.throwIfAborted()
      if (this.#at > size)
        throw new Error(`${this.#name}: the store sent more than the ${size} bytes it announced`)
      if (this.#at === size) return
      await this.#waitForReader()
      if (++this.#failures >= this.#connection.timeouts.attempts)
        throw breakOf(error, this.#name, `ended after ${this.#at} of ${size} bytes`)
      await this.#connection.pause(this.#failures, this.#signal)
    }
  }

  #take(bytes: Buffer): void {
    this.#failures = 0
    this.#at += bytes.length
    this.#out.add(bytes)
  }

  /**
   * A connection may have broken because it was silent while nothing read the stream. It is
   * replaced when something reads again.
   */
  async #waitForReader(): Promise<void> {
    if (this.#stream.readableLength >= this.#stream.readableHighWaterMark)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#signal.throwIfAborted()
  }

  /** Requests the object from the current byte on. */
  async #get(): Promise<Answer> {
    const { address } = this.#connection
    try {
      const answer = await this.#send()
      this.#answer = answer
      return answer
    } catch (error) {
      if (error instanceof S3Failure && error.code === 'NoSuchKey')
        throw new ObjectMissing(this.#name, address.url)
      if (error instanceof S3Failure && error.status === 412)
        throw new Error(`${this.#name} changed while it was read`)
      throw error
    }
  }

  async #send(): Promise<Answer> {
    const from = this.#at
    const etag = this.#answer?.etag
    const range = {
      ...(from === 0 ? {} : { Range: `bytes=${from}-` }),
      ...(from === 0 || etag === undefined ? {} : { IfMatch: etag }),
    }
    const operation = reading(this.#name)
    return await this.#connection.request(
      operation,
      async ({ sdk, client, options }) => {
        const { bucket } = this.#connection.address
        const answer = await client.send(
          new sdk.GetObjectCommand({ Bucket: bucket, Key: this.#key, ...range }),
          options,
        )
        const body = answer.Body as unknown as Readable
        const { ContentLength: length } = answer
        const refuse = (status: number, code: string, message: string): S3Failure => {
          body.destroy()
          return new S3Failure(operation, status, code, message)
        }
        if (from > 0 && !answer.ContentRange?.startsWith(`bytes ${from}-`)) {
          const range = answer.ContentRange ?? 'something else'
          throw refuse(416, 'RangeIgnored', `requested the bytes from ${from} on, got ${range}`)
        }
        if (length === undefined)
          throw refuse(200, 'LengthMissing', 'the store does not report the length of the object')
        // Catches a store that ignores If-Match.
        if (etag !== undefined && answer.ETag !== etag)
          throw refuse(412, 'PreconditionFailed', 'the object was replaced')
        return { body, size: from + length, etag: answer.ETag }
      },
      this.#signal,
    )
  }
}

const reading = (name: string): Operation => ({
  action: `read ${name}`,
  permission: 's3:GetObject',
})

/** Returns the failure for what broke a connection; without an error, it ended early. */
function breakOf(error: unknown, name: string, endedEarly: string): S3Failure {
  const operation = reading(name)
  if (error === undefined) return new S3Failure(operation, undefined, 'ECONNRESET', endedEarly)
  const failure = failureOf(error, operation)
  if (failure instanceof S3Failure && isTransient(failure)) return failure
  return new S3Failure(operation, undefined, 'ECONNRESET', messageOf(error))
}

/**
 * Passes on the bytes of an answer while it is not paused. Resolves when no more come: with the
 * error that broke it, or undefined at its end.
 *
 * Node copies what the socket gives for each piece of a body. Both copies are freed here
 * (`stream/pieces.ts` says why): the socket's once Node's own listener, which came first, has
 * parsed it; the body's once the next has come. If they are the same memory, neither is freed.
 */
async function drain(body: Readable, take: (bytes: Buffer) => void): Promise<unknown> {
  const { socket } = body as IncomingMessage
  let arriving: Buffer | undefined
  let taken: Buffer | undefined
  let isCopied = false
  const onArrival = (bytes: Buffer): void => void (arriving = bytes)
  const onParsed = (bytes: Buffer): void => {
    arriving = undefined
    if (isCopied) free(bytes)
  }
  socket.prependListener('data', onArrival).on('data', onParsed)
  body.on('data', (bytes: Buffer) => {
    take(bytes)
    if (isCopied && taken) free(taken)
    isCopied ||= arriving !== undefined && arriving.buffer !== bytes.buffer
    taken = bytes
  })
  return await new Promise((resolve) => {
    body.once('end', () => resolve(undefined))
    body.once('error', resolve)
    body.once('close', () => resolve(undefined))
  }).finally(() => {
    socket.off('data', onArrival).off('data', onParsed)
    body.destroy()
  })
}
