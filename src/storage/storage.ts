import type { Readable } from 'node:stream'

/**
 * Where backups are kept, and nothing about what a backup is.
 *
 * A key is a relative path of one or more segments, each `[A-Za-z0-9._=-]+` and none of them `.` or
 * `..`, joined by `/`; what follows the destination's own prefix. An object is written once, whole,
 * and never changed:
 *
 * - `create` is create-only. It ends well only when the store itself has confirmed the object
 *   with the size that was sent; a reader sees the whole object or none. If the key is taken it
 *   throws `ObjectExists`, and what was there stays as it was. If the source fails, the signal
 *   fires or the store does, nothing is left under the key, and no half upload behind it. Memory
 *   is bounded, whatever the object's size; the source is back-pressured.
 * - `read` streams the object's bytes. A connection that breaks is resumed where it broke; a
 *   stream that ends without an error has given every byte of the size that the store tells.
 * - `list` gives every finished object below a prefix (a whole number of segments, ending in
 *   `/`, or empty), in the order of its keys' bytes. Never half uploads.
 * - `remove` deletes keys; a key that is not there is no error.
 * - `sweep` deletes everything below a prefix, finished or not (half uploads, temporary files):
 *   for a backup that failed.
 *
 * What the person who runs us can mend (no such bucket, refused credentials, no permission, no
 * space, a server out of reach) is a `UserError`, with a code of its own; an abort rejects with the
 * signal's reason.
 */
export interface Storage {
  /** The destination as a person typed it, without any secret. */
  readonly url: string
  /**
   * Finds out, before any work is done, whether this destination can be written and honours
   * create-only writes. Leaves nothing behind.
   */
  probe(options?: Waiting): Promise<void>
  create(key: string, source: Readable, options?: Waiting): Promise<{ bytes: number }>
  read(key: string, options?: Waiting): Promise<Readable>
  /** The size in bytes of one object, or undefined if there is none. */
  size(key: string, options?: Waiting): Promise<number | undefined>
  list(prefix: string, options?: Waiting): AsyncIterable<StoredObject>
  remove(keys: readonly string[], options?: Waiting): Promise<void>
  sweep(prefix: string, options?: Waiting): Promise<void>
  /** Ends connections; nothing can be asked afterwards. */
  close(): Promise<void>
}

export interface Waiting {
  signal?: AbortSignal
}

export interface StoredObject {
  key: string
  /** Size in bytes. */
  bytes: number
}

/** A create found its key taken. What was there was not touched. */
export class ObjectExists extends Error {
  override name = 'ObjectExists'
  readonly key: string
  constructor(key: string, where: string) {
    super(`${key} already exists in ${where}`)
    this.key = key
  }
}

/** A read found nothing under its key. */
export class ObjectMissing extends Error {
  override name = 'ObjectMissing'
  readonly key: string
  constructor(key: string, where: string) {
    super(`${key} does not exist in ${where}`)
    this.key = key
  }
}

/**
 * Throws unless the key is one that every backend can hold and that cannot walk out of the
 * destination.
 */
export function checkKey(key: string): string {
  if (
    key
      .split('/')
      .every((segment) => /^[A-Za-z0-9._=-]+$/.test(segment) && segment !== '.' && segment !== '..')
  )
    return key
  throw new Error(`not a storage key: ${JSON.stringify(key)}`)
}
