import { UserError } from '../../errors.ts'
import type { S3Connection } from './connection.ts'
import { type Doing, refusesChecksums, S3Failure } from './errors.ts'
import { abortUpload } from './multipart.ts'

/**
 * Below the prefix, one segment: no backup's object can have it. Always the same, so that
 * credentials that may not delete leave one object of a few bytes behind, however often they are
 * probed. `list` does not show it.
 */
export const probeName = 'holdfast-probe'

const text = Buffer.from(
  'Written to see whether this bucket takes create-only writes. It may be deleted.\n',
)
const doing: Doing = { what: 'write a probe object, create-only', permission: 's3:PutObject' }

/**
 * Writes the probe object until the store refuses to write it again, in one piece and then as a
 * multipart upload, since backups are written both ways. A second write that is taken may be chance
 * (another run that deletes its probe just now), a fourth is not: such a store would let a backup
 * be overwritten.
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
      for (let tries = 0; tries < 4 && !refused; tries++) {
        refused = !(await write(connection, key, signal))
        written ||= !refused
      }
      if (!refused) throw ignored(connection)
    }
  } finally {
    if (written) await removeProbe(connection, key)
  }
}

/** Whether it was written; false when the key is taken. */
async function putWhole(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return await takenIsFalse(() =>
    connection.withChecksum(refusesChecksums, (checksums) =>
      connection.ask(
        doing,
        ({ sdk, client, options }) =>
          client.send(
            new sdk.PutObjectCommand({
              Bucket: connection.address.bucket,
              Key: key,
              Body: text,
              ContentLength: text.length,
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

async function putInParts(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const at = { Bucket: connection.address.bucket, Key: key }
  const { UploadId: id } = await connection.ask(
    doing,
    ({ sdk, client, options }) => client.send(new sdk.CreateMultipartUploadCommand(at), options),
    signal,
  )
  let ended = false
  try {
    const part = await connection.ask(
      doing,
      ({ sdk, client, options }) =>
        client.send(
          new sdk.UploadPartCommand({
            ...at,
            UploadId: id,
            PartNumber: 1,
            Body: text,
            ContentLength: text.length,
          }),
          options,
        ),
      signal,
    )
    ended = await takenIsFalse(() =>
      connection.ask(
        doing,
        ({ sdk, client, options }) =>
          client.send(
            new sdk.CompleteMultipartUploadCommand({
              ...at,
              UploadId: id,
              IfNoneMatch: '*',
              MultipartUpload: { Parts: [{ PartNumber: 1, ETag: part.ETag }] },
            }),
            options,
          ),
        signal,
      ),
    )
    return ended
  } finally {
    // Credentials that can't end a half upload would leave one with every failure: better known
    // now. Deaf to the signal, but bounded.
    if (!ended && id !== undefined)
      await abortUpload(connection, key, id, AbortSignal.timeout(5_000))
  }
}

async function takenIsFalse(write: () => Promise<unknown>): Promise<boolean> {
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

/** Append-only credentials can't, and need not: see `probeName`. */
async function removeProbe(connection: S3Connection, key: string): Promise<void> {
  try {
    await connection.ask(
      { what: 'delete the probe object', permission: 's3:DeleteObject' },
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

function ignored(connection: S3Connection): UserError {
  return new UserError(
    'create-only-ignored',
    `${connection.address.url}: the store overwrites an object that it was told to create only (If-None-Match: * is ignored).`,
    "Holdfast never overwrites a backup, so it does not write to a store that can't keep that promise. Update the server, or use one that honours conditional writes: AWS S3, Cloudflare R2, MinIO, Ceph (recent) do.",
  )
}
