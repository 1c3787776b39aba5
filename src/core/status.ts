import { text } from 'node:stream/consumers'
import { messageOf } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { folderOf, isPreRestore, labelKey, labelOf, locationOf } from './catalog.ts'
import type { Level } from './level.ts'
import { type Manifest, readManifest, totalsOf } from './manifest.ts'
import { type Proof, readProof } from './proof.ts'

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
  /** Of all finished backups, in one destination each. */
  bytes: number
  /** The newest finished backup whose manifest can be read. */
  newest?: BackupStatus
  /** The newest backup whose newest proof says that it is good. */
  proven?: BackupStatus & { proof: ProofStatus }
  /** Ids that no proof speaks of, newest first. */
  unproven: string[]
  /** Those whose newest proof found nothing against them, as far as their fingerprint goes (`counts`, `none`). */
  limited: { id: string; level: Level; at: string }[]
  /** Those whose newest proof says that they are not good. */
  failed: { id: string; level: Level; at: string }[]
  /** Finished by their name, but their manifest cannot be read: found on the way to the newest ones. */
  damaged: { id: string; why: string }[]
  /** Objects without a manifest: a backup that runs now, or what one left that was killed. */
  unfinished: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
  /** Finished, made of what a restore replaced, newest first: none of the others counts them. */
  preRestore: { id: string; startedAt: string; age: number; bytes: number; location: string }[]
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
  restore: number
}

/** One backup's traces in the destinations that have some. */
interface Traces {
  id: string
  at: { storage: Storage; finished: boolean; bytes: number; proofs: string[] }[]
}

/** How many proofs are read side by side. */
const readers = 8

/**
 * What backups there are, how old, and how far proven: by one listing of each destination, the manifests of the newest, and each
 * backup's newest proof. A destination that cannot be read is a warning if another can; if none can, the first failure is thrown.
 */
export async function status(options: StatusOptions, work: Work): Promise<StatusResult> {
  const warnings: string[] = []
  const labels = new Map<string, Map<string, Traces>>()
  const failures: unknown[] = []
  for (const storage of options.sources) {
    try {
      for (const [label, found] of await tracesIn(storage, options.label, work)) {
        const backups = labels.get(label) ?? new Map<string, Traces>()
        for (const [id, at] of found) backups.set(id, { id, at: [...(backups.get(id)?.at ?? []), at] })
        labels.set(label, backups)
      }
    } catch (error) {
      work.signal.throwIfAborted()
      failures.push(error)
      warnings.push(`${storage.url} could not be read: ${messageOf(error)}`)
    }
  }
  if (failures.length === options.sources.length && failures.length > 0) throw failures[0]
  const wanted = options.label === undefined ? [...labels.keys()].sort() : [options.label]
  const result: StatusResult = { sources: options.sources.map(({ url }) => url), labels: [], warnings }
  for (const label of wanted) {
    const one = await labelStatus(label, [...(labels.get(label)?.values() ?? [])], work)
    result.labels.push(one)
    const { newest } = one
    if (newest && newest.locations.length < options.sources.length - failures.length) warnings.push(`The newest backup of ${label} is in ${newest.locations.length} of ${options.sources.length} destinations only.`)
  }
  return result
}

async function tracesIn(storage: Storage, only: string | undefined, work: Work): Promise<Map<string, Map<string, Traces['at'][number]>>> {
  const found = new Map<string, Map<string, Traces['at'][number]>>()
  for await (const { key, bytes } of storage.list(only === undefined ? '' : `${labelKey(only)}/`, { signal: work.signal })) {
    const [, place = '', id = '', name = ''] = /^([^/]+)\/(\d{8}T\d{6}Z-[0-9a-z]+(?:-pre-restore)?)\/(.+)$/.exec(key) ?? []
    if (place === '') continue
    const label = labelOf(place)
    const backups = found.get(label) ?? new Map<string, Traces['at'][number]>()
    const traces = backups.get(id) ?? { storage, finished: false, bytes: 0, proofs: [] }
    if (name.startsWith('proofs/')) traces.proofs.push(key)
    else traces.bytes += bytes
    if (name === 'manifest.json') traces.finished = true
    found.set(label, backups.set(id, traces))
  }
  return found
}

