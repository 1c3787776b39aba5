import { type FileHandle, open, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { UserError } from '../../errors.ts'
import { giveBack, pieceSize, Pool } from '../../stream/pieces.ts'
import { checkPrefix } from '../key.ts'
import { codeOf, explainLocal } from './errors.ts'
import {
  exists,
  fileMode,
  makeFolder,
  publish,
  nothingThere,
  removeEmpty,
  syncFolder,
  temporaryName,
  walk,
  writeAll,
} from './files.ts'
import { checkKey, ObjectExists, ObjectMissing, type Storage } from '../storage.ts'

/**
 * The storage behind a `file://` URL: a folder, on this machine or mounted here. The folder is made
 * when the first object is written. Objects are written beside their final name, flushed to the
 * disk, and then given that name in one step.
 */
export function openLocal(url: string): Storage {
  const root = folderOf(url)
  const fileOf = (key: string): string => join(root, checkKey(key))

  const explained = async <T>(what: string, body: () => Promise<T>): Promise<T> => {
    try {
      return await body()
    } catch (error) {
      throw explainLocal(error, what)
    }
  }

  return {
    url,

    probe: () =>
      explained(`write in ${root}`, async () => {
        const made = await makeFolder(root)
        const target = temporaryName(join(root, 'probe'))
        try {
          if (!(await publishEmpty(target)) || (await publishEmpty(target))) {
            throw new UserError(
              'create-only-ignored',
              `storage: ${root} is on a file system that lets a file be replaced which was to be created only.`,
              'Name a folder on another file system: Holdfast never overwrites a backup.',
            )
          }
        } finally {
          await removeFile(target)
          for (const folder of made) await rmdir(folder).catch(() => {})
        }
      }),

    async create(key, source, { signal } = {}) {
      const file = fileOf(key)
      // A failure of one end of the pipe is seen at both; what the source said first is not ours to
      // explain.
      let first: 'source' | 'file' | undefined
      source.on('error', () => (first ??= 'source'))
      try {
        return { bytes: await write(file, key, url, source, () => (first ??= 'file'), signal) }
      } catch (error) {
        source.destroy()
        await removeEmpty(dirname(file), root)
        signal?.throwIfAborted()
        throw first === 'source' ? error : explainLocal(error, `write ${key} in ${root}`)
      }
    },

    read: (key, { signal } = {}) =>
      explained(`read ${key} in ${root}`, async () => {
        const file = fileOf(key)
        signal?.throwIfAborted()
        let handle
        try {
          handle = await open(file, 'r')
        } catch (error) {
          if (await nothingThere(error, root)) throw new ObjectMissing(key, url)
          throw error
        }
        try {
          const found = await handle.stat()
          if (!found.isFile()) throw new ObjectMissing(key, url)
          const stream = Readable.from(bytesOf(handle, found.size, key, root), { highWaterMark: 2 })
          const held = handle
          const stop = (): void =>
            void stream.destroy(
              signal?.reason instanceof Error ? signal.reason : new Error('stopped'),
            )
          signal?.addEventListener('abort', stop, { once: true })
          // A stream that nobody read from never ran the generator, nor its clean-up.
          stream.once(
            'close',
            () => (signal?.removeEventListener('abort', stop), void held.close().catch(() => {})),
          )
          return stream
        } catch (error) {
          await handle.close()
          throw error
        }
      }),

    size: (key) =>
      explained(`look at ${key} in ${root}`, async () => await sizeOf(fileOf(key), root)),

    async *list(prefix, { signal } = {}) {
      checkPrefix(prefix)
      try {
        for await (const { key, file } of walk(root, prefix, false)) {
          signal?.throwIfAborted()
          const bytes = await sizeOf(file, root)
          if (bytes !== undefined) yield { key, bytes }
        }
      } catch (error) {
        throw explainLocal(error, `list ${join(root, prefix)}`)
      }
    },

    remove: (keys, { signal } = {}) =>
      explained(`delete in ${root}`, async () => {
        for (const file of keys.map(fileOf)) {
          signal?.throwIfAborted()
          await removeFile(file)
          await removeEmpty(dirname(file), root)
        }
      }),

    sweep: (prefix, { signal } = {}) =>
      explained(`delete in ${join(root, prefix)}`, async () => {
        checkPrefix(prefix)
        for await (const { file } of walk(root, prefix, true)) {
          signal?.throwIfAborted()
          await removeFile(file)
          await removeEmpty(dirname(file), root)
        }
        await removeEmpty(resolve(root, prefix), root)
      }),

    close: async () => {},
  }
}

/** The folder that a `file://` URL names. */
function folderOf(url: string): string {
  const invalid = (what: string): UserError =>
    new UserError(
      'storage-url-invalid',
      `storage: the file:// URL ${what}.`,
      'It looks like file:///absolute/path, with three slashes; file://${{ github.workspace }}/backups is one.',
    )
  if (!/^file:\/\//i.test(url)) throw invalid('lacks its slashes')
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed) throw invalid("can't be read")
  if (parsed.host !== '')
    throw invalid(
      `has ${JSON.stringify(parsed.host)} where a slash should be: the path is not absolute`,
    )
  if (parsed.search !== '' || parsed.hash !== '' || /[?#]/.test(url))
    throw invalid('has a ? or # in it; write %3F or %23 if they are part of the path')
  try {
    const folder = fileURLToPath(parsed).replace(/(?<=.)\/+$/, '')
    if (folder === '/') throw invalid('names the root of the file system')
    if (folder.includes('\0')) throw invalid('holds a NUL byte')
    return folder
  } catch (error) {
    if (error instanceof UserError) throw error
    throw invalid('has a path that no file can have')
  }
}

async function write(
  file: string,
  key: string,
  url: string,
  source: Readable,
  failed: () => void,
  signal?: AbortSignal,
): Promise<number> {
  signal?.throwIfAborted()
  if (await exists(file).catch(notThere)) throw new ObjectExists(key, url)
  const temporary = temporaryName(file)
  const handle = await createFile(temporary)
  try {
    let written = 0
    const put = (pieces: Buffer[], done: (error?: Error | null) => void): void => {
      writeAll(handle, pieces).then((bytes) => {
        written += bytes
        pieces.forEach(giveBack)
        done()
      }, done)
    }
    // Not FileHandle's own stream: one that leaves the handle open (it is still to be flushed)
    // never tells a pipeline that it is done.
    const sink = new Writable({
      highWaterMark: 4 * pieceSize,
      write: (piece: Buffer, _encoding, done) => put([piece], done),
      writev: (waiting, done) =>
        put(
          waiting.map(({ chunk }) => chunk as Buffer),
          done,
        ),
    })
    sink.on('error', failed)
    await pipeline(source, sink, signal ? { signal } : {})
    await handle.sync()
    await handle.close()
    signal?.throwIfAborted()
    if (!(await publish(temporary, file))) throw new ObjectExists(key, url)
    await syncFolder(dirname(file))
    const stored = await sizeOf(file, dirname(file))
    if (stored !== written) {
      await removeFile(file)
      throw new UserError(
        'storage-not-confirmed',
        `storage: ${file} was written with ${written} bytes and has ${stored ?? 'none'}.`,
        'The disk or the network mount loses what it is given: look into its log before you trust it.',
      )
    }
    return stored
  } finally {
    await handle.close().catch(() => {})
    await removeFile(temporary)
  }
}

const notThere = (error: unknown): boolean => {
  if (codeOf(error) === 'ENOTDIR') return false
  throw error
}

/**
 * Opens a new file and makes the folders above it, again if another run removes an empty one in
 * between.
 */
async function createFile(file: string): Promise<FileHandle> {
  for (let tries = 1; ; tries++) {
    try {
      await makeFolder(dirname(file))
      return await open(file, 'wx', fileMode)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || tries === 5) throw error
    }
  }
}

async function publishEmpty(target: string): Promise<boolean> {
  const temporary = temporaryName(target)
  try {
    await (await createFile(temporary)).close()
    return await publish(temporary, target)
  } finally {
    await removeFile(temporary)
  }
}

async function removeFile(file: string): Promise<void> {
  try {
    await unlink(file)
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(codeOf(error) ?? '')) throw error
  }
}

async function sizeOf(file: string, root: string): Promise<number | undefined> {
  try {
    const found = await stat(file)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (await nothingThere(error, root)) return undefined
    throw error
  }
}

/** Fails if the file turns out shorter than it was when it was opened. */
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
          `storage: ${key} in ${root} became shorter while it was read (${at} of ${size} bytes).`,
          'Something else changes the files of that folder: nothing may.',
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
