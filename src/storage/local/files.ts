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

/** Readable by the user alone: a backup is a copy of the database. */
export const fileMode = 0o600
const folderMode = 0o700

/**
 * A name beside `file` that no key can have (no key has a `~`), so that it is never listed, and
 * always found by a sweep.
 */
export function temporaryName(file: string): string {
  return join(dirname(file), `holdfast~${randomBytes(8).toString('hex')}`)
}

export const isTemporary = (name: string): boolean =>
  /^holdfast~[0-9a-f]{16}$/.test(name) || /~taken$/.test(name)

/**
 * Makes the folder and those above it that are missing, and sees to it that they last. Gives back
 * those that it made, the deepest first. (Node's own recursive mkdir never ends in a place like
 * /proc, where making a folder says ENOENT.)
 */
export async function makeFolder(folder: string): Promise<string[]> {
  const made: string[] = []
  const missing: string[] = []
  for (let at = folder; !(await isFolder(at)); at = dirname(at)) missing.push(at)
  for (const one of missing.reverse()) {
    try {
      await mkdir(one, { mode: folderMode })
      made.unshift(one)
      await syncFolder(dirname(one))
    } catch (error) {
      // Another run was faster, unless it is a file that stands there.
      if (codeOf(error) !== 'EEXIST' || !(await isFolder(one))) throw error
    }
  }
  return made
}

/** False when nothing is there; a file in the way is an error. */
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

/**
 * Makes names in a folder last through a power cut. Some file systems (network mounts) can't, and
 * say so: nothing to be done there.
 */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync().catch((error: unknown) => {
      if (
        !['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EBADF'].includes(
          codeOf(error) ?? '',
        )
      )
        throw error
    })
  } finally {
    await handle.close()
  }
}

/**
 * Gives a finished temporary file its name, in one step and only if the name is free; false when it
 * is taken. The temporary name is gone only when this ends well with true.
 */
export async function publish(temporary: string, file: string): Promise<boolean> {
  try {
    await link(temporary, file)
  } catch (error) {
    const code = codeOf(error) ?? ''
    if (code === 'EEXIST') return false
    if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL'].includes(code))
      return await publishWithoutLinks(temporary, file)
    throw error
  }
  await unlink(temporary)
  return true
}

/**
 * For file systems without hard links (FAT, some network and FUSE mounts). `rename` would replace,
 * so whoever makes the file `<name>~taken` first may rename; all who create on such a file system
 * come this way. A process that is killed in between leaves that file, and the key counts as taken
 * until it is swept.
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
 * Whether an error says no more than that a key is not there: nothing of that name, or a file where
 * its folder would be. If it is the destination's own path that a file stands in, that is a mistake
 * to tell.
 */
export async function nothingThere(error: unknown, root: string): Promise<boolean> {
  if (codeOf(error) === 'ENOENT') return true
  if (codeOf(error) !== 'ENOTDIR') return false
  return await stat(root).then(
    (found) => found.isDirectory(),
    (why: unknown) => codeOf(why) === 'ENOENT',
  )
}

/**
 * Every plain file below `folder/prefix` that is ours by its name, in the order of the keys' bytes;
 * temporary ones only if asked for.
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
    // Removed since its parent was read, or never there: nothing below it.
    if (await nothingThere(error, folder)) return
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

/** Removes folders that have become empty, from `folder` upwards, and stops below `root`. */
export async function removeEmpty(folder: string, root: string): Promise<void> {
  for (let at = folder; at !== root && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at)
    } catch {
      return
    }
  }
}

/** The longest list of buffers that a system call takes on every system. */
const longestList = 1024

/** Writes all of it where the last write ended, and gives back how many bytes it was. */
export async function writeAll(handle: FileHandle, pieces: readonly Buffer[]): Promise<number> {
  let bytes = 0
  let rest = pieces.length > longestList ? [Buffer.concat(pieces)] : [...pieces]
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest)
    bytes += bytesWritten
    rest = after(rest, bytesWritten)
  }
  return bytes
}

function after(pieces: Buffer[], bytes: number): Buffer[] {
  let at = bytes
  const first = pieces.findIndex((piece) =>
    at < piece.length ? true : ((at -= piece.length), false),
  )
  return first < 0 ? [] : [(pieces[first] as Buffer).subarray(at), ...pieces.slice(first + 1)]
}
