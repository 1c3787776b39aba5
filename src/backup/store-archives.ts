import type { Dump } from '../postgres/pg-dump/pg-dump.ts'
import { namesOf } from '../postgres/pg-dump/archive-plan.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { storeArchive } from '../repository/write.ts'
import type { StoredArchive } from '../repository/manifest.ts'
import { mapConcurrent } from '../stream/map-concurrent.ts'

/**
 * Stores every archive, `jobs` at a time. Starts with the largest, so that small ones fill the end.
 * Returns the manifest's entries, in the order of `dumps`. Throws the first failure.
 */
export async function storeArchives(
  dumps: readonly Dump[],
  options: {
    folder: string
    recipients: string[] | 'none'
    destinations: readonly Storage[]
    jobs: number
    onStored: (archive: string) => void
    /** Called at once for each failure, so that the caller can stop the others. */
    onFailure: (error: unknown) => void
  },
  work: Work,
): Promise<StoredArchive[]> {
  const largestFirst = dumps.toSorted((a, b) => b.plan.bytes - a.plan.bytes)
  const stored = new Map<Dump, StoredArchive>()
  const store = async (dump: Dump, own: Work): Promise<void> => {
    const { plan, archive, compressed } = dump
    try {
      const object = await storeArchive(
        archive,
        { ...options, name: plan.name, kind: plan.kind, compressed },
        own,
      )
      stored.set(dump, {
        ...object,
        ...(plan.kind === 'rows' ? { tables: namesOf(plan.tables) } : {}),
      })
      options.onStored(plan.name)
    } catch (error) {
      options.onFailure(error)
      throw error
    }
  }
  await mapConcurrent(largestFirst, options.jobs, store, work)
  return dumps.map((dump) => stored.get(dump) as StoredArchive)
}
