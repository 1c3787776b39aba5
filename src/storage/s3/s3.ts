import type { Readable } from 'node:stream'
import { PartBuffers } from './part-buffers.ts'
import { S3Connection, type Timeouts } from './connection.ts'
import { explain, S3Failure } from './errors.ts'
import { abortUploadForGood, listUploads } from './multipart.ts'
import { probe, probeName } from './probe.ts'
import { read } from './read.ts'
import { removeKeys } from './remove.ts'
import { upload } from './upload.ts'
import { parseS3Url } from './url.ts'
import { checkKey, checkPrefix, isKey } from '../key.ts'
import type { Storage, StoredObject, Waiting } from '../storage.ts'

export interface S3Options {
  env?: Readonly<Record<string, string | undefined>>
  /** Bytes of a part, at first. */
  partSize?: number
  /**
   * Bytes of part buffers for this storage alone, beyond the one that each upload may always have;
   * else those shared by all.
   */
  bufferBudget?: number
  timeouts?: Partial<Timeouts>
}

/**
 * Four parts of 8 MiB on their way: enough to keep a gigabit busy over a round trip of a quarter of
 * a second.
 */
const usual = { partSize: 8 << 20, inFlight: 4 }

/**
 * Of all destinations together: what this process takes does not grow with their number, but for
 * the one part that each upload may always have.
 */
const sharedBuffers = new PartBuffers(48 << 20)

/** The storage behind an `s3://` URL. Connects, and loads the SDK, with the first request. */
export function openS3(url: string, options: S3Options = {}): Storage {
  const address = parseS3Url(url)
  const connection = new S3Connection(address, options)
  const buffers =
    options.bufferBudget === undefined ? sharedBuffers : new PartBuffers(options.bufferBudget)
  const writer = {
    connection,
    buffers,
    partSize: options.partSize ?? usual.partSize,
    inFlight: usual.inFlight,
  }

  const explained = async <T>(body: () => Promise<T>): Promise<T> => {
    try {
      return await body()
    } catch (error) {
      throw explain(error, address)
    }
  }

  async function* objectsBelow(prefix: string, signal?: AbortSignal): AsyncGenerator<StoredObject> {
    const doing = { what: `list ${address.prefix}${prefix}`, permission: 's3:ListBucket' }
    const below = { Bucket: address.bucket, Prefix: address.prefix + prefix }
    let token: string | undefined
    do {
      const page = await connection.ask(
        doing,
        ({ sdk, client, options }) =>
          client.send(
            new sdk.ListObjectsV2Command({
              ...below,
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
            options,
          ),
        signal,
      )
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        const key = Key.slice(address.prefix.length)
        // What others keep in the bucket under names that no backup has is not ours to see.
        if (Key.startsWith(address.prefix + prefix) && isKey(key) && key !== probeName)
          yield { key, bytes: Size }
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  return {
    url: address.url,
    probe: ({ signal }: Waiting = {}) => explained(() => probe(connection, address.prefix, signal)),

    create: (key: string, source: Readable, { signal }: Waiting = {}) =>
      explained(() => upload(writer, address.prefix + checkKey(key), key, source, signal)),

    read: (key, { signal } = {}) =>
      explained(() => read(connection, address.prefix + checkKey(key), key, signal)),

    size: (key, { signal } = {}) =>
      explained(async () => {
        try {
          const doing = { what: `look at ${key}`, permission: 's3:GetObject and s3:ListBucket' }
          const answer = await connection.ask(
            doing,
            ({ sdk, client, options }) =>
              client.send(
                new sdk.HeadObjectCommand({
                  Bucket: address.bucket,
                  Key: address.prefix + checkKey(key),
                }),
                options,
              ),
            signal,
          )
          return answer.ContentLength
        } catch (error) {
          if (error instanceof S3Failure && error.status === 404) return undefined
          throw error
        }
      }),

    async *list(prefix, { signal } = {}) {
      checkPrefix(prefix)
      const found: StoredObject[] = []
      await explained(async () => {
        for await (const object of objectsBelow(prefix, signal)) found.push(object)
      })
      // Some stores go folder by folder, where `a/b` comes before `a-b`.
      yield* found.sort((a, b) => (a.key < b.key ? -1 : 1))
    },

    remove: (keys, { signal } = {}) =>
      explained(() =>
        removeKeys(
          connection,
          keys.map((key) => address.prefix + checkKey(key)),
          signal,
        ),
      ),

    sweep: (prefix, { signal } = {}) =>
      explained(async () => {
        checkPrefix(prefix)
        for await (const half of listUploads(connection, address.prefix + prefix, signal)) {
          if (isKey(half.key.slice(address.prefix.length)))
            await abortUploadForGood(connection, half.key, half.id, signal)
        }
        const keys: string[] = []
        for await (const { key } of objectsBelow(prefix, signal)) keys.push(address.prefix + key)
        await removeKeys(connection, keys, signal)
      }),

    async close() {
      buffers.clear()
      await connection.close()
    },
  }
}
