/** Storage in a folder, on this machine or mounted on it: `file:///absolute/path`. */
import { type FileHandle, open, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { UserError } from '../../errors.ts'
import { Pool } from '../../stream/pieces.ts'
import { checkKey, checkPrefix } from '../key.ts'
import { ObjectMissing, type Storage, type StorageOptions, type StoredObject } from '../storage.ts'
import { explainLocal } from './errors.ts'
import {
  createFile,
  isMissing,
  makeFolder,
  publish,
  removeEmpty,
  removeFile,
  sizeOf,
  temporaryName,
  walk,
} from './files.ts'
import { parseFileUrl } from './url.ts'
import { writeObject } from './write.ts'

/**
 * The storage behind a `file://` URL. The folder is created with the first object. Each object is
 * written to a temporary file next to its final name, flushed to the disk, and renamed in one step.
 */
export class LocalStorage implements Storage {
  readonly url: string
  readonly #root: string

  /** Throws a UserError if the URL is not valid. Does not look at the folder. */
  constructor(url: string) {
    this.url = url
    this.#root = parseFileUrl(url)
  }

  async probe(): Promise<void> {
    await explained(`write in ${this.#root}`, async () => {
      const made = await makeFolder(this.#root)
      const target = temporaryName(join(this.#root, 'probe'))
      try {
        const isCreateOnly = (await publishEmpty(target)) && !(await publishEmpty(target))
        if (!isCreateOnly)
          throw new UserError(
            'create-only-ignored',
            `The file system of ${this.#root} replaces an existing file on a create-only write.`,
            'Name a folder on another file system: Holdfast never overwrites a backup.',
          )
      } finally {
        await removeFile(target)
        for (const folder of made) await rmdir(folder).catch(() => {})
      }
    })
  }

  async create(
    key: string,
    source: Readable,
    { signal }: StorageOptions = {},
  ): Promise<{ bytes: number }> {
    const file = this.#fileOf(key)
    // A pipeline fails at both ends. An error of the source is passed on as it is; an error of the
    // file is explained. Which came first tells them apart.
    let first: 'source' | 'file' | undefined
    source.on('error', () => (first ??= 'source'))
    const onFileError = (): void => void (first ??= 'file')
    try {
      const bytes = await writeObject(file, { key, url: this.url, onFileError }, source, signal)
      return { bytes }
    } catch (error) {
      source.destroy()
      await removeEmpty(dirname(file), this.#root)
      signal?.throwIfAborted()
      throw first === 'source' ? error : explainLocal(error, `write ${key} in ${this.#root}`)
    }
  }

  async read(key: string, { signal }: StorageOptions = {}): Promise<Readable> {
    return await explained(`read ${key} in ${this.#root}`, async () => {
      const file = this.#fileOf(key)
      signal?.throwIfAborted()
      const handle = await this.#openForReading(file, key)
      try {
        const found = await handle.stat()
        if (!found.isFile()) throw new ObjectMissing(key, this.url)
        const bytes = bytesOf(handle, found.size, key, this.#root)
        const stream = Readable.from(bytes, { highWaterMark: 2 })
        const stop = (): void => {
          const reason: unknown = signal?.reason
          stream.destroy(reason instanceof Error ? reason : new Error('stopped'))
        }
        signal?.addEventListener('abort', stop, { once: true })
        // The generator does not start, and so cannot close the file, if nothing reads the stream.
        stream.once('close', () => {
          signal?.removeEventListener('abort', stop)
          void handle.close().catch(() => {})
        })
        return stream
      } catch (error) {
        await handle.close()
        throw error
      }
    })
  }

  async size(key: string): Promise<number | undefined> {
    return await explained(`read the size of ${key} in ${this.#root}`, () =>
      sizeOf(this.#fileOf(key), this.#root),
    )
  }

  async *list(prefix: string, { signal }: StorageOptions = {}): AsyncGenerator<StoredObject> {
    checkPrefix(prefix)
    try {
      for await (const { key, file } of walk(this.#root, prefix, false)) {
        signal?.throwIfAborted()
        const bytes = await sizeOf(file, this.#root)
        if (bytes !== undefined) yield { key, bytes }
      }
    } catch (error) {
      throw explainLocal(error, `list ${join(this.#root, prefix)}`)
    }
  }

  async remove(keys: readonly string[], { signal }: StorageOptions = {}): Promise<void> {
    await explained(`delete in ${this.#root}`, async () => {
      for (const file of keys.map((key) => this.#fileOf(key))) {
        signal?.throwIfAborted()
        await this.#removeObject(file)
      }
    })
  }

  async removeAll(prefix: string, { signal }: StorageOptions = {}): Promise<void> {
    await explained(`delete in ${join(this.#root, prefix)}`, async () => {
      checkPrefix(prefix)
      for await (const { file } of walk(this.#root, prefix, true)) {
        signal?.throwIfAborted()
        await this.#removeObject(file)
      }
      await removeEmpty(resolve(this.#root, prefix), this.#root)
    })
  }

  async missingFolder(): Promise<string | undefined> {
    const found = await stat(this.#root).catch((error: unknown) => error)
    return found instanceof Error && (await isMissing(found, this.#root)) ? this.#root : undefined
  }

  async close(): Promise<void> {}

  #fileOf(key: string): string {
    return join(this.#root, checkKey(key))
  }

  async #openForReading(file: string, key: string): Promise<FileHandle> {
    try {
      return await open(file, 'r')
    } catch (error) {
      if (await isMissing(error, this.#root)) throw new ObjectMissing(key, this.url)
      throw error
    }
  }

  async #removeObject(file: string): Promise<void> {
    await removeFile(file)
    await removeEmpty(dirname(file), this.#root)
  }
}

async function explained<T>(action: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw explainLocal(error, action)
  }
}

/** Creates an empty file. Returns false if the name is taken. */
async function publishEmpty(target: string): Promise<boolean> {
  const temporary = temporaryName(target)
  try {
    await (await createFile(temporary)).close()
    return await publish(temporary, target)
  } finally {
    await removeFile(temporary)
  }
}

/** Yields the file's bytes and closes it. Throws if the file became shorter than `size`. */
async function* bytesOf(
  handle: FileHandle,
  size: number,
  key: string,
  root: string,
): AsyncGenerator<Buffer> {
  const pool = new Pool()
  try {
    for (let at = 0; at < size;) {
      const piece = pool.take()
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, size - at), at)
      if (bytesRead === 0)
        throw new UserError(
          'storage-not-confirmed',
          `${key} in ${root} became shorter while it was read (${at} of ${size} bytes).`,
          'Another program changes files in that folder. Keep the folder for Holdfast alone.',
        )
      at += bytesRead
      yield bytesRead === piece.length ? piece : piece.subarray(0, bytesRead)
    }
  } catch (error) {
    throw explainLocal(error, `read ${key} in ${root}`)
  } finally {
    await handle.close()
  }
}
