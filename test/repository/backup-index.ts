import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Manifest, readManifest, writeManifest } from '../../src/repository/manifest.ts'
import { type Proof, proofName, writeProof } from '../../src/repository/proof.ts'
import type { Store } from '../support/copies.ts'

/** Where a backup of a test's store is. */
export const folderOf = (store: Store, id: string): string => join(store.folder, 'test', id)

export function manifestOf(store: Store, id: string): Manifest {
  return readManifest(readFileSync(join(folderOf(store, id), 'manifest.json'), 'utf8'), id)
}

/**
 * Writes a manifest anew, with its own right digest: as somebody would who can write to the store.
 */
export function rewrite(store: Store, id: string, change: (manifest: Manifest) => Manifest): void {
  writeFileSync(
    join(folderOf(store, id), 'manifest.json'),
    writeManifest(change(manifestOf(store, id))),
  )
}

/** The same backup once more, under another id, and with whatever else differs. */
export function again(
  store: Store,
  id: string,
  other: string,
  changes: Partial<Manifest> = {},
  to = store,
): void {
  cpSync(folderOf(store, id), folderOf(to, other), {
    recursive: true,
    filter: (path) => !path.endsWith('proofs'),
  })
  rewrite(to, other, (manifest) => ({
    ...manifest,
    id: other,
    snapshot: {
      ...manifest.snapshot,
      at: other.replace(/^(....)(..)(..)T(..)(..)(..)Z.*/, '$1-$2-$3T$4:$5:$6Z'),
    },
    ...changes,
  }))
}

/** Stores a proof as a verification would have. Gives its key below the store. */
export function prove(
  store: Store,
  id: string,
  changes: Partial<Proof> = {},
  partial?: 'stored' | 'readable' | 'restored' | 'counted',
): string {
  const at = changes.at ?? '2026-11-20T12:00:00.000Z'
  const name = proofName(new Date(at), 'abc123', partial)
  const file = join(folderOf(store, id), name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(
    file,
    writeProof({
      format: 1,
      backup: id,
      manifest: manifestOf(store, id).sha256,
      at,
      proven: true,
      level: 'identical',
      differences: { count: 0, first: [] },
      checks: [],
      objectives: [],
      versions: { holdfast: '0.1.0' },
      timings: { restore: 1000, total: 2000 },
      ...changes,
    }),
  )
  return file
}
