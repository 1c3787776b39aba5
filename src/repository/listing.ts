import { text } from 'node:stream/consumers'
import { UserError } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { idPattern, isId, isPreRestore, labelKey, labelOf, locationOf } from './ids.ts'
import { type Manifest, readManifest } from './manifest.ts'

/** A backup that was found, its manifest read and checked. */
export interface FoundBackup {
  storage: Storage
  manifest: Manifest
  folder: string
  /** For messages: the destination and the backup's folder in it. */
  location: string
}

/** What one destination has of one backup. */
export interface Traces {
  storage: Storage
  folder: string
  /** It has a manifest. */
  finished: boolean
  /** Of all objects but proofs. */
  bytes: number
  /** Keys, in the order of their time. */
  proofs: string[]
}

/** What one destination has, by label and id: one listing. */
export async function tracesIn(storage: Storage, only: string | undefined, work: Work): Promise<Map<string, Map<string, Traces>>> {
  const found = new Map<string, Map<string, Traces>>()
  for await (const { key, bytes } of storage.list(only === undefined ? '' : `${labelKey(only)}/`, { signal: work.signal })) {
    const [, place = '', id = '', name = ''] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(key) ?? []
    if (!isId(id)) continue
    const label = labelOf(place)
    const backups = found.get(label) ?? new Map<string, Traces>()
    const traces = backups.get(id) ?? { storage, folder: `${place}/${id}/`, finished: false, bytes: 0, proofs: [] }
    if (name.startsWith('proofs/')) traces.proofs.push(key)
    else traces.bytes += bytes
    if (name === 'manifest.json') traces.finished = true
    found.set(label, backups.set(id, traces))
  }
  for (const traces of [...found.values()].flatMap((backups) => [...backups.values()])) traces.proofs.sort()
  return found
}

/** Ids of the finished backups of a label in one destination that `latest` and its like choose from, oldest first. */
export async function listBackups(storage: Storage, label: string, work: Work): Promise<string[]> {
  return choosable((await tracesIn(storage, label, work)).get(label) ?? new Map<string, Traces>())
}

/** Those that are finished and that a choice is made from, oldest first. */
export function choosable(found: ReadonlyMap<string, Pick<Traces, 'finished'>>): string[] {
  return [...found].filter(([id, { finished }]) => finished && idPattern.test(id)).map(([id]) => id).sort()
}

/** All that the destinations have of one label. */
export interface Shelf {
  label: string
  sources: readonly Storage[]
  /** Those that `latest` and its like choose from, oldest first. */
  ids: string[]
  /** Finished ones by id, in the order of the sources. */
  traces: Map<string, Traces[]>
  /** Why sources could not be read. */
  failures: unknown[]
}

/** Looks into all sources, for the one label that they have unless one is named. A source that cannot be read is among the failures. */
export async function openShelf(sources: readonly Storage[], label: string | undefined, work: Work): Promise<Shelf> {
  const shelf: Shelf = { label: label ?? (await onlyLabel(sources, work)), sources, ids: [], traces: new Map(), failures: [] }
  for (const storage of sources) {
    try {
      for (const [id, traces] of (await tracesIn(storage, shelf.label, work)).get(shelf.label) ?? [])
        if (traces.finished) shelf.traces.set(id, [...(shelf.traces.get(id) ?? []), traces])
    } catch (error) {
      work.signal.throwIfAborted()
      shelf.failures.push(error)
    }
  }
  shelf.ids = [...shelf.traces.keys()].filter((id) => idPattern.test(id)).sort()
  return shelf
}

/**
 * Why nothing on the shelf is what was asked for, or of what there is: the failure of a source that might have it, or a UserError `unknown-backup`
 * (`what` is missing) or `no-backup` (there is nothing).
 */
export async function notThere(shelf: Shelf, what: string, work: Work): Promise<unknown> {
  if (shelf.failures.length) return shelf.failures[0]
  const where = shelf.sources.map(({ url }) => url).join(' and ')
  if (shelf.ids.length) return new UserError('unknown-backup', `There is no backup ${what} of "${shelf.label}" in ${where}.`, `"latest" is ${shelf.ids.at(-1)}. The newest there are: ${(isPreRestore(what) ? [...shelf.traces.keys()].sort() : shelf.ids).toReversed().slice(0, 10).join(', ')}.`)
  const labels = await labelsIn(shelf.sources, work)
  return new UserError('no-backup', `No backup of "${shelf.label}" was found in ${where}.`, labels.length ? `Labels there: ${labels.join(', ')}. Set label to one of them.` : 'Nothing is stored there yet: run the backup action first, with the same storage and label.')
}

/**
 * Reads the manifest of a backup that is on the shelf, from the first source that has it. Throws readManifest's UserErrors, and `unknown-backup` if
 * it was removed meanwhile.
 */
export async function openBackup({ label, traces }: Shelf, id: string, work: Work): Promise<FoundBackup> {
  const [at] = traces.get(id) ?? []
  if (!at) throw new Error(`${id} is not on the shelf`)
  const location = locationOf(at.storage, label, id)
  const manifest = await fetchManifest(at.storage, at.folder, location, work)
  if (manifest.id !== id || manifest.label !== label)
    throw new UserError('manifest-damaged', `The manifest in ${location} is that of another backup (${manifest.label}, ${manifest.id}).`, 'Somebody copied it there. Read the backup from another destination, or take another backup.')
  return { storage: at.storage, manifest, folder: at.folder, location }
}

async function fetchManifest(storage: Storage, folder: string, location: string, work: Work): Promise<Manifest> {
  try {
    return readManifest(await text(await storage.read(`${folder}manifest.json`, { signal: work.signal })), `of ${location}`)
  } catch (error) {
    if (error instanceof ObjectMissing) throw new UserError('unknown-backup', `The backup ${location} was removed while it was being looked up.`, 'Run this again: "latest" will find what is there now.', { cause: error })
    throw error
  }
}

async function onlyLabel(sources: readonly Storage[], work: Work): Promise<string> {
  const labels = await labelsIn(sources, work)
  if (labels.length === 1) return labels[0] as string
  const where = sources.map(({ url }) => url).join(' and ')
  if (labels.length === 0) throw new UserError('no-backup', `No backup was found in ${where}.`, 'Nothing is stored there yet: run the backup action first, with the same storage.')
  throw new UserError('label-needed', `${where} holds backups of several databases: ${labels.join(', ')}.`, 'Set label to the one that is meant.')
}

async function labelsIn(sources: readonly Storage[], work: Work): Promise<string[]> {
  const labels = new Set<string>()
  const failures: unknown[] = []
  for (const storage of sources) {
    try {
      for await (const { key } of storage.list('', { signal: work.signal }))
        if (/^(=[0-9A-F]{2}|[A-Za-z0-9._-])+\/[^/]+\/manifest\.json$/.test(key)) labels.add(labelOf(key.slice(0, key.indexOf('/'))))
    } catch (error) {
      work.signal.throwIfAborted()
      failures.push(error)
    }
  }
  if (labels.size === 0 && failures.length) throw failures[0]
  return [...labels].sort()
}
