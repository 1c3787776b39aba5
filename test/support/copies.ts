import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { backup, type BackupOptions, type BackupResult } from '../../src/backup/backup.ts'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import type { FoundBackup } from '../../src/repository/listing.ts'
import { findReadable } from '../../src/repository/find-readable.ts'
import { parseSelector, type SingleSelector } from '../../src/repository/selector.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import type { Work } from '../../src/work.ts'
import { quietWork } from './start-servers.ts'

/** A key pair, a folder to store in, and backups made with them. */
export interface Store {
  folder: string
  storage: Storage
  identity: string
  recipient: string
  /** Where to look for and what to open with: what `verify`, `rehearse` and `restore` share. */
  reading: { sources: Storage[]; backup: SingleSelector; identities: string[]; bindirs: string[] }
  backup(database: Connection, options?: Partial<BackupOptions>, work?: Work): Promise<BackupResult>
  found(): Promise<FoundBackup>
}

/** A folder of the test's own, removed when the test or file that asked for it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function newStore(label = 'test'): Promise<Store> {
  const folder = temporaryFolder()
  const storage = openStorage(`file://${folder}`)
  const identity = await generateX25519Identity()
  const recipient = await identityToRecipient(identity)
  const reading = {
    sources: [storage],
    backup: parseSelector('latest'),
    identities: [identity],
    bindirs: [],
    label,
  }
  return {
    folder,
    storage,
    identity,
    recipient,
    reading,
    backup: (database, options = {}, work = quietWork()) =>
      backup(
        {
          database,
          destinations: [storage],
          label,
          recipients: [recipient],
          bindirs: [],
          jobs: 2,
          largeTable: 16 << 20,
          fingerprint: 'content',
          ...options,
        },
        work,
      ),
    found: () => findReadable(reading, quietWork()),
  }
}

/**
 * Work that notes which databases it made: other test files make some on the same server, whose
 * names look alike.
 */
export function watchedWork(): { work: Work; made: Set<string> } {
  const made = new Set<string>()
  return {
    made,
    work: {
      ...quietWork(),
      hold: (thing) => void (thing.kind === 'database' && made.add(thing.name)),
    },
  }
}
