import { UserError } from '../../errors.ts'
import type { S3Connection } from './connection.ts'
import { type Operation, refusesChecksums, S3Failure } from './failure.ts'
import { ObjectExists } from '../storage.ts'

/** An object being written. */
export interface Target {
  /** The key in the bucket, with the prefix. */
  key: string
  /** The key without the prefix, for messages. */
  name: string
  /**
   * Stored with the object. If the answer to a create-only write is lost and the second attempt
   * finds the key taken, the token shows whether the first attempt took it.
   */
  token: string
  operation: Operation
}

export interface SentPart {
  PartNumber: number
  ETag: string
  /** Base64; undefined if the store takes no checksums. */
  ChecksumCRC32?: string
}

const tokenName = 'holdfast-write'
export const tokenOf = (target: Target): Record<string, string> => ({ [tokenName]: target.token })

/** Writes an object of one part, create-only. */
export async function putWhole(
  connection: S3Connection,
  target: Target,
  body: Buffer,
  checksum: string,
  signal: AbortSignal,
): Promise<void> {
  const { bucket } = connection.address
  const reported = await createOnly(connection, target, signal, () =>
    connection.withChecksum(refusesChecksums, (checksums) =>
      connection.request(
        target.operation,
        async ({ sdk, client, options }) => {
          const answer = await client.send(
            new sdk.PutObjectCommand({
              Bucket: bucket,
              Key: target.key,
              Body: body,
              ContentLength: body.length,
              IfNoneMatch: '*',
              Metadata: tokenOf(target),
              ...(checksums ? { ChecksumCRC32: checksum } : {}),
            }),
            options,
          )
          return answer.ChecksumCRC32
        },
        signal,
      ),
    ),
  )
  await confirm(connection, target, body.length, checksum, reported, signal)
}

/**
 * Completes a multipart upload, create-only. `checksum` is the expected composite checksum of the
 * object (that of the parts' checksums, and their number).
 */
export async function complete(
  connection: S3Connection,
  target: Target,
  id: string,
  parts: SentPart[],
  bytes: number,
  checksum: string,
  signal: AbortSignal,
): Promise<void> {
  const { bucket } = connection.address
  const reported = await createOnly(connection, target, signal, () =>
    connection.request(
      target.operation,
      async ({ sdk, client, options }) => {
        const answer = await client.send(
          new sdk.CompleteMultipartUploadCommand({
            Bucket: bucket,
            Key: target.key,
            UploadId: id,
            MultipartUpload: { Parts: parts },
            IfNoneMatch: '*',
          }),
          options,
        )
        // S3 may answer 200 at once and report a failure in the body, which the SDK does not always
        // recognise.
        if (answer.ETag === undefined)
          throw new S3Failure(
            target.operation,
            200,
            'InternalError',
            'the answer to CompleteMultipartUpload names no object',
          )
        return answer.ChecksumCRC32
      },
      signal,
    ),
  )
  await confirm(connection, target, bytes, checksum, reported, signal)
}

/**
 * Sends a create-only write. If the store says that the key is taken, finds out by whom: throws
 * `ObjectExists`, unless it was an earlier attempt whose answer was lost. Returns the checksum that
 * the store reported, if any.
 */
async function createOnly(
  connection: S3Connection,
  target: Target,
  signal: AbortSignal,
  send: () => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error
    const taken = error.status === 412 || error.code === 'ConditionalRequestConflict'
    // An upload that no longer exists was completed by the attempt before.
    if (!taken && error.code !== 'NoSuchUpload') throw error
    const found = await readHead(connection, target, signal).catch((failure: unknown) => {
      // Without permission to read, there is only the store's first answer.
      if (failure instanceof S3Failure && failure.status === 403) return undefined
      throw failure
    })
    if (found?.token === target.token) return undefined
    if (taken && (found || error.status === 412))
      throw new ObjectExists(target.name, connection.address.url)
    throw error
  }
}

interface Found {
  bytes: number
  token: string | undefined
  checksum: string | undefined
  etag: string | undefined
}

async function readHead(
  connection: S3Connection,
  target: Target,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const operation = {
    action: `read the size of ${target.name}`,
    permission: 's3:GetObject (and s3:ListBucket)',
  }
  try {
    return await connection.request(
      operation,
      async ({ sdk, client, options }) => {
        const answer = await client.send(
          new sdk.HeadObjectCommand({
            Bucket: connection.address.bucket,
            Key: target.key,
            ChecksumMode: 'ENABLED',
          }),
          options,
        )
        return {
          bytes: answer.ContentLength ?? -1,
          token: answer.Metadata?.[tokenName],
          checksum: answer.ChecksumCRC32,
          etag: answer.ETag,
        }
      },
      signal,
    )
  } catch (error) {
    if (error instanceof S3Failure && error.status === 404) return undefined
    throw error
  }
}

/**
 * Throws unless the store holds the object with this size and checksum. Credentials without read
 * permission cannot ask: then the checksum that the store reported for the write must match.
 */
async function confirm(
  connection: S3Connection,
  target: Target,
  bytes: number,
  checksum: string,
  reported: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  let found: Found | undefined
  try {
    found = await readHead(connection, target, signal)
  } catch (error) {
    if (error instanceof S3Failure && error.status === 403 && reported === checksum) return
    throw error
  }
  const isComplete =
    found !== undefined &&
    found.bytes === bytes &&
    (!comparable(found.checksum, checksum) || found.checksum === checksum)
  if (isComplete) return
  const has =
    found === undefined
      ? 'nothing'
      : `${found.bytes} bytes${found.bytes === bytes ? ' with another checksum' : ''}`
  throw new UserError(
    'storage-not-confirmed',
    `${target.name} was sent to ${connection.address.url} with ${bytes} bytes, and the store has ` +
      `${has}.`,
    'The store, or a proxy on the way to it, loses or changes data. Nothing was kept. ' +
      'Check its log before you trust it with backups.',
  )
}

/** A store may keep no checksum, or one of the complete object instead of its parts (no `-N`). */
function comparable(found: string | undefined, ours: string): boolean {
  return found !== undefined && found.includes('-') === ours.includes('-')
}

/**
 * Deletes what a failed write may have left under the key, if this write made it. Never rejects:
 * there is a failure to report already.
 */
export async function removeLeftover(
  connection: S3Connection,
  target: Target,
  signal: AbortSignal,
): Promise<void> {
  try {
    const found = await readHead(connection, target, signal)
    if (found?.token !== target.token) return
    await connection.request(
      { action: `delete ${target.name}`, permission: 's3:DeleteObject' },
      ({ sdk, client, options }) =>
        client.send(
          new sdk.DeleteObjectCommand({ Bucket: connection.address.bucket, Key: target.key }),
          options,
        ),
      signal,
    )
  } catch {
    return
  }
}
