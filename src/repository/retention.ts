import { messageOf } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { folderOf, isPreRestore } from './ids.ts'
import { selectableIds, type StoredBackup, listStored } from './listing.ts'
import { newestProof } from './newest-proof.ts'

/**
 * Keeps the newest `keep` backups of a label in one destination, and removes the others. Three
 * things are never removed: the newest; a backup made while we look (only what the first listing
 * held is a candidate); and, when none of those kept has been proven, the newest backup that has: a
 * row of unproven backups must not push out the last good one. A backup made before a restore goes
 * when it is older than the oldest that is kept.
 *
 * Of a backup, the manifest goes first: a removal that is cut off leaves no backup that looks whole
 * and is not. Gives the ids that were removed.
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
  // one that was good once and was found bad since is not; and what cannot be read of proofs stops
  // it all
  const newestProven = async (some: readonly string[]): Promise<string | undefined> => {
    for (const id of some)
      if ((await newestProof(id, [found.get(id) as StoredBackup], work))?.proven) return id
    return undefined
  }
  if (candidates.length > 0 && !(await newestProven(kept))) {
    const proven = await newestProven(candidates)
    if (proven)
      work.log.info(
        `Keeping ${proven} beyond keep: ${keep}, since it is the newest backup that has been proven.`,
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

/** Removes a backup, or what there is of one, the manifest first. */
export async function removeBackup(
  storage: Storage,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  await storage.remove([`${folder}manifest.json`], { signal })
  await storage.sweep(folder, { signal })
}

/**
 * Prunes every destination, and gives what was removed. Never fails a backup that is already whole:
 * what it could not do is a warning.
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
        `The backup is stored, but old ones could not be removed from ${destination.url}: ${messageOf(error)}`,
      )
    }
  }
  return removed
}
