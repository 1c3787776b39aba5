/**
 * Where backups are stored: a small interface, and one folder for each kind of destination. A
 * storage holds objects under keys and knows nothing of what a backup is.
 */
import type { Readable } from 'node:stream'

/**
 * One destination.
 *
 * A key is a relative path below the destination's prefix: one or more segments joined by `/`, each
 * `[A-Za-z0-9._=-]+` and none of them `.` or `..`. An object is written once and never changes.
 * Errors that the user can fix (no such bucket, refused credentials, no permission, no space, a
 * server out of reach) are `UserError`s with a code each. An aborted call rejects with the signal's
 * reason.
 */
export interface Storage {
  /** The destination as the user typed it. It contains no secret. */
  readonly url: string
  /**
   * Checks that the destination can be written and honours create-only writes. Leaves nothing
   * behind, except with credentials that may not delete: see `s3/probe.ts`.
   */
  probe(options?: StorageOptions): Promise<void>
  /**
   * Writes an object, create-only: it never replaces one. A reader sees the complete object or none.
   * Resolves once the store has confirmed the object with the number of bytes sent. Throws
   * `ObjectExists` if the key is taken, and leaves that object as it is. If the source fails, the
   * signal fires or the store fails, nothing remains under the key and no partial upload remains.
   * Memory is bounded for any size: the source is read at the pace of the store. Destroys the source
   * on failure.
   */
  create(key: string, source: Readable, options?: StorageOptions): Promise<{ bytes: number }>
  /**
   * Streams an object. A broken connection is resumed at the byte where it broke. A stream that ends
   * without an error has delivered every byte of the size that the store reported. Throws
   * `ObjectMissing` if there is no such object.
   */
  read(key: string, options?: StorageOptions): Promise<Readable>
  /** Returns the size of an object in bytes, or undefined if there is none. */
  size(key: string, options?: StorageOptions): Promise<number | undefined>
  /**
   * Lists the finished objects below a prefix, in the byte order of their keys. The prefix is empty,
   * or whole segments that end in `/`. Partial uploads are not listed.
   */
  list(prefix: string, options?: StorageOptions): AsyncIterable<StoredObject>
  /** Deletes objects. A key that does not exist is not an error. */
  remove(keys: readonly string[], options?: StorageOptions): Promise<void>
  /**
   * Deletes everything below a prefix, finished or not (partial uploads, temporary files), to clean
   * up after a failed backup.
   */
  removeAll(prefix: string, options?: StorageOptions): Promise<void>
  /**
   * Returns the folder behind the URL if it does not exist, so that a misspelt one is noticed. Only
   * a storage that creates what it lacks has this.
   */
  missingFolder?(): Promise<string | undefined>
  /** Closes the connections. The storage cannot be used afterwards. */
  close(): Promise<void>
}

export interface StorageOptions {
  signal?: AbortSignal
}

export interface StoredObject {
  key: string
  /** Size in bytes. */
  bytes: number
}

/** `create` found its key taken. The object there was not changed. */
export class ObjectExists extends Error {
  override name = 'ObjectExists'
  readonly key: string
  constructor(key: string, where: string) {
    super(`${key} already exists in ${where}`)
    this.key = key
  }
}

/** `read` found no object under its key. */
export class ObjectMissing extends Error {
  override name = 'ObjectMissing'
  readonly key: string
  constructor(key: string, where: string) {
    super(`${key} does not exist in ${where}`)
    this.key = key
  }
}
