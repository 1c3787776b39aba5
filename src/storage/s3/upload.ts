import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import type { Claim, PartBuffers } from './part-buffers.ts'
import { fillParts, type Part } from './parts.ts'
import { complete, putWhole, removeLeftover, type Target, tokenOf } from './commit.ts'
import type { S3Connection } from './connection.ts'
import { refusesChecksums, S3Failure } from './failure.ts'
import { abortUploadForGood, abortUploadsOf } from './multipart.ts'
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
  outside?: AbortSignal,
): Promise<{ bytes: number }> {
  const { connection, buffers } = uploader
  const target: Target = {
    key,
    name,
    token: randomUUID(),
    operation: { action: `write ${name}`, permission: 's3:PutObject' },
  }
  const inside = new AbortController()
  const stop = (reason: unknown): void => {
    inside.abort(reason)
    source.destroy(reason instanceof Error ? reason : new Error('stopped'))
  }
  const stopFromOutside = (): void => stop(outside?.reason)
  const claim: Claim = { held: 0 }
  const sending = new Set<Promise<void>>()
  const progress: Progress = {
    requested: 0,
    started: undefined,
    id: undefined,
    committing: false,
    parts: [],
    bytes: 0,
  }

  // An error while nothing reads the source is not lost: the next read throws it.
  source.on('error', () => {})
  outside?.addEventListener('abort', stopFromOutside, { once: true })
  if (outside?.aborted) stopFromOutside()
  try {
    for await (const part of fillParts(source, buffers, claim, uploader.partSize, inside.signal)) {
      const sent: Promise<void> = send(connection, target, progress, part, inside.signal)
        .catch(stop)
        .finally(() => {
          buffers.give(claim, part.buffer)
          sending.delete(sent)
        })
      sending.add(sent)
      while (sending.size >= uploader.inFlight) await Promise.race(sending)
      inside.signal.throwIfAborted()
    }
    await Promise.all(sending)
    inside.signal.throwIfAborted()
    if (progress.id !== undefined)
      await commit(connection, target, progress, progress.id, inside.signal)
    return { bytes: progress.bytes }
  } catch (error) {
    const reason: unknown = inside.signal.aborted ? inside.signal.reason : error
    stop(reason)
    await Promise.all(sending)
    await removeSent(connection, target, progress, reason)
    throw reason
  } finally {
    outside?.removeEventListener('abort', stopFromOutside)
  }
}

/** The state of one upload. */
interface Progress {
  /**
   * How often a multipart upload was requested. If an answer is lost, the store has an upload whose
   * id is unknown.
   */
  requested: number
  started: Promise<string> | undefined
  id: string | undefined
  /** Once true, the object may exist, whatever the store answers. */
  committing: boolean
  parts: { number: number; etag: string; crc: number; checksum: boolean }[]
  bytes: number
}

async function send(
  connection: S3Connection,
  target: Target,
  progress: Progress,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  const { crc } = part
  progress.bytes += part.body.length
  if (part.last && part.number === 1) {
    progress.committing = true
    await putWhole(connection, target, part.body, base64Of([crc]), signal)
    return
  }
  const id = await (progress.started ??= begin(connection, target, progress, signal))
  const sent = await connection.withChecksum(refusesChecksums, async (checksum) => {
    const etag = await connection.request(
      target.operation,
      async ({ sdk, client, options }) => {
        const answer = await client.send(
          new sdk.UploadPartCommand({
            Bucket: connection.address.bucket,
            Key: target.key,
            UploadId: id,
            PartNumber: part.number,
            Body: part.body,
            ContentLength: part.body.length,
            ...(checksum ? { ChecksumCRC32: base64Of([crc]) } : {}),
          }),
          options,
        )
        return answer.ETag ?? ''
      },
      signal,
    )
    return { number: part.number, etag, crc, checksum }
  })
  progress.parts.push(sent)
}

async function begin(
  connection: S3Connection,
  target: Target,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  progress.id = await connection.withChecksum(refusesChecksums, (checksum) =>
    connection.request(
      target.operation,
      async ({ sdk, client, options }) => {
        progress.requested++
        const answer = await client.send(
          new sdk.CreateMultipartUploadCommand({
            Bucket: connection.address.bucket,
            Key: target.key,
            Metadata: tokenOf(target),
            ...(checksum ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
          }),
          options,
        )
        if (answer.UploadId === undefined)
          throw new S3Failure(
            target.operation,
            200,
            'InternalError',
            'the answer to CreateMultipartUpload names no upload',
          )
        return answer.UploadId
      },
      signal,
    ),
  )
  return progress.id
}

async function commit(
  connection: S3Connection,
  target: Target,
  progress: Progress,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  progress.committing = true
  const parts = progress.parts.toSorted((a, b) => a.number - b.number)
  const listed = parts.map(({ number, etag, crc, checksum }) => ({
    PartNumber: number,
    ETag: etag,
    ...(checksum ? { ChecksumCRC32: base64Of([crc]) } : {}),
  }))
  // S3's composite checksum: that of the parts' checksums, and their number.
  const composite = `${base64Of([crc32(bytesOf(parts.map((part) => part.crc)))])}-${parts.length}`
  await complete(connection, target, id, listed, progress.bytes, composite, signal)
  if (progress.requested > 1)
    await abortUploadsOf(connection, target.key, AbortSignal.timeout(cleanUpTimeout)).catch(
      () => {},
    )
}

/**
 * Cleans up after a failure: ends the partial upload, and deletes the object if it was made after
 * all. It ignores the signal that may be the reason, but has a deadline.
 */
async function removeSent(
  connection: S3Connection,
  target: Target,
  progress: Progress,
  reason: unknown,
): Promise<void> {
  const deadline = AbortSignal.timeout(cleanUpTimeout)
  if (progress.id !== undefined)
    await abortUploadForGood(connection, target.key, progress.id, deadline).catch(() => {})
  if (progress.requested > (progress.id === undefined ? 0 : 1))
    await abortUploadsOf(connection, target.key, deadline).catch(() => {})
  if (progress.committing && !(reason instanceof ObjectExists))
    await removeLeftover(connection, target, deadline)
}

function bytesOf(crcs: readonly number[]): Buffer {
  const bytes = Buffer.alloc(crcs.length * 4)
  crcs.forEach((crc, index) => bytes.writeUInt32BE(crc, index * 4))
  return bytes
}

const base64Of = (crcs: readonly number[]): string => bytesOf(crcs).toString('base64')
