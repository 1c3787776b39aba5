import { setTimeout as sleep } from 'node:timers/promises'
import type { S3Connection } from './connection.ts'
import { S3Failure } from './errors.ts'

/** Ends one half upload and frees its parts; false if it was gone already. */
export async function abortUpload(
  connection: S3Connection,
  key: string,
  id: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const doing = {
    what: `end the half upload of ${key}`,
    permission: 's3:AbortMultipartUpload (it can not touch finished objects)',
  }
  try {
    await connection.ask(
      doing,
      ({ sdk, client, options }) =>
        client.send(
          new sdk.AbortMultipartUploadCommand({
            Bucket: connection.address.bucket,
            Key: key,
            UploadId: id,
          }),
          options,
        ),
      signal,
    )
    return true
  } catch (error) {
    if (error instanceof S3Failure && (error.code === 'NoSuchUpload' || error.status === 404))
      return false
    throw error
  }
}

/**
 * Ends a half upload whose parts may still be arriving: a part that the server is at work on when
 * the upload ends can bring it back to life (S3's own manual says to ask again). Asks until it is
 * gone, a few times at most: some stores never say so.
 */
export async function abortUploadForGood(
  connection: S3Connection,
  key: string,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let tries = 1; tries <= 4; tries++) {
    if (!(await abortUpload(connection, key, id, signal))) return
    await sleep(100 * tries, undefined, signal ? { signal } : {})
  }
}

/** Ends all half uploads of exactly one key. */
export async function abortUploadsOf(
  connection: S3Connection,
  key: string,
  signal?: AbortSignal,
): Promise<void> {
  for await (const upload of pagesOf(connection, key, Infinity, signal)) {
    if (upload.key === key) await abortUploadForGood(connection, upload.key, upload.id, signal)
  }
}

/**
 * Pages of half uploads of a whole bucket that are looked through, a thousand uploads each: they
 * may be other people's.
 */
const foreignPages = 10

/**
 * The half uploads whose key begins with `prefix`. A store that can't tell has none that we could
 * end. MinIO takes a prefix for a whole key, and without one tells of all uploads in the bucket:
 * where nothing is found, those are looked through.
 */
export async function* listUploads(
  connection: S3Connection,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<{ key: string; id: string }> {
  let found = false
  for await (const upload of pagesOf(connection, prefix, Infinity, signal)) {
    found = true
    yield upload
  }
  if (found || prefix === '') return
  try {
    for await (const upload of pagesOf(connection, '', foreignPages, signal)) {
      if (upload.key.startsWith(prefix)) yield upload
    }
  } catch (error) {
    // Credentials for this prefix alone may not look at others'.
    if (!(error instanceof S3Failure && error.status === 403)) throw error
  }
}

async function* pagesOf(
  connection: S3Connection,
  prefix: string,
  most: number,
  signal?: AbortSignal,
): AsyncGenerator<{ key: string; id: string }> {
  const doing = { what: 'list half uploads', permission: 's3:ListBucketMultipartUploads' }
  const from: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (let pages = 0; pages < most; pages++) {
    let page
    try {
      page = await connection.ask(
        doing,
        ({ sdk, client, options }) =>
          client.send(
            new sdk.ListMultipartUploadsCommand({
              Bucket: connection.address.bucket,
              Prefix: prefix,
              ...from,
            }),
            options,
          ),
        signal,
      )
    } catch (error) {
      if (error instanceof S3Failure && (error.status === 501 || error.status === 405)) return
      throw error
    }
    for (const { Key, UploadId } of page.Uploads ?? []) {
      if (Key?.startsWith(prefix) && UploadId !== undefined) yield { key: Key, id: UploadId }
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return
    from.KeyMarker = page.NextKeyMarker
    if (page.NextUploadIdMarker !== undefined) from.UploadIdMarker = page.NextUploadIdMarker
  }
}