async function labelStatus(label: string, all: Traces[], work: Work): Promise<LabelStatus> {
  const byAge = all.toSorted((a, b) => (a.id < b.id ? 1 : -1))
  const whole = byAge.filter(({ at }) => at.some((one) => one.finished))
  const finished = whole.filter(({ id }) => !isPreRestore(id))
  const proofs = await newestProofs(finished, work)
  const notProven = finished.flatMap(({ id }) => proofs.get(id) ?? []).filter(({ proven }) => !proven)
  const one: LabelStatus = {
    label,
    backups: finished.length,
    bytes: finished.reduce((sum, { at }) => sum + Math.max(...at.filter((each) => each.finished).map(({ bytes }) => bytes)), 0),
    unproven: finished.filter(({ id }) => !proofs.has(id)).map(({ id }) => id),
    limited: notProven.filter(({ stoppedBy }) => stoppedBy === undefined).map(verdictOf),
    failed: notProven.filter(({ stoppedBy }) => stoppedBy !== undefined).map(verdictOf),
    damaged: [],
    unfinished: byAge.flatMap(({ id, at }) => at.filter((each) => !each.finished && each.bytes > 0).map((each) => begunAt(label, id, each))),
    preRestore: whole.filter(({ id }) => isPreRestore(id)).flatMap(({ id, at }) => {
      const first = at.find((each) => each.finished)
      return first ? [begunAt(label, id, first)] : []
    }),
  }
  for (const traces of finished) {
    if (one.newest && one.proven) break
    const proof = proofs.get(traces.id)
    if (one.newest && !proof?.proven) continue
    const read = await manifestOf(label, traces, one.damaged, work)
    if (!read) continue
    one.newest ??= backupStatus(label, traces, read)
    // a proof of another manifest says nothing of this one
    if (proof?.proven && proof.manifest === read.sha256) {
      const { level, at, timings } = proof
      one.proven = { ...backupStatus(label, traces, read), proof: { level, at, age: Date.now() - Date.parse(at), restore: timings.restore } }
    }
  }
  return one
}

function backupStatus(label: string, { id, at }: Traces, manifest: Manifest): BackupStatus {
  const { bytes, rows, tables } = totalsOf(manifest)
  return {
    id,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    bytes,
    ...(manifest.fingerprint.kind === 'none' ? {} : { tables, rows }),
    server: manifest.source.server,
    encrypted: manifest.encryption !== 'none',
    locations: at.filter(({ finished }) => finished).map(({ storage }) => locationOf(storage, label, id)),
  }
}

/** From the first destination where it can be read; if there is none, it is noted as damaged. */
async function manifestOf(label: string, { id, at }: Traces, damaged: LabelStatus['damaged'], work: Work): Promise<Manifest | undefined> {
  let why = 'it was removed meanwhile'
  for (const { storage } of at.filter(({ finished }) => finished)) {
    try {
      const stored = await text(await storage.read(`${folderOf(label, id)}manifest.json`, { signal: work.signal }))
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

/** Each backup's newest proof, whichever destination has it; what cannot be read as a proof of it proves nothing. */
async function newestProofs(backups: readonly Traces[], work: Work): Promise<Map<string, Proof>> {
  const queue = backups.flatMap(({ id, at }) => at.flatMap(({ storage, proofs }) => {
    const key = proofs.toSorted().at(-1)
    return key === undefined ? [] : [{ id, storage, key }]
  }))
  const newest = new Map<string, Proof>()
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { id, storage, key } = next
      try {
        const proof = readProof(await text(await storage.read(key, { signal: work.signal })))
        if (proof?.backup === id && proof.at > (newest.get(id)?.at ?? '')) newest.set(id, proof)
      } catch (error) {
        work.signal.throwIfAborted()
        work.log.warning(`The proof ${key} in ${storage.url} could not be read: ${messageOf(error)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: readers }, worker))
  return newest
}

function begunAt(label: string, id: string, { storage, bytes }: Traces['at'][number]): LabelStatus['unfinished'][number] {
  const startedAt = timeOf(id)
  return { id, startedAt, age: Date.now() - Date.parse(startedAt), bytes, location: locationOf(storage, label, id) }
}

/** When a backup was begun, from its id. */
function timeOf(id: string): string {
  return id.replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z.*$/, '$1-$2-$3T$4:$5:$6Z')
}

function verdictOf({ backup, level, at }: Proof): { id: string; level: Level; at: string } {
  return { id: backup, level, at }
}
