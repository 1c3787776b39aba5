import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { timeOf } from '../../src/repository/ids.ts'
import { type Manifest, readManifest, writeManifest } from '../../src/repository/manifest.ts'
import { type Proof, proofName, writeProof } from '../../src/repository/proof.ts'
import { digestOf } from '../../src/stream/digest.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { plainText, type Text } from '../../src/text.ts'
import type { Work } from '../../src/work.ts'
import type { Store } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'

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

/**
 * Stores a backup without a database: for tests of what is found, listed and removed, which never
 * open its archive.
 */
export function putBackup(store: Store, id: string, changes: Partial<Manifest> = {}): void {
  mkdirSync(folderOf(store, id), { recursive: true })
  writeFileSync(join(folderOf(store, id), 'base.dump.age'), archive)
  writeFileSync(
    join(folderOf(store, id), 'manifest.json'),
    writeManifest({
      format: 1,
      id,
      label: 'test',
      createdAt: '2026-11-21T03:15:02.000Z',
      snapshot: { at: timeOf(id), lsn: '0/1' },
      source: {
        database: 'shop',
        server: '18.1',
        major: 18,
        bytes: 1,
        locale: { encoding: 'UTF8', provider: 'libc', collate: 'C', ctype: 'C' },
        roles: { superuser: 'postgres', names: [] },
      },
      client: '18.1',
      encryption: { recipients: [store.recipient] },
      objects: [
        { name: 'base.dump.age', kind: 'base', ...digestOf(archive) },
        { name: 'rows/01.dump.age', kind: 'rows', bytes: 2000, sha256: 'a'.repeat(64) },
      ],
      fingerprint: {
        kind: 'content',
        tables: [
          { table: 'public.orders', rows: 20, hash: '1', bytes: 8192 },
          { table: 'public.people', rows: 3, hash: '2', bytes: 8192 },
        ],
        schema: {},
        sequences: {},
        supplement: { extensions: {}, matviews: {}, invalidIndexes: [] },
      },
      warnings: [],
      ...changes,
    }),
  )
}

const archive = 'not opened '.repeat(100)

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
      at: timeOf(other),
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

/** Work that keeps what it logs, and that can be stopped. */
export function loggingWork(): { work: Work; lines: string[]; stop: (reason: Error) => void } {
  const stopping = new AbortController()
  const lines: string[] = []
  const log = (line: Text): void => void lines.push(plainText(line))
  const work = quietWork(stopping.signal)
  return {
    work: { ...work, log: { ...work.log, info: log, warning: log } },
    lines,
    stop: (reason) => stopping.abort(reason),
  }
}

/** A destination that fails at every listing, and runs `before` first. */
export function unlisted(storage: Storage, failure: Error, before = (): void => {}): Storage {
  return override(storage, {
    async *list() {
      before()
      throw failure
    },
  })
}
