import type { S3Connection } from './connection.ts'
import { S3Failure } from './errors.ts'

/** How many keys S3 takes in one request. */
const batch = 1000

/**
 * Deletes keys, whole ones with the bucket's prefix, many in a request; one by one where the store
 * can't do that.
 */
export async function removeKeys(
  connection: S3Connection,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  for (let at = 0; at < keys.length; at += batch) {
    const some = keys.slice(at, at + batch)
    try {
      await removeTogether(connection, some, signal)
    } catch (error) {
      if (!(error instanceof S3Failure) || !batchesUnknown(error)) throw error
      for (const key of some) await removeOne(connection, key, signal)
    }
  }
}

const doingFor = (key: string): { what: string; permission: string } => ({
  what: `delete ${key}`,
  permission: 's3:DeleteObject',
})

async function removeTogether(
  connection: S3Connection,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const doing = doingFor(keys.length === 1 ? (keys[0] ?? '') : `${keys.length} objects`)
  await connection.ask(
    doing,
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
          doingFor(failed.Key ?? ''),
          code === 'AccessDenied'
            ? 403
            : /^(InternalError|SlowDown|ServiceUnavailable)$/.test(code)
              ? 503
              : 400,
          code,
          failed.Message ?? code,
        )
      }
    },
    signal,
  )
}

/**
 * The many-at-once request is the one that S3-compatible stores lack, or want a digest for that the
 * SDK no longer sends.
 */
function batchesUnknown(failure: S3Failure): boolean {
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
    await connection.ask(
      doingFor(key),
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
