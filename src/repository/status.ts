import { text as readText } from 'node:stream/consumers'
import { messageOf, UserError } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { folderOf, isPreRestore, locationOf, timeOf } from './ids.ts'
import type { Level } from './level.ts'
import { type StoredBackup, listStored, whatThereIs } from './listing.ts'
import { type Manifest, readManifest, totalsOf } from './manifest.ts'
import { newestProofs } from './newest-proof.ts'
import type { Proof } from './proof.ts'
import { isOpen } from './find-backup.ts'

export interface StatusOptions {
  sources: readonly Storage[]
  /** Default: all labels. */
  label?: string
}

export interface StatusResult {
  sources: string[]
  labels: LabelStatus[]
  warnings: string[]
}

/** The backups of one label. A backup in several destinations counts once. */
export interface LabelStatus {
  label: string
  /** Finished ones, without `pre-restore` ones. */
  backups: number
  /** Of these backups, in one destination each. */
  bytes: number
  /** The newest finished backup with a readable manifest. */
  newest?: BackupStatus
  /** The newest backup whose newest proof says `proven`. */
  proven?: BackupStatus & { proof: ProofStatus }
  /** All finished backups, newest first, also `pre-restore` ones. */
  all: ListedBackup[]
  /** Ids of backups without a full proof, newest first. */
  unproven: string[]
  /** Those whose newest proof found no fault, but whose fingerprint is `counts` or `none`. */
  limited: { id: string; level: Level; at: string }[]
  /** Those whose newest proof found a fault. */
  failed: { id: string; level: Level; at: string }[]
  /** Those with an unreadable manifest, as far as manifests were read. */
  damaged: { id: string; why: string }[]
  /** Objects without a manifest: of a backup that is running, or of one that was killed. */
  unfinished: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
  /** Those taken before a restore, newest first. The other lists, except `all`, leave them out. */
  preRestore: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
}

/** What is known of a backup without its manifest. */
export interface ListedBackup {
  id: string
  /** When it started, from its id. */
  snapshotAt: string
  /** Stored bytes, in one destination. */
  bytes: number
  kind: 'backup' | 'pre-restore'
  /** The level of the newest proof. */
  level?: Level
  /** When it was proven, if the newest proof says `proven`. */
  provenAt?: string
}

export interface BackupStatus {
  id: string
  snapshotAt: string
  /** Milliseconds since the snapshot. */
  age: number
  /** Stored bytes, in one destination. */
  bytes: number
  /** Tables and rows are absent if nothing was measured. */
  tables?: number
  rows?: number
  server: string
  encrypted: boolean
  locations: string[]
}

export interface ProofStatus {
  level: Level
  at: string
  /** Milliseconds since it was proven. */
  age: number
  /** Milliseconds that the restore took. */
  restore?: number
}

/** One backup, and what each destination holds of it. */
interface Backup {
  id: string
  at: StoredBackup[]
}

/**
 * Returns which backups there are, how old they are and how far they are proven. Reads one listing
 * of each destination, the manifests of the newest backups, and each backup's newest proof.
 *
 * A destination that cannot be read is a warning if another one can. Otherwise throws its failure,
 * or `no-backup` if nothing is found at all: a folder that does not exist looks like an empty one.
 */
export async function status(options: StatusOptions, work: Work): Promise<StatusResult> {
  const warnings: string[] = []
  const labels = new Map<string, Map<string, Backup>>()
  const failures: unknown[] = []
  for (const storage of options.sources) {
    try {
      for (const [label, found] of await listStored(storage, options.label, work)) {
        const backups = labels.get(label) ?? new Map<string, Backup>()
        for (const [id, at] of found)
          backups.set(id, { id, at: [...(backups.get(id)?.at ?? []), at] })
        labels.set(label, backups)
      }
    } catch (error) {
      work.signal.throwIfAborted()
      failures.push(error)
      warnings.push(`${storage.url} could not be read: ${messageOf(error)}`)
    }
  }
  if (failures.length > 0 && (failures.length === options.sources.length || labels.size === 0))
    throw failures[0]
  if (labels.size === 0) {
    const where = options.sources.map(({ url }) => url).join(' and ')
    const what =
      options.label === undefined
        ? 'No complete or partial backup'
        : `No complete or partial backup of "${options.label}"`
    throw new UserError(
      'no-backup',
      `${what} was found in ${where}.`,
      await whatThereIs(options.sources, work),
    )
  }
  const result: StatusResult = {
    sources: options.sources.map(({ url }) => url),
    labels: [],
    warnings,
  }
  for (const label of [...labels.keys()].sort()) {
    const found = await labelStatus(label, [...(labels.get(label)?.values() ?? [])], work)
    result.labels.push(found)
    const copies = found.newest?.locations.length
    if (copies !== undefined && copies < options.sources.length - failures.length)
      warnings.push(
        `The newest backup of ${label} is in only ${copies} of ` +
          `${options.sources.length} destinations.`,
      )
  }
  return result
}

