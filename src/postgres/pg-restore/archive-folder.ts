import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Held, Work } from '../../work.ts'

/** A private folder for an archive that pg_restore reads from disk. */
export interface ArchiveFolder {
  readonly directory: string
  readonly remove: () => Promise<void>
}

/** Creates a folder, which is held until the caller removes it. */
export async function createArchiveFolder(work: Work): Promise<ArchiveFolder> {
  const directory = join(work.temporary, `holdfast-restore-${randomBytes(6).toString('hex')}`)
  const held: Held = { kind: 'folder', directory }
  const remove = async (): Promise<void> => {
    await rm(directory, { recursive: true, force: true })
    work.release(held)
  }
  work.hold(held)
  try {
    await mkdir(directory, { mode: 0o700 })
    return { directory, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Runs `body` with a folder, and removes the folder afterwards. */
export async function withArchiveFolder<T>(
  work: Work,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await createArchiveFolder(work)
  try {
    return await body(folder.directory)
  } finally {
    await folder.remove()
  }
}

/** Whether a folder has the name that `createArchiveFolder` gives. */
export function isArchiveFolder(directory: string): boolean {
  return /\/holdfast-restore-[0-9a-f]{12}$/.test(directory)
}
