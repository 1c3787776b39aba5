import { messageOf } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { folderOf, isPreRestore } from './ids.ts'
import { selectableIds, type StoredBackup, listStored } from './listing.ts'
import { newestProof } from './newest-proof.ts'

/**
 * Keeps the newest `keep` backups of a label in one destination, and removes the others. Never
 * removes:
 * - the newest backup
 * - a backup that was stored after the listing
 * - the newest proven backup, if none of those kept is proven
 *
 * Removes a backup taken before a restore when it is older than the oldest backup that is kept.
 * Removes each manifest first, so that an interrupted removal leaves no backup that looks complete.
 * Returns the removed ids.
 */
export async function prune(
  storage: Storage,
  label: string,
  keep: number,
  work: Work,
): Promise<string[]> {
  const found =
    (await listStored(storage, label, work)).get(label) ?? new Map<string, StoredBackup>()
  const ids = selectableIds(found).reverse()
  const kept = ids.slice(0, Math.max(1, keep))
  let candidates = ids.slice(kept.length)
  // only the newest proof of each counts; a proof that cannot be fetched ends the removal
  const newestProven = async (among: readonly string[]): Promise<string | undefined> => {
    for (const id of among)
      if ((await newestProof(id, [found.get(id) as StoredBackup], work))?.proven) return id
    return undefined
  }
  if (candidates.length > 0 && !(await newestProven(kept))) {
    const proven = await newestProven(candidates)
    if (proven)
      work.log.info(
        `Keeping ${proven} in addition to the newest ${kept.length}: it is the newest proven backup.`,
      )
    candidates = candidates.filter((id) => id !== proven)
  }
  const oldest = ids.findLast((id) => !candidates.includes(id))
  const outlived = [...found]
    .filter(
      ([id, { finished }]) => finished && isPreRestore(id) && oldest !== undefined && id < oldest,
    )
    .map(([id]) => id)
  const removed = [...candidates, ...outlived.sort().reverse()]
  for (const id of removed) {
    await removeBackup(storage, folderOf(label, id), work.signal)
  }
  return removed
}

/** Removes a backup, complete or not, the manifest first. */
export async function removeBackup(
  storage: Storage,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  await storage.remove([`${folder}manifest.json`], { signal })
  await storage.removeAll(folder, { signal })
}

/**
 * Applies retention to every destination, and returns what was removed. The backup is complete by
 * then, so a failure is only added to `warnings`.
 */
export async function pruneAll(
  destinations: readonly Storage[],
  label: string,
  keep: number,
  warnings: string[],
  work: Work,
): Promise<{ url: string; ids: string[] }[]> {
  const removed: { url: string; ids: string[] }[] = []
  for (const destination of destinations) {
    try {
      const ids = await prune(destination, label, keep, work)
      if (ids.length) removed.push({ url: destination.url, ids })
    } catch (error) {
      work.signal.throwIfAborted()
      warnings.push(
        `The backup is stored, but old backups could not be removed from ${destination.url}: ` +
          messageOf(error),
      )
    }
  }
  return removed
}
