/** Storage in a bucket of AWS S3 or a compatible server: `s3://bucket/prefix?endpoint=…`. */
import type { Readable } from 'node:stream'
import { checkKey, checkPrefix, isKey } from '../key.ts'
import type { Storage, StorageOptions, StoredObject } from '../storage.ts'
import { S3Connection, type Timeouts } from './connection.ts'
import { explain } from './errors.ts'
import { S3Failure } from './failure.ts'
import { abortUploadForGood, listUploads } from './partial-uploads.ts'
import { PartBuffers } from './part-buffers.ts'
import { probe, probeName } from './probe.ts'
import { read } from './read.ts'
import { removeKeys } from './remove.ts'
import { upload, type Uploader } from './upload.ts'
import { parseS3Url, type S3Address } from './url.ts'

export interface S3Options {
  /** Only HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read; without it no proxy is used. */
  env?: Readonly<Record<string, string | undefined>>
  /** Size of the first parts, in bytes. */
  partSize?: number
  /**
   * Bytes of part buffers for this storage alone, beyond the one that each upload may always have.
   * Defaults to a budget that all storages share.
   */
  bufferBudget?: number
  timeouts?: Partial<Timeouts>
}

/** Four parts of 8 MiB in flight keep a gigabit busy over a round trip of a quarter of a second. */
const defaults = { partSize: 8 << 20, inFlight: 4 }

/**
 * Shared by all destinations, so that the memory of this process does not grow with their number,
 * except for the one part that each upload may always have.
 */
const sharedBuffers = new PartBuffers(48 << 20)

/** The storage behind an `s3://` URL. Loads the SDK and connects with the first request. */
export class S3Storage implements Storage {
  readonly url: string
  readonly #address: S3Address
  readonly #connection: S3Connection
  readonly #uploader: Uploader

  /** Throws a UserError if the URL is not valid. */
  constructor(url: string, options: S3Options = {}) {
    this.url = url
    this.#address = parseS3Url(url)
    this.#connection = new S3Connection(this.#address, options)
    this.#uploader = {
      connection: this.#connection,
      buffers:
        options.bufferBudget === undefined ? sharedBuffers : new PartBuffers(options.bufferBudget),
      partSize: options.partSize ?? defaults.partSize,
      inFlight: defaults.inFlight,
    }
  }

  async probe({ signal }: StorageOptions = {}): Promise<void> {
    await this.#explained(() => probe(this.#connection, this.#address.prefix, signal))
  }

  async create(
    key: string,
    source: Readable,
    { signal }: StorageOptions = {},
  ): Promise<{ bytes: number }> {
    return await this.#explained(() =>
      upload(this.#uploader, this.#fullKey(key), key, source, signal),
    )
  }

  async read(key: string, { signal }: StorageOptions = {}): Promise<Readable> {
    return await this.#explained(() => read(this.#connection, this.#fullKey(key), key, signal))
  }

  async size(key: string, { signal }: StorageOptions = {}): Promise<number | undefined> {
    return await this.#explained(async () => {
      try {
        return await this.#sizeOf(key, signal)
      } catch (error) {
        if (error instanceof S3Failure && error.status === 404) return undefined
        throw error
      }
    })
  }

  async *list(prefix: string, { signal }: StorageOptions = {}): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    const found: StoredObject[] = []
    await this.#explained(async () => {
      for await (const object of this.#objectsBelow(prefix, signal)) found.push(object)
    })
    // Some stores list folder by folder, where `a/b` comes before `a-b`.
    yield* found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  async remove(keys: readonly string[], { signal }: StorageOptions = {}): Promise<void> {
    await this.#explained(() =>
      removeKeys(
        this.#connection,
        keys.map((key) => this.#fullKey(key)),
        signal,
      ),
    )
  }

  async removeAll(prefix: string, { signal }: StorageOptions = {}): Promise<void> {
    await this.#explained(async () => {
      checkPrefix(prefix)
      const root = this.#address.prefix
      for await (const { key, id } of listUploads(this.#connection, root + prefix, signal)) {
        if (isKey(key.slice(root.length)))
          await abortUploadForGood(this.#connection, key, id, signal)
      }
      const keys: string[] = []
      for await (const { key } of this.#objectsBelow(prefix, signal)) keys.push(root + key)
      await removeKeys(this.#connection, keys, signal)
    })
  }

  async close(): Promise<void> {
    this.#uploader.buffers.clear()
    await this.#connection.close()
  }

  /** Returns the key in the bucket. */
  #fullKey(key: string): string {
    return this.#address.prefix + checkKey(key)
  }

  async #explained<T>(body: () => Promise<T>): Promise<T> {
    try {
      return await body()
    } catch (error) {
      throw explain(error, this.#address)
    }
  }

  async #sizeOf(key: string, signal?: AbortSignal): Promise<number | undefined> {
    const operation = {
      action: `read the size of ${key}`,
      permission: 's3:GetObject and s3:ListBucket',
    }
    const head = { Bucket: this.#address.bucket, Key: this.#fullKey(key) }
    const answer = await this.#connection.request(
      operation,
      ({ sdk, client, options }) => client.send(new sdk.HeadObjectCommand(head), options),
      signal,
    )
    return answer.ContentLength
  }

  async *#objectsBelow(prefix: string, signal?: AbortSignal): AsyncGenerator<StoredObject> {
    const root = this.#address.prefix
    const operation = { action: `list ${root}${prefix}`, permission: 's3:ListBucket' }
    const below = { Bucket: this.#address.bucket, Prefix: root + prefix }
    let token: string | undefined
    do {
      const next = token === undefined ? {} : { ContinuationToken: token }
      const page = await this.#connection.request(
        operation,
        ({ sdk, client, options }) =>
          client.send(new sdk.ListObjectsV2Command({ ...below, ...next }), options),
        signal,
      )
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        const key = Key.slice(root.length)
        // Objects of others in the bucket, under names that no backup has, are ignored.
        if (Key.startsWith(root + prefix) && isKey(key) && key !== probeName)
          yield { key, bytes: Size }
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }
}
