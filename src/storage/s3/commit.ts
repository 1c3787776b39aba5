import { UserError } from '../../errors.ts'
import type { S3Connection } from './connection.ts'
import { type Doing, refusesChecksums, S3Failure } from './errors.ts'
import { ObjectExists } from '../storage.ts'

/** An object that is being made. */
export interface Target {
  /** In the bucket, the prefix included. */
  key: string
  /** As the caller knows it. */
  name: string
  /**
   * Stored with the object. When the answer to a create-only write is lost and the second try finds
   * the key taken, it tells whether it was the first try that took it.
   */
  token: string
  doing: Doing
}

export interface SentPart {
  PartNumber: number
  ETag: string
  /** Base64; undefined when the store takes no checksums. */
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
  const kept = await createOnly(connection, target, signal, () =>
    connection.withChecksum(refusesChecksums, (checksums) =>
      connection.ask(
        target.doing,
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
  await confirm(connection, target, body.length, checksum, kept, signal)
}

/**
 * Makes one object of parts that were sent, create-only. `checksum` is what the whole must have, in
 * S3's form for parts.
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
  const kept = await createOnly(connection, target, signal, () =>
    connection.ask(
      target.doing,
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
        // S3 may answer 200 at once and tell of a failure in the body, which the SDK does not
        // always see as one.
        if (answer.ETag === undefined)
          throw new S3Failure(
            target.doing,
            200,
            'InternalError',
            'the answer to CompleteMultipartUpload names no object',
          )
        return answer.ChecksumCRC32
      },
      signal,
    ),
  )
  await confirm(connection, target, bytes, checksum, kept, signal)
}

/**
 * Sorts out "the key is taken": by somebody, or by an earlier try of ours whose answer was lost.
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
    // An upload that is no more was completed by the try before.
    if (!taken && error.code !== 'NoSuchUpload') throw error
    const found = await look(connection, target, signal).catch((failure: unknown) => {
      // Without the permission to look, what the store said is all there is.
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

async function look(
  connection: S3Connection,
  target: Target,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const doing = { what: `look at ${target.name}`, permission: 's3:GetObject (and s3:ListBucket)' }
  try {
    return await connection.ask(
      doing,
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
 * Asks the store what it has. Credentials that may write and not read can't ask: then the checksum
 * in the store's answer to the write, which it gives for what it stored, must do.
 */
async function confirm(
  connection: S3Connection,
  target: Target,
  bytes: number,
  checksum: string,
  kept: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  let found: Found | undefined
  try {
    found = await look(connection, target, signal)
  } catch (error) {
    if (error instanceof S3Failure && error.status === 403 && kept === checksum) return
    throw error
  }
  const whole =
    found !== undefined &&
    found.bytes === bytes &&
    (!comparable(found.checksum, checksum) || found.checksum === checksum)
  if (whole) return
  const has =
    found === undefined
      ? 'nothing'
      : `${found.bytes} bytes${found.bytes === bytes ? ' with another checksum' : ''}`
  throw new UserError(
    'storage-not-confirmed',
    `${target.name} was sent to ${connection.address.url} with ${bytes} bytes, and the store has ${has}.`,
    'The store, or a proxy before it, loses or changes what it is given. Nothing was kept; look into its log before you trust it.',
  )
}

/** A store may keep another form: of the whole object instead of its parts (no `-N`), or none. */
function comparable(found: string | undefined, ours: string): boolean {
  return found !== undefined && found.includes('-') === ours.includes('-')
}

/**
 * Takes back what a failed write may have left under the key, if it is ours. Never rejects: there
 * is a failure to report already.
 */
export async function undo(
  connection: S3Connection,
  target: Target,
  signal: AbortSignal,
): Promise<void> {
  try {
    const found = await look(connection, target, signal)
    if (found?.token !== target.token) return
    await connection.ask(
      { what: `delete ${target.name}`, permission: 's3:DeleteObject' },
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
