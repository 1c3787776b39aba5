import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import type { Claim, PartBuffers } from './part-buffers.ts'
import { fillParts, type Part } from './parts.ts'
import { complete, putWhole, type Target, tokenOf, undo } from './commit.ts'
import type { S3Connection } from './connection.ts'
import { refusesChecksums, S3Failure } from './errors.ts'
import { abortUploadForGood, abortUploadsOf } from './multipart.ts'
import { ObjectExists } from '../storage.ts'

export interface Writer {
  connection: S3Connection
  buffers: PartBuffers
  /** Bytes of the first parts. S3 takes no less than 5 MiB. */
  partSize: number
  /** Parts of one object on their way at once. */
  inFlight: number
}

/**
 * Clean-up after a failure gets this long, milliseconds: a runner that cancels kills after 7.5 s.
 */
const cleanUpTime = 5_000

/**
 * Sends one object, in one request if a part can hold it, else in parts side by side. Owns the
 * source: destroys it when anything fails. What rejects is the first failure, or the signal's
 * reason; by then nothing is on its way any more, and what was sent is taken back.
 */
export async function upload(
  writer: Writer,
  key: string,
  name: string,
  source: Readable,
  outside?: AbortSignal,
): Promise<{ bytes: number }> {
  const { connection, buffers } = writer
  const target: Target = {
    key,
    name,
    token: randomUUID(),
    doing: { what: `write ${name}`, permission: 's3:PutObject' },
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
    asked: 0,
    started: undefined,
    id: undefined,
    committing: false,
    parts: [],
    bytes: 0,
  }

  // An error that comes while nobody reads is not lost: reading finds it.
  source.on('error', () => {})
  outside?.addEventListener('abort', stopFromOutside, { once: true })
  if (outside?.aborted) stopFromOutside()
  try {
    for await (const part of fillParts(source, buffers, claim, writer.partSize, inside.signal)) {
      const one: Promise<void> = send(connection, target, progress, part, inside.signal)
        .catch(stop)
        .finally(() => (buffers.give(claim, part.buffer), sending.delete(one)))
      sending.add(one)
      while (sending.size >= writer.inFlight) await Promise.race(sending)
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
    await takeBack(connection, target, progress, reason)
    throw reason
  } finally {
    outside?.removeEventListener('abort', stopFromOutside)
  }
}

/** How far one object has come. */
interface Progress {
  /**
   * How often a multipart upload was asked for: an answer that was lost leaves one behind that we
   * have no id of.
   */
  asked: number
  started: Promise<string> | undefined
  id: string | undefined
  /** From here on the object may exist, whatever we hear. */
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
    const etag = await connection.ask(
      target.doing,
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
    connection.ask(
      target.doing,
      async ({ sdk, client, options }) => {
        progress.asked++
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
            target.doing,
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
  // What S3 calls a composite checksum: that of the parts' checksums, and how many there are.
  const whole = `${base64Of([crc32(bytesOf(parts.map((part) => part.crc)))])}-${parts.length}`
  await complete(connection, target, id, listed, progress.bytes, whole, signal)
  if (progress.asked > 1)
    await abortUploadsOf(connection, target.key, AbortSignal.timeout(cleanUpTime)).catch(() => {})
}

/**
 * After a failure: ends the half upload, and deletes what may have been made after all. Bounded,
 * and deaf to the signal that brought us here.
 */
async function takeBack(
  connection: S3Connection,
  target: Target,
  progress: Progress,
  reason: unknown,
): Promise<void> {
  const soon = AbortSignal.timeout(cleanUpTime)
  if (progress.id !== undefined)
    await abortUploadForGood(connection, target.key, progress.id, soon).catch(() => {})
  if (progress.asked > (progress.id === undefined ? 0 : 1))
    await abortUploadsOf(connection, target.key, soon).catch(() => {})
  if (progress.committing && !(reason instanceof ObjectExists)) await undo(connection, target, soon)
}

function bytesOf(crcs: readonly number[]): Buffer {
  const bytes = Buffer.alloc(crcs.length * 4)
  crcs.forEach((crc, index) => bytes.writeUInt32BE(crc, index * 4))
  return bytes
}

const base64Of = (crcs: readonly number[]): string => bytesOf(crcs).toString('base64')
