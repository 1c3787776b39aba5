import { randomInt } from 'node:crypto'
import { messageOf, UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { input, join, text } from '../text.ts'
import type { Work } from '../work.ts'
import { timeOf } from './ids.ts'
import {
  type BackupIndex,
  backupNotFound,
  type FoundBackup,
  openBackup,
  openBackupIndex,
} from './listing.ts'
import { newestProof, newestProofs } from './newest-proof.ts'
import type { BatchSelector, SingleSelector } from './selector.ts'

/**
 * Finds one backup in several sources. A source that cannot be read is a warning if another one has
 * the backup. Throws UserErrors, among them `unknown-backup`, `no-backup` and `no-proven-backup`.
 */
export async function findBackup(
  sources: readonly Storage[],
  label: string | undefined,
  selector: SingleSelector,
  work: Work,
): Promise<FoundBackup> {
  const index = await openBackupIndex(sources, label, work)
  const backup = await findInIndex(index, selector, work)
  for (const failure of index.failures)
    work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
  return backup
}

/** Finds one backup in an index that is already open. Throws like `findBackup`. */
export async function findInIndex(
  index: BackupIndex,
  selector: SingleSelector,
  work: Work,
): Promise<FoundBackup> {
  const { ids, stored } = index
  const latest = ids.at(-1)
  switch (selector.kind) {
    case 'latest':
      if (latest === undefined) throw await backupNotFound(index, 'latest', work)
      return openBackup(index, latest, work)
    case 'id':
      if (!stored.has(selector.id)) throw await backupNotFound(index, selector.id, work)
      return openBackup(index, selector.id, work)
    case 'latest-proven':
      if (latest === undefined) throw await backupNotFound(index, 'latest-proven', work)
      for (const id of ids.toReversed())
        if ((await newestProof(id, stored.get(id) ?? [], work))?.proven)
          return openBackup(index, id, work)
      throw noProvenBackup(index, latest)
    case 'before': {
      const time = selector.at.toISOString()
      if (latest === undefined) throw await backupNotFound(index, `before ${time}`, work)
      // an id holds the time when the backup began; its snapshot may be later
      const candidates = ids.filter((id) => Date.parse(timeOf(id)) <= selector.at.getTime())
      for (const id of candidates.toReversed()) {
        const backup = await openBackup(index, id, work)
        if (Date.parse(backup.manifest.snapshot.at) <= selector.at.getTime()) return backup
      }
      if (index.failures.length) throw index.failures[0]
      throw new UserError(
        'unknown-backup',
        `There is no backup of "${index.label}" from before ${time}.`,
        `The oldest is ${ids[0]}, the newest ${latest}.`,
      )
    }
  }
}

function noProvenBackup({ ids, label, sources }: BackupIndex, latest: string): UserError {
  const urls = sources.map(({ url }) => url).join(' and ')
  return new UserError(
    'no-proven-backup',
    `None of the ${ids.length} backups of "${label}" in ${urls} is proven.`,
    join(
      [
        text`Run verify first, with ${input('backup', 'all')} or ${input('backup', 'latest')} (${latest}).`,
        'To use a backup that is not proven, give its id.',
      ],
      ' ',
    ),
  )
}

/** Returns the selected ids, newest first; none if no backup is unproven. Throws `no-backup`. */
export async function selectIds(
  index: BackupIndex,
  selector: BatchSelector,
  work: Work,
): Promise<string[]> {
  if (index.ids.length === 0) throw await backupNotFound(index, selector.kind, work)
  const newestFirst = index.ids.toReversed()
  switch (selector.kind) {
    case 'all':
      return newestFirst
    case 'sample':
      return sampleOf(newestFirst, selector.count).sort().reverse()
    case 'unproven':
    case 'oldest-unproven': {
      const proofs = await newestProofs(
        newestFirst.map((id) => ({ id, at: index.stored.get(id) ?? [] })),
        work,
      )
      const open = newestFirst.filter((id) => isOpen(proofs.get(id)))
      return selector.kind === 'unproven' ? open : open.slice(-1)
    }
  }
}

/**
 * Returns whether it is still unknown if a backup is good: it has no proof, or one that ended early
 * (because a lower level was requested, or because of its scratch server) without a fault.
 */
export function isOpen(
  proof: { asked?: string; stoppedBy?: string; partial?: boolean; proven: boolean } | undefined,
): boolean {
  if (proof === undefined) return true
  const early =
    proof.partial ?? ['stored', 'readable', 'restored', 'counted'].includes(proof.asked ?? '')
  return !proof.proven && proof.stoppedBy === undefined && early
}

/** Draws `count` of the ids by chance, none twice. */
function sampleOf(ids: readonly string[], count: number): string[] {
  const left = [...ids]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(randomInt(left.length), 1)[0] as string,
  )
}