async function labelStatus(label: string, found: Backup[], work: Work): Promise<LabelStatus> {
  const byAge = found.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const all = byAge.filter(({ at }) => at.some((stored) => stored.finished))
  const finished = all.filter(({ id }) => !isPreRestore(id))
  const proofs = await newestProofs(all, work)
  const known = finished.flatMap(({ id }) => proofs.get(id) ?? [])
  const notProven = known.filter((proof) => !proof.proven && !isOpen(proof))
  const result: LabelStatus = {
    label,
    backups: finished.length,
    bytes: finished.reduce((sum, { at }) => sum + bytesOf(at), 0),
    all: all.map(({ id, at }) => {
      const proof = proofs.get(id)
      return {
        id,
        snapshotAt: timeOf(id),
        bytes: bytesOf(at),
        kind: isPreRestore(id) ? 'pre-restore' : 'backup',
        ...(proof ? { level: proof.level } : {}),
        ...(proof?.proven ? { provenAt: proof.at } : {}),
      }
    }),
    unproven: finished.filter(({ id }) => isOpen(proofs.get(id))).map(({ id }) => id),
    limited: notProven.filter(({ stoppedBy }) => stoppedBy === undefined).map(summaryOf),
    failed: notProven.filter(({ stoppedBy }) => stoppedBy !== undefined).map(summaryOf),
    damaged: [],
    unfinished: byAge.flatMap(({ id, at }) =>
      at.filter((each) => !each.finished && each.bytes > 0).map((each) => partsOf(label, id, each)),
    ),
    preRestore: all
      .filter(({ id }) => isPreRestore(id))
      .map(({ id, at }) => partsOf(label, id, at.find((each) => each.finished) as StoredBackup)),
  }
  for (const backup of finished) {
    if (result.newest && result.proven) break
    const proof = proofs.get(backup.id)
    if (result.newest && !proof?.proven) continue
    const read = await manifestOf(label, backup, result.damaged, work)
    if (!read) continue
    result.newest ??= backupStatus(label, backup, read)
    if (proof?.proven && !result.proven) {
      const { level, at, timings } = proof
      const restore = timings.restore === undefined ? {} : { restore: timings.restore }
      result.proven = {
        ...backupStatus(label, backup, read),
        proof: { level, at, age: Date.now() - Date.parse(at), ...restore },
      }
    }
  }
  return result
}

/** Stored bytes in one destination; if they differ, the most. */
function bytesOf(at: readonly StoredBackup[]): number {
  return Math.max(...at.filter(({ finished }) => finished).map(({ bytes }) => bytes))
}

function backupStatus(label: string, { id, at }: Backup, manifest: Manifest): BackupStatus {
  const { bytes, rows, tables } = totalsOf(manifest)
  return {
    id,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    bytes,
    ...(manifest.fingerprint.kind === 'none' ? {} : { tables, rows }),
    server: manifest.source.server,
    encrypted: manifest.encryption !== 'none',
    locations: at
      .filter(({ finished }) => finished)
      .map(({ storage }) => locationOf(storage, label, id)),
  }
}

/** Reads a manifest from the first destination where it is readable; else notes it as damaged. */
async function manifestOf(
  label: string,
  { id, at }: Backup,
  damaged: LabelStatus['damaged'],
  work: Work,
): Promise<Manifest | undefined> {
  let why = 'it was removed while the status was read'
  for (const { storage } of at.filter(({ finished }) => finished)) {
    try {
      const stored = await readText(
        await storage.read(`${folderOf(label, id)}manifest.json`, { signal: work.signal }),
      )
      const manifest = readManifest(stored, `of ${locationOf(storage, label, id)}`)
      if (manifest.id === id && manifest.label === label) return manifest
      why = 'it belongs to another backup'
    } catch (error) {
      work.signal.throwIfAborted()
      if (!(error instanceof ObjectMissing)) why = messageOf(error)
    }
  }
  damaged.push({ id, why })
  return undefined
}

function partsOf(
  label: string,
  id: string,
  { storage, bytes }: StoredBackup,
): LabelStatus['unfinished'][number] {
  const startedAt = timeOf(id)
  return {
    id,
    startedAt,
    age: Date.now() - Date.parse(startedAt),
    bytes,
    location: locationOf(storage, label, id),
  }
}

function summaryOf({ backup, level, at }: Proof): { id: string; level: Level; at: string } {
  return { id: backup, level, at }
}
