import { text } from 'node:stream/consumers'
import { messageOf, UserError } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { folderOf, isPreRestore, locationOf, timeOf } from './ids.ts'
import type { Level } from './level.ts'
import { type StoredBackup, listStored } from './listing.ts'
import { type Manifest, readManifest, totalsOf } from './manifest.ts'
import { newestProofs } from './newest-proof.ts'
import type { Proof } from './proof.ts'
import { isOpen } from './find-backup.ts'

export interface StatusOptions {
  sources: readonly Storage[]
  /** All labels when left out. */
  label?: string
}

export interface StatusResult {
  sources: string[]
  labels: LabelStatus[]
  warnings: string[]
}

/** What there is of one database. A backup that stands in several destinations counts once. */
export interface LabelStatus {
  label: string
  backups: number
  /** Of all finished backups, `pre-restore` ones too, in one destination each. */
  bytes: number
  /** The newest finished backup whose manifest can be read. */
  newest?: BackupStatus
  /** The newest backup whose newest proof says that it is good. */
  proven?: BackupStatus & { proof: ProofStatus }
  /**
   * All that are finished, newest first, those too that a restore took of its target before it
   * began (`pre-restore`).
   */
  all: ListedBackup[]
  /** Ids of which it is still open whether they are good, newest first. */
  unproven: string[]
  /**
   * Those whose newest proof found nothing against them, as far as their fingerprint goes
   * (`counts`, `none`).
   */
  limited: { id: string; level: Level; at: string }[]
  /** Those whose newest proof says that they are not good. */
  failed: { id: string; level: Level; at: string }[]
  /**
   * Finished by their name, but their manifest cannot be read: found on the way to the newest ones.
   */
  damaged: { id: string; why: string }[]
  /** Objects without a manifest: a backup that runs now, or what one left that was killed. */
  unfinished: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
  /** Finished, made of what a restore replaced, newest first: none of the others counts them. */
  preRestore: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
}

/** What is known of a backup without reading its manifest. */
export interface ListedBackup {
  id: string
  /** By its id: when it was begun. */
  snapshotAt: string
  /** Stored, in one destination. */
  bytes: number
  kind: 'backup' | 'pre-restore'
  /** How far the newest proof came. */
  level?: Level
  /** When it was proven, if the newest proof says so. */
  provenAt?: string
}

export interface BackupStatus {
  id: string
  snapshotAt: string
  /** Milliseconds since the snapshot: what would be lost of the data's time. */
  age: number
  /** Stored, in one destination. */
  bytes: number
  /** Unknown, as are rows, where nothing was measured. */
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
  /** Milliseconds that restoring took then. */
  restore?: number
}

/** One backup's traces in the destinations that have some. */
interface Backup {
  id: string
  at: StoredBackup[]
}

/**
 * What backups there are, how old, and how far proven: by one listing of each destination, the
 * manifests of the newest, and each backup's newest proof. A destination that cannot be read is a
 * warning if another can; if none can, the first failure is thrown. Where nothing is found at all,
 * a UserError `no-backup`: a folder that does not exist looks like an empty one.
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
        ? 'No backup, nor any part of one,'
        : `No backup of "${options.label}", nor any part of one,`
    throw new UserError(
      'no-backup',
      `${what} was found in ${where}.`,
      'Check storage (a folder that does not exist, or a prefix that is misspelt, looks like an empty one) and label, or run backup now.',
    )
  }
  const result: StatusResult = {
    sources: options.sources.map(({ url }) => url),
    labels: [],
    warnings,
  }
  for (const label of [...labels.keys()].sort()) {
    const one = await labelStatus(label, [...(labels.get(label)?.values() ?? [])], work)
    result.labels.push(one)
    const { newest } = one
    if (newest && newest.locations.length < options.sources.length - failures.length)
      warnings.push(
        `The newest backup of ${label} is in ${newest.locations.length} of ${options.sources.length} destinations only.`,
      )
  }
  return result
}

async function labelStatus(label: string, found: Backup[], work: Work): Promise<LabelStatus> {
  const byAge = found.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const all = byAge.filter(({ at }) => at.some((one) => one.finished))
  const finished = all.filter(({ id }) => !isPreRestore(id))
  const proofs = await newestProofs(all, work)
  const known = finished.flatMap(({ id }) => proofs.get(id) ?? [])
  const notProven = known.filter((proof) => !proof.proven && !isOpen(proof))
  const one: LabelStatus = {
    label,
    backups: finished.length,
    bytes: all.reduce((sum, { at }) => sum + bytesOf(at), 0),
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
    limited: notProven.filter(({ stoppedBy }) => stoppedBy === undefined).map(saidBy),
    failed: notProven.filter(({ stoppedBy }) => stoppedBy !== undefined).map(saidBy),
    damaged: [],
    unfinished: byAge.flatMap(({ id, at }) =>
      at.filter((each) => !each.finished && each.bytes > 0).map((each) => begunAt(label, id, each)),
    ),
    preRestore: all
      .filter(({ id }) => isPreRestore(id))
      .flatMap(({ id, at }) => {
        const first = at.find((each) => each.finished)
        return first ? [begunAt(label, id, first)] : []
      }),
  }
  for (const backup of finished) {
    if (one.newest && one.proven) break
    const proof = proofs.get(backup.id)
    if (one.newest && !proof?.proven) continue
    const read = await manifestOf(label, backup, one.damaged, work)
    if (!read) continue
    one.newest ??= backupStatus(label, backup, read)
    if (proof?.proven && !one.proven) {
      const { level, at, timings } = proof
      const restore = timings.restore === undefined ? {} : { restore: timings.restore }
      one.proven = {
        ...backupStatus(label, backup, read),
        proof: { level, at, age: Date.now() - Date.parse(at), ...restore },
      }
    }
  }
  return one
}

/** In one destination; where they differ, in the one that has most. */
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

/** From the first destination where it can be read; if there is none, it is noted as damaged. */
async function manifestOf(
  label: string,
  { id, at }: Backup,
  damaged: LabelStatus['damaged'],
  work: Work,
): Promise<Manifest | undefined> {
  let why = 'it was removed meanwhile'
  for (const { storage } of at.filter(({ finished }) => finished)) {
    try {
      const stored = await text(
        await storage.read(`${folderOf(label, id)}manifest.json`, { signal: work.signal }),
      )
      const manifest = readManifest(stored, `of ${locationOf(storage, label, id)}`)
      if (manifest.id === id && manifest.label === label) return manifest
      why = 'it is the manifest of another backup'
    } catch (error) {
      work.signal.throwIfAborted()
      if (!(error instanceof ObjectMissing)) why = messageOf(error)
    }
  }
  damaged.push({ id, why })
  return undefined
}

function begunAt(
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

function saidBy({ backup, level, at }: Proof): { id: string; level: Level; at: string } {
  return { id: backup, level, at }
}
