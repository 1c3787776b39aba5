import { text } from 'node:stream/consumers'
import { messageOf } from '../errors.ts'
import { ObjectMissing } from '../storage/storage.ts'
import { mapConcurrent } from '../stream/map-concurrent.ts'
import type { Work } from '../work.ts'
import type { StoredBackup } from './listing.ts'
import { isPartial, type Proof, readProof } from './proof.ts'

/** How many proofs are read at a time. */
const readers = 8

/**
 * Returns the newest proof of a backup, from any destination. A partial proof counts only if there
 * is no full one. A proof that is unreadable, or belongs to another backup or manifest, proves
 * nothing, and no older one replaces it.
 */
export async function newestProof(
  id: string,
  at: readonly StoredBackup[],
  work: Work,
): Promise<Proof | undefined> {
  const read = await Promise.all(
    at.filter(({ finished }) => finished).map((stored) => proofIn(id, stored, work)),
  )
  const proofs = read.flatMap((found) => found ?? [])
  const full = proofs.filter(({ partial }) => !partial)
  return (full.length ? full : proofs)
    .map(({ proof }) => proof)
    .sort((a, b) => (a.at < b.at ? 1 : -1))[0]
}

/** The newest proofs of several backups, by id. One that cannot be fetched is a warning. */
export async function newestProofs(
  backups: readonly { id: string; at: readonly StoredBackup[] }[],
  work: Work,
): Promise<Map<string, Proof>> {
  const found = await mapConcurrent(
    backups,
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
  const key = proofs.findLast((proof) => !isPartial(proof)) ?? proofs.at(-1)
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

/** The digest at the end of a stored manifest, unchecked; undefined if there is none. */
async function manifestDigest(
  { storage, folder }: Pick<StoredBackup, 'storage' | 'folder'>,
  work: Work,
): Promise<string | undefined> {
  let tail = ''
  for await (const piece of await storage.read(`${folder}manifest.json`, { signal: work.signal }))
    tail = (tail + (piece as Buffer).toString('latin1')).slice(-200)
  return /"sha256": "([0-9a-f]{64})"\s*\}\s*$/.exec(tail)?.[1]
}
