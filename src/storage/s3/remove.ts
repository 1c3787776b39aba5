import type { S3Connection } from './connection.ts'
import { type Operation, S3Failure } from './failure.ts'

/** The number of keys that S3 takes in one request. */
const batchSize = 1000

/**
 * Deletes objects by their keys in the bucket, up to a thousand in a request; one by one if the
 * store does not support that.
 */
export async function removeKeys(
  connection: S3Connection,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  for (let at = 0; at < keys.length; at += batchSize) {
    const keysOfBatch = keys.slice(at, at + batchSize)
    try {
      await removeBatch(connection, keysOfBatch, signal)
    } catch (error) {
      if (!(error instanceof S3Failure) || !isBatchUnsupported(error)) throw error
      for (const key of keysOfBatch) await removeOne(connection, key, signal)
    }
  }
}

const deleting = (key: string): Operation => ({
  action: `delete ${key}`,
  permission: 's3:DeleteObject',
})

/** The status of a single delete that failed within a batch, by its code; otherwise 400. */
const statusOfCode: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  InternalError: 503,
  SlowDown: 503,
  ServiceUnavailable: 503,
}

async function removeBatch(
  connection: S3Connection,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const operation = deleting(keys.length === 1 ? (keys[0] ?? '') : `${keys.length} objects`)
  await connection.request(
    operation,
    async ({ sdk, client, options }) => {
      const answer = await client.send(
        new sdk.DeleteObjectsCommand({
          Bucket: connection.address.bucket,
          Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
        }),
        options,
      )
      const failed = answer.Errors?.find(({ Code }) => Code !== 'NoSuchKey')
      if (failed) {
        const code = failed.Code ?? 'Unknown'
        throw new S3Failure(
          deleting(failed.Key ?? ''),
          statusOfCode[code] ?? 400,
          code,
          failed.Message ?? code,
        )
      }
    },
    signal,
  )
}

/**
 * Returns whether the store does not support batches. Some S3-compatible stores lack them, or want
 * an MD5 digest that the SDK no longer sends.
 */
function isBatchUnsupported(failure: S3Failure): boolean {
  if (failure.status === 501 || failure.status === 405 || failure.code === 'NotImplemented')
    return true
  return (
    failure.status === 400 && /MD5|InvalidRequest|MissingContent|MalformedXML/i.test(failure.code)
  )
}

async function removeOne(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await connection.request(
      deleting(key),
      ({ sdk, client, options }) =>
        client.send(
          new sdk.DeleteObjectCommand({ Bucket: connection.address.bucket, Key: key }),
          options,
        ),
      signal,
    )
  } catch (error) {
    if (!(error instanceof S3Failure) || error.status !== 404 || error.code === 'NoSuchBucket')
      throw error
  }
}
