import { randomBytes } from 'node:crypto'
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rmdir,
  stat,
  unlink,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf } from './errors.ts'
import { isKey } from '../key.ts'

/** Readable by the owner alone: a backup is a copy of the database. */
export const fileMode = 0o600
const folderMode = 0o700

/**
 * Returns a new name in the folder of `file`. It contains a `~`, which no key has: it is never
 * listed, and `removeAll` always finds it.
 */
export function temporaryName(file: string): string {
  return join(dirname(file), `holdfast~${randomBytes(8).toString('hex')}`)
}

const isTemporary = (name: string): boolean =>
  /^holdfast~[0-9a-f]{16}$/.test(name) || /~taken$/.test(name)

/**
 * Creates the folder and its missing parents, durably. Returns those that it created, the deepest
 * first. (Node's own recursive mkdir never returns in a place like /proc, where creating a folder
 * fails with ENOENT.)
 */
export async function makeFolder(folder: string): Promise<string[]> {
  const made: string[] = []
  const missing: string[] = []
  for (let at = folder; !(await isFolder(at)); at = dirname(at)) missing.push(at)
  for (const path of missing.reverse()) {
    try {
      await mkdir(path, { mode: folderMode })
      made.unshift(path)
      await syncFolder(dirname(path))
    } catch (error) {
      // Another run may have created it first. A file of that name is an error.
      if (codeOf(error) !== 'EEXIST' || !(await isFolder(path))) throw error
    }
  }
  return made
}

/** Returns false if nothing is there. Throws ENOTDIR if it is not a folder. */
async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
  throw Object.assign(new Error(`ENOTDIR: not a directory, ${path}`), {
    code: 'ENOTDIR',
    syscall: 'stat',
    path,
  })
}

/** Some file systems (network mounts) cannot sync a folder, and fail with one of these. */
const syncUnsupported = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EBADF']

/** Makes the names in a folder survive a power cut, where the file system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync().catch((error: unknown) => {
      if (!syncUnsupported.includes(codeOf(error) ?? '')) throw error
    })
  } finally {
    await handle.close()
  }
}

/** What `link` fails with on a file system without hard links, or with too many of them. */
const linksUnsupported = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']

/**
 * Publishes a finished temporary file under its name, in one step. Returns false, and leaves the
 * temporary file, if the name is taken.
 */
export async function publish(temporary: string, file: string): Promise<boolean> {
  try {
    await link(temporary, file)
  } catch (error) {
    const code = codeOf(error) ?? ''
    if (code === 'EEXIST') return false
    if (linksUnsupported.includes(code)) return await publishWithoutLinks(temporary, file)
    throw error
  }
  await unlink(temporary)
  return true
}

/**
 * `publish` for file systems without hard links (FAT, some network and FUSE mounts). `rename` would
 * replace a file, so only the process that creates the file `<name>~taken` may rename; every writer
 * on such a file system does the same. If that process is killed in between, the file stays and the
 * key counts as taken until `removeAll`.
 */
export async function publishWithoutLinks(temporary: string, file: string): Promise<boolean> {
  const claim = `${file}~taken`
  try {
    await (await open(claim, 'wx', fileMode)).close()
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
  try {
    if (await exists(file)) return false
    await rename(temporary, file)
    return true
  } finally {
    await unlink(claim)
  }
}

export async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Returns whether an error means only that there is no such key: nothing of that name, or a file
 * where its folder would be. If a file is in the way of `root` itself, the destination is wrong, and
 * this returns false.
 */
export async function isMissing(error: unknown, root: string): Promise<boolean> {
  if (codeOf(error) === 'ENOENT') return true
  if (codeOf(error) !== 'ENOTDIR') return false
  return await stat(root).then(
    (found) => found.isDirectory(),
    (cause: unknown) => codeOf(cause) === 'ENOENT',
  )
}

/**
 * Yields every plain file below `folder/prefix` whose name is a key, in the byte order of the keys.
 * With `temporary`, also temporary files.
 */
export async function* walk(
  folder: string,
  prefix: string,
  temporary: boolean,
): AsyncGenerator<{ key: string; file: string }> {
  let entries
  try {
    entries = await readdir(join(folder, prefix), { withFileTypes: true })
  } catch (error) {
    // It never existed, or was removed since its parent was read.
    if (await isMissing(error, folder)) return
    throw error
  }
  const sorted = entries
    .map((entry) => ({ entry, name: entry.isDirectory() ? `${entry.name}/` : entry.name }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const { entry, name } of sorted) {
    if (entry.isDirectory()) {
      if (isKey(entry.name)) yield* walk(folder, prefix + name, temporary)
    } else if (entry.isFile() && (isKey(name) || (temporary && isTemporary(name)))) {
      yield { key: prefix + name, file: join(folder, prefix, name) }
    }
  }
}

/** Deletes a file. A file that does not exist is not an error. */
export async function removeFile(file: string): Promise<void> {
  try {
    await unlink(file)
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(codeOf(error) ?? '')) throw error
  }
}

/** Removes empty folders from `folder` upwards; `root` itself stays. */
export async function removeEmpty(folder: string, root: string): Promise<void> {
  for (let at = folder; at !== root && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at)
    } catch {
      return
    }
  }
}

/** Returns the size of a plain file in bytes, or undefined if there is none. */
export async function sizeOf(file: string, root: string): Promise<number | undefined> {
  try {
    const found = await stat(file)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (await isMissing(error, root)) return undefined
    throw error
  }
}

/**
 * Creates a file for writing, and the folders above it. Tries again if another run removes an empty
 * folder in between.
 */
export async function createFile(file: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolder(dirname(file))
      return await open(file, 'wx', fileMode)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || attempt === 5) throw error
    }
  }
}

/** The number of buffers that one `writev` takes on every system. */
const maxBuffers = 1024

/** Writes all pieces at the file's position. Returns the number of bytes written. */
export async function writeAll(handle: FileHandle, pieces: readonly Buffer[]): Promise<number> {
  let bytes = 0
  let rest = pieces.length > maxBuffers ? [Buffer.concat(pieces)] : [...pieces]
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest)
    bytes += bytesWritten
    rest = skipBytes(rest, bytesWritten)
  }
  return bytes
}

function skipBytes(pieces: Buffer[], bytes: number): Buffer[] {
  let left = bytes
  for (const [i, piece] of pieces.entries()) {
    if (left < piece.length) return [piece.subarray(left), ...pieces.slice(i + 1)]
    left -= piece.length
  }
  return []
}
