import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import type { Claim, PartBuffers } from './part-buffers.ts'
import { fillParts, type Part } from './parts.ts'
import { complete, putWhole, removeLeftover, type Target, tokenOf } from './commit.ts'
import type { S3Connection } from './connection.ts'
import { refusesChecksums, S3Failure } from './failure.ts'
import { abortUploadForGood, abortUploadsOf } from './partial-uploads.ts'
import { ObjectExists } from '../storage.ts'

/** What uploads share. */
export interface Uploader {
  connection: S3Connection
  buffers: PartBuffers
  /** Size of the first parts in bytes; S3 takes at least 5 MiB. */
  partSize: number
  /** The number of parts of one object that are sent at once. */
  inFlight: number
}

/** The deadline for cleaning up, in milliseconds: a runner that cancels kills after 7.5 s. */
const cleanUpTimeout = 5_000

/**
 * Writes one object, create-only: in one request if a part can hold it, otherwise in several parts
 * at once. `key` is the key in the bucket; `name` is the key without the prefix, for messages.
 * Returns the number of bytes. Rejects with the first failure, or the signal's reason. By then the
 * source is destroyed, no request is in flight, and what was sent is removed.
 */
export async function upload(
  uploader: Uploader,
  key: string,
  name: string,
  source: Readable,
  signal?: AbortSignal,
): Promise<{ bytes: number }> {
  const target: Target = {
    key,
    name,
    token: randomUUID(),
    operation: { action: `write ${name}`, permission: 's3:PutObject' },
  }
  return await new Upload(uploader, target, source).run(signal)
}

/** One object being written. */
class Upload {
  readonly #uploader: Uploader
  readonly #connection: S3Connection
  readonly #target: Target
  readonly #source: Readable
  readonly #inside = new AbortController()
  readonly #claim: Claim = { held: 0 }
  /** The requests in flight. */
  readonly #sending = new Set<Promise<void>>()
  readonly #parts: { number: number; etag: string; crc: number; checksum: boolean }[] = []
  #bytes = 0
  /**
   * How often a multipart upload was requested. If an answer is lost, the store has an upload whose
   * id is unknown.
   */
  #requested = 0
  #started: Promise<string> | undefined
  #id: string | undefined
  /** Once true, the object may exist, whatever the store answers. */
  #committing = false

  constructor(uploader: Uploader, target: Target, source: Readable) {
    this.#uploader = uploader
    this.#connection = uploader.connection
    this.#target = target
    this.#source = source
  }

