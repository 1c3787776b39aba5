import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../../errors.ts'
import { giveBack, pieceSize } from '../../stream/pieces.ts'
import { ObjectExists } from '../storage.ts'
import { codeOf } from './errors.ts'
import {
  createFile,
  exists,
  publish,
  removeFile,
  sizeOf,
  syncFolder,
  temporaryName,
  writeAll,
} from './files.ts'

/**
 * Writes `source` to a temporary file next to `file`, flushes it to the disk, and gives it its name
 * in one step. Returns the number of bytes. `onFileError` is called when the file fails rather than
 * the source. `key` and `url` are for messages.
 */
export async function writeObject(
  file: string,
  { key, url, onFileError }: { key: string; url: string; onFileError: () => void },
  source: Readable,
  signal?: AbortSignal,
): Promise<number> {
  signal?.throwIfAborted()
  if (await exists(file).catch(falseIfNotAFolder)) throw new ObjectExists(key, url)
  const temporary = temporaryName(file)
  const handle = await createFile(temporary)
  try {
    const sink = sinkOf(handle)
    sink.stream.on('error', onFileError)
    await pipeline(source, sink.stream, signal ? { signal } : {})
    await handle.sync()
    await handle.close()
    signal?.throwIfAborted()
    if (!(await publish(temporary, file))) throw new ObjectExists(key, url)
    await syncFolder(dirname(file))
    return await confirmSize(file, sink.written())
  } finally {
    await handle.close().catch(() => {})
    await removeFile(temporary)
  }
}

/**
 * A file is in the way of the key's folder: the key is free, and creating the folder reports the
 * file.
 */
function falseIfNotAFolder(error: unknown): boolean {
  if (codeOf(error) === 'ENOTDIR') return false
  throw error
}

/**
 * Returns a stream that writes to the file and leaves it open, to be flushed. (The FileHandle's own
 * stream, set to leave the handle open, never signals its end to a pipeline.)
 */
function sinkOf(handle: FileHandle): { stream: Writable; written: () => number } {
  let written = 0
  const put = async (pieces: Buffer[]): Promise<void> => {
    const bytes = await writeAll(handle, pieces)
    written += bytes
    pieces.forEach(giveBack)
  }
  const stream = new Writable({
    highWaterMark: 4 * pieceSize,
    write(piece: Buffer, _encoding, done) {
      put([piece]).then(() => done(), done)
    },
    writev(waiting, done) {
      put(waiting.map(({ chunk }) => chunk as Buffer)).then(() => done(), done)
    },
  })
  return { stream, written: () => written }
}

/** Returns the size of the stored file. Removes the file and throws if it is not `written` bytes. */
async function confirmSize(file: string, written: number): Promise<number> {
  const stored = await sizeOf(file, dirname(file))
  if (stored === written) return stored
  await removeFile(file)
  throw new UserError(
    'storage-not-confirmed',
    `${file} was written with ${written} bytes and has ${stored ?? 'none'}.`,
    'The disk or the network mount loses data: check its log before you trust it with backups.',
  )
}
