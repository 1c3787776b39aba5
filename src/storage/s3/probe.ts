import { UserError } from '../../errors.ts'
import type { S3Connection } from './connection.ts'
import { type Operation, refusesChecksums, S3Failure } from './failure.ts'
import { abortUpload } from './partial-uploads.ts'

/**
 * The probe object's key below the prefix: a single segment, which no object of a backup has. It is
 * always the same, so that credentials without delete permission leave one small object, however
 * often they probe. `list` does not show it.
 */
export const probeName = 'holdfast-probe'

const body = Buffer.from(
  'Holdfast wrote this to check that the bucket honours create-only writes. You can delete it.\n',
)
const operation: Operation = {
  action: 'write a probe object, create-only',
  permission: 's3:PutObject',
}

/**
 * Checks that the store refuses to overwrite an object, written in one request and as a multipart
 * upload, since backups use both. Writes the probe object until the store refuses. A second write
 * may succeed by chance (another run deletes its probe at that moment); if the fourth succeeds, the
 * store would let a backup be overwritten. Throws `create-only-ignored` then.
 */
export async function probe(
  connection: S3Connection,
  prefix: string,
  signal?: AbortSignal,
): Promise<void> {
  const key = prefix + probeName
  let written = false
  try {
    for (const write of [putWhole, putInParts]) {
      let refused = false
      for (let attempt = 0; attempt < 4 && !refused; attempt++) {
        refused = !(await write(connection, key, signal))
        written ||= !refused
      }
      if (!refused) throw createOnlyIgnored(connection)
    }
  } finally {
    if (written) await removeProbe(connection, key)
  }
}

/** Returns false if the key is taken. */
async function putWhole(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return await falseIfTaken(() =>
    connection.withChecksum(refusesChecksums, (checksums) =>
      connection.request(
        operation,
        ({ sdk, client, options }) =>
          client.send(
            new sdk.PutObjectCommand({
              Bucket: connection.address.bucket,
              Key: key,
              Body: body,
              ContentLength: body.length,
              IfNoneMatch: '*',
              ...(checksums ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
            }),
            options,
          ),
        signal,
      ),
    ),
  )
}

/** Returns false if the key is taken. */
async function putInParts(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const at = { Bucket: connection.address.bucket, Key: key }
  const { UploadId: id } = await connection.request(
    operation,
    ({ sdk, client, options }) => client.send(new sdk.CreateMultipartUploadCommand(at), options),
    signal,
  )
  let ended = false
  try {
    const upload = { ...at, UploadId: id }
    const tag = await putOnlyPart(connection, upload, signal)
    ended = await falseIfTaken(() => complete(connection, upload, tag, signal))
    return ended
  } finally {
    // Credentials that cannot end a partial upload would leave one with every failure, so this
    // reports it now. It ignores the signal, but has a deadline.
    if (!ended && id !== undefined)
      await abortUpload(connection, key, id, AbortSignal.timeout(5_000))
  }
}

interface Upload {
  Bucket: string
  Key: string
  UploadId: string | undefined
}

/** Returns the part's ETag. */
async function putOnlyPart(
  connection: S3Connection,
  upload: Upload,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const part = { ...upload, PartNumber: 1, Body: body, ContentLength: body.length }
  const { ETag } = await connection.request(
    operation,
    ({ sdk, client, options }) => client.send(new sdk.UploadPartCommand(part), options),
    signal,
  )
  return ETag
}

/** Makes an object of an upload with one part, create-only. */
async function complete(
  connection: S3Connection,
  upload: Upload,
  tag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const whole = {
    ...upload,
    IfNoneMatch: '*',
    MultipartUpload: { Parts: [{ PartNumber: 1, ETag: tag }] },
  }
  await connection.request(
    operation,
    ({ sdk, client, options }) =>
      client.send(new sdk.CompleteMultipartUploadCommand(whole), options),
    signal,
  )
}

async function falseIfTaken(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    return true
  } catch (error) {
    if (
      error instanceof S3Failure &&
      (error.status === 412 || error.code === 'ConditionalRequestConflict')
    )
      return false
    throw error
  }
}

/** Ignores failures: append-only credentials cannot delete, and need not. See `probeName`. */
async function removeProbe(connection: S3Connection, key: string): Promise<void> {
  try {
    await connection.request(
      { action: 'delete the probe object', permission: 's3:DeleteObject' },
      ({ sdk, client, options }) =>
        client.send(
          new sdk.DeleteObjectCommand({ Bucket: connection.address.bucket, Key: key }),
          options,
        ),
      AbortSignal.timeout(5_000),
    )
  } catch {
    return
  }
}

function createOnlyIgnored(connection: S3Connection): UserError {
  return new UserError(
    'create-only-ignored',
    `The store at ${connection.address.url} overwrites an existing object on a create-only write ` +
      '(it ignores If-None-Match: *).',
    'Holdfast never overwrites a backup, so it does not use such a store. Update the server, or use ' +
      'one with conditional writes: AWS S3, Cloudflare R2, MinIO, a recent Ceph.',
  )
}
