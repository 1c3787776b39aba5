import { setTimeout as sleep } from 'node:timers/promises'
import type { S3Connection } from './connection.ts'
import { S3Failure } from './failure.ts'

/** Ends one partial upload and frees its parts. Returns false if it does not exist. */
export async function abortUpload(
  connection: S3Connection,
  key: string,
  id: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const operation = {
    action: `end the partial upload of ${key}`,
    permission: 's3:AbortMultipartUpload (which does not allow deleting finished objects)',
  }
  try {
    await connection.request(
      operation,
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
 * Ends a partial upload whose parts may still be arriving: a part in progress when the upload ends
 * can bring it back (S3's manual says to repeat the request). Repeats until it is gone, four times at
 * most: some stores never say that it is.
 */
export async function abortUploadForGood(
  connection: S3Connection,
  key: string,
  id: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let attempt = 1; attempt <= 4; attempt++) {
    if (!(await abortUpload(connection, key, id, signal))) return
    await sleep(100 * attempt, undefined, signal ? { signal } : {})
  }
}

/** Ends all partial uploads of exactly one key. */
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
 * The maximum number of pages, of a thousand uploads each, that are searched for a whole bucket: the
 * uploads may belong to others.
 */
const maxBucketPages = 10

/**
 * Yields the partial uploads whose key begins with `prefix`; none if the store cannot list them.
 * MinIO treats a prefix as a complete key, and without one lists all uploads in the bucket. So if
 * nothing is found, those are searched.
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
    for await (const upload of pagesOf(connection, '', maxBucketPages, signal)) {
      if (upload.key.startsWith(prefix)) yield upload
    }
  } catch (error) {
    // Credentials for this prefix alone may not list others.
    if (!(error instanceof S3Failure && error.status === 403)) throw error
  }
}

async function* pagesOf(
  connection: S3Connection,
  prefix: string,
  maxPages: number,
  signal?: AbortSignal,
): AsyncGenerator<{ key: string; id: string }> {
  const operation = { action: 'list partial uploads', permission: 's3:ListBucketMultipartUploads' }
  const from: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (let pages = 0; pages < maxPages; pages++) {
    let page
    try {
      page = await connection.request(
        operation,
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