  async run(outside?: AbortSignal): Promise<{ bytes: number }> {
    const stop = (): void => this.#stop(outside?.reason)
    // An error while nothing reads the source is not lost: the next read throws it.
    this.#source.on('error', () => {})
    outside?.addEventListener('abort', stop, { once: true })
    if (outside?.aborted) stop()
    try {
      await this.#sendParts()
      if (this.#id !== undefined) await this.#commit(this.#id)
      return { bytes: this.#bytes }
    } catch (error) {
      const reason: unknown = this.#signal.aborted ? this.#signal.reason : error
      this.#stop(reason)
      await Promise.all(this.#sending)
      await this.#removeSent(reason)
      throw reason
    } finally {
      outside?.removeEventListener('abort', stop)
    }
  }

  get #signal(): AbortSignal {
    return this.#inside.signal
  }

  #stop(reason: unknown): void {
    this.#inside.abort(reason)
    this.#source.destroy(reason instanceof Error ? reason : new Error('stopped'))
  }

  /** Reads the source and sends it in parts, several at once. */
  async #sendParts(): Promise<void> {
    const { buffers, partSize, inFlight } = this.#uploader
    for await (const part of fillParts(
      this.#source,
      buffers,
      this.#claim,
      partSize,
      this.#signal,
    )) {
      const sent: Promise<void> = this.#send(part)
        .catch((reason: unknown) => this.#stop(reason))
        .finally(() => {
          buffers.give(this.#claim, part.buffer)
          this.#sending.delete(sent)
        })
      this.#sending.add(sent)
      while (this.#sending.size >= inFlight) await Promise.race(this.#sending)
      this.#signal.throwIfAborted()
    }
    await Promise.all(this.#sending)
    this.#signal.throwIfAborted()
  }

  /** Sends one part; a single part is the object itself. */
  async #send(part: Part): Promise<void> {
    const { body, crc, number } = part
    this.#bytes += body.length
    if (part.last && number === 1) {
      this.#committing = true
      await putWhole(this.#connection, this.#target, body, base64Of([crc]), this.#signal)
      return
    }
    const id = await (this.#started ??= this.#begin())
    const sent = await this.#connection.withChecksum(refusesChecksums, async (checksum) => {
      const etag = await this.#connection.request(
        this.#target.operation,
        async ({ sdk, client, options }) => {
          const answer = await client.send(
            new sdk.UploadPartCommand({
              ...this.#object,
              UploadId: id,
              PartNumber: number,
              Body: body,
              ContentLength: body.length,
              ...(checksum ? { ChecksumCRC32: base64Of([crc]) } : {}),
            }),
            options,
          )
          return answer.ETag ?? ''
        },
        this.#signal,
      )
      return { number, etag, crc, checksum }
    })
    this.#parts.push(sent)
  }

  /** Starts a multipart upload. Returns its id. */
  async #begin(): Promise<string> {
    const { operation } = this.#target
    this.#id = await this.#connection.withChecksum(refusesChecksums, (checksum) =>
      this.#connection.request(
        operation,
        async ({ sdk, client, options }) => {
          this.#requested++
          const answer = await client.send(
            new sdk.CreateMultipartUploadCommand({
              ...this.#object,
              Metadata: tokenOf(this.#target),
              ...(checksum ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
            }),
            options,
          )
          if (answer.UploadId !== undefined) return answer.UploadId
          const message = 'the answer to CreateMultipartUpload names no upload'
          throw new S3Failure(operation, 200, 'InternalError', message)
        },
        this.#signal,
      ),
    )
    return this.#id
  }

  async #commit(id: string): Promise<void> {
    this.#committing = true
    const parts = this.#parts.toSorted((a, b) => a.number - b.number)
    const listed = parts.map(({ number, etag, crc, checksum }) => ({
      PartNumber: number,
      ETag: etag,
      ...(checksum ? { ChecksumCRC32: base64Of([crc]) } : {}),
    }))
    // S3's composite checksum: that of the parts' checksums, and their number.
    const checksums = bytesOf(parts.map(({ crc }) => crc))
    const composite = `${base64Of([crc32(checksums)])}-${parts.length}`
    const { key } = this.#target
    await complete(this.#connection, this.#target, id, listed, this.#bytes, composite, this.#signal)
    if (this.#requested > 1)
      await abortUploadsOf(this.#connection, key, AbortSignal.timeout(cleanUpTimeout)).catch(
        () => {},
      )
  }

  /**
   * Cleans up after a failure: ends the partial upload, and deletes the object if it was made after
   * all. It ignores the signal that may be the reason, but has a deadline.
   */
  async #removeSent(reason: unknown): Promise<void> {
    const { key } = this.#target
    const deadline = AbortSignal.timeout(cleanUpTimeout)
    if (this.#id !== undefined)
      await abortUploadForGood(this.#connection, key, this.#id, deadline).catch(() => {})
    if (this.#requested > (this.#id === undefined ? 0 : 1))
      await abortUploadsOf(this.#connection, key, deadline).catch(() => {})
    if (this.#committing && !(reason instanceof ObjectExists))
      await removeLeftover(this.#connection, this.#target, deadline)
  }

  get #object(): { Bucket: string; Key: string } {
    return { Bucket: this.#connection.address.bucket, Key: this.#target.key }
  }
}

function bytesOf(crcs: readonly number[]): Buffer {
  const bytes = Buffer.alloc(crcs.length * 4)
  crcs.forEach((crc, index) => bytes.writeUInt32BE(crc, index * 4))
  return bytes
}

const base64Of = (crcs: readonly number[]): string => bytesOf(crcs).toString('base64')
