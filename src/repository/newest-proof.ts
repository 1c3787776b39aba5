import { text } from 'node:stream/consumers'
import { messageOf } from '../errors.ts'
import { ObjectMissing } from '../storage/storage.ts'
import { mapConcurrent } from '../stream/map-concurrent.ts'
import type { Work } from '../work.ts'
import type { StoredBackup } from './listing.ts'
import { isPartial, type Proof, readProof } from './proof.ts'

/** How many proofs are read side by side. */
const readers = 8

/**
 * What a backup's proofs say of it: the newest one counts, whichever destination has it; one that
 * ended early and found nothing only where there is no other. What cannot be read as a proof, or is
 * one of another backup or of another manifest, proves nothing; an older one does not take its
 * place.
 */
export async function newestProof(
  id: string,
  at: readonly StoredBackup[],
  work: Work,
): Promise<Proof | undefined> {
  const read = await Promise.all(
    at.filter(({ finished }) => finished).map((stored) => proofIn(id, stored, work)),
  )
  const proofs = read.flatMap((one) => one ?? [])
  const whole = proofs.filter(({ partial }) => !partial)
  return (whole.length ? whole : proofs)
    .map(({ proof }) => proof)
    .sort((a, b) => (a.at < b.at ? 1 : -1))[0]
}

/**
 * The same of several backups, side by side. Proofs that cannot be fetched are warned of, and prove
 * nothing.
 */
export async function newestProofs(
  backups: readonly { id: string; at: readonly StoredBackup[] }[],
  work: Work,
): Promise<Map<string, Proof>> {
  const found = await mapConcurrent(
    backups.filter(({ at }) => at.some(({ proofs }) => proofs.length > 0)),
    readers,
    async ({ id, at }, own) => {
      try {
        const proof = await newestProof(id, at, own)
        return proof ? ([[id, proof]] as const) : []
      } catch (error) {
        own.signal.throwIfAborted()
        work.log.warning(`A proof of ${id} could not be read: ${messageOf(error)}`)
        return []
      }
    },
    work,
  )
  return new Map(found.flat())
}

async function proofIn(
  id: string,
  { storage, folder, proofs }: StoredBackup,
  work: Work,
): Promise<{ proof: Proof; partial: boolean } | undefined> {
  const key = proofs.findLast((one) => !isPartial(one)) ?? proofs.at(-1)
  if (key === undefined) return undefined
  try {
    const proof = readProof(await text(await storage.read(key, { signal: work.signal })))
    if (
      proof?.backup !== id ||
      proof.manifest !== (await manifestDigest({ storage, folder }, work))
    )
      return undefined
    return { proof, partial: isPartial(key) }
  } catch (error) {
    if (error instanceof ObjectMissing) return undefined
    throw error
  }
}

/**
 * The digest that a manifest says it has, its last member; undefined if it does not end as one
 * does. Whether it is right, only a reading of it all shows.
 */
async function manifestDigest(
  { storage, folder }: Pick<StoredBackup, 'storage' | 'folder'>,
  work: Work,
): Promise<string | undefined> {
  let tail = ''
  for await (const piece of await storage.read(`${folder}manifest.json`, { signal: work.signal }))
    tail = (tail + (piece as Buffer).toString('latin1')).slice(-200)
  return /"sha256": "([0-9a-f]{64})"\s*\}\s*$/.exec(tail)?.[1]
}
