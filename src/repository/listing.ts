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
export interface StoredBackup {
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
export async function listStored(
  storage: Storage,
  only: string | undefined,
  work: Work,
): Promise<Map<string, Map<string, StoredBackup>>> {
  const found = new Map<string, Map<string, StoredBackup>>()
  for await (const { key, bytes } of storage.list(only === undefined ? '' : `${labelKey(only)}/`, {
    signal: work.signal,
  })) {
    const [, place = '', id = '', name = ''] = /^([^/]+)\/([^/]+)\/(.+)$/.exec(key) ?? []
    if (!isId(id)) continue
    const label = labelOf(place)
    const backups = found.get(label) ?? new Map<string, StoredBackup>()
    const stored = backups.get(id) ?? {
      storage,
      folder: `${place}/${id}/`,
      finished: false,
      bytes: 0,
      proofs: [],
    }
    if (name.startsWith('proofs/')) stored.proofs.push(key)
    else stored.bytes += bytes
    if (name === 'manifest.json') stored.finished = true
    found.set(label, backups.set(id, stored))
  }
  for (const stored of [...found.values()].flatMap((backups) => [...backups.values()]))
    stored.proofs.sort()
  return found
}

/**
 * Ids of the finished backups of a label in one destination that `latest` and its like choose from,
 * oldest first.
 */
export async function listBackups(storage: Storage, label: string, work: Work): Promise<string[]> {
  return selectableIds(
    (await listStored(storage, label, work)).get(label) ?? new Map<string, StoredBackup>(),
  )
}

/** Those that are finished and that a choice is made from, oldest first. */
export function selectableIds(
  found: ReadonlyMap<string, Pick<StoredBackup, 'finished'>>,
): string[] {
  return [...found]
    .filter(([id, { finished }]) => finished && idPattern.test(id))
    .map(([id]) => id)
    .sort()
}

/** All that the destinations have of one label. */
export interface BackupIndex {
  label: string
  sources: readonly Storage[]
  /** Those that `latest` and its like choose from, oldest first. */
  ids: string[]
  /** Finished ones by id, in the order of the sources. */
  stored: Map<string, StoredBackup[]>
  /** Why sources could not be read. */
  failures: unknown[]
}

/**
 * Looks into all sources, for the one label that they have unless one is named. A source that
 * cannot be read is among the failures.
 */
export async function openBackupIndex(
  sources: readonly Storage[],
  label: string | undefined,
  work: Work,
): Promise<BackupIndex> {
  const index: BackupIndex = {
    label: label ?? (await onlyLabel(sources, work)),
    sources,
    ids: [],
    stored: new Map(),
    failures: [],
  }
  for (const storage of sources) {
    try {
      for (const [id, stored] of (await listStored(storage, index.label, work)).get(index.label) ??
        [])
        if (stored.finished) index.stored.set(id, [...(index.stored.get(id) ?? []), stored])
    } catch (error) {
      work.signal.throwIfAborted()
      index.failures.push(error)
    }
  }
  index.ids = [...index.stored.keys()].filter((id) => idPattern.test(id)).sort()
  return index
}

/**
 * Why nothing in the index is what was asked for, or of what there is: the failure of a source that
 * might have it, or a UserError `unknown-backup` (`what` is missing) or `no-backup` (there is
 * nothing).
 */
export async function backupNotFound(
  index: BackupIndex,
  what: string,
  work: Work,
): Promise<unknown> {
  if (index.failures.length) return index.failures[0]
  const where = index.sources.map(({ url }) => url).join(' and ')
  if (index.ids.length)
    return new UserError(
      'unknown-backup',
      `There is no backup ${what} of "${index.label}" in ${where}.`,
      `"latest" is ${index.ids.at(-1)}. The newest there are: ${(isPreRestore(what) ? [...index.stored.keys()].sort() : index.ids).toReversed().slice(0, 10).join(', ')}.`,
    )
  const labels = await labelsIn(index.sources, work)
  return new UserError(
    'no-backup',
    `No backup of "${index.label}" was found in ${where}.`,
    labels.length
      ? `Labels there: ${labels.join(', ')}. Set label to one of them.`
      : 'Nothing is stored there yet: run the backup action first, with the same storage and label.',
  )
}

/**
 * Reads the manifest of a backup that is in the index, from the first source that has it. Throws
 * readManifest's UserErrors, and `unknown-backup` if it was removed meanwhile.
 */
export async function openBackup(
  { label, stored }: BackupIndex,
  id: string,
  work: Work,
): Promise<FoundBackup> {
  const [at] = stored.get(id) ?? []
  if (!at) throw new Error(`${id} is not in the index`)
  const location = locationOf(at.storage, label, id)
  const manifest = await fetchManifest(at.storage, at.folder, location, work)
  if (manifest.id !== id || manifest.label !== label)
    throw new UserError(
      'manifest-damaged',
      `The manifest in ${location} is that of another backup (${manifest.label}, ${manifest.id}).`,
      'Somebody copied it there. Read the backup from another destination, or take another backup.',
    )
  return { storage: at.storage, manifest, folder: at.folder, location }
}

async function fetchManifest(
  storage: Storage,
  folder: string,
  location: string,
  work: Work,
): Promise<Manifest> {
  try {
    return readManifest(
      await text(await storage.read(`${folder}manifest.json`, { signal: work.signal })),
      `of ${location}`,
    )
  } catch (error) {
    if (error instanceof ObjectMissing)
      throw new UserError(
        'unknown-backup',
        `The backup ${location} was removed while it was being looked up.`,
        'Run this again: "latest" will find what is there now.',
        { cause: error },
      )
    throw error
  }
}

async function onlyLabel(sources: readonly Storage[], work: Work): Promise<string> {
  const labels = await labelsIn(sources, work)
  if (labels.length === 1) return labels[0] as string
  const where = sources.map(({ url }) => url).join(' and ')
  if (labels.length === 0)
    throw new UserError(
      'no-backup',
      `No backup was found in ${where}.`,
      'Nothing is stored there yet: run the backup action first, with the same storage.',
    )
  throw new UserError(
    'label-needed',
    `${where} holds backups of several databases: ${labels.join(', ')}.`,
    'Set label to the one that is meant.',
  )
}

async function labelsIn(sources: readonly Storage[], work: Work): Promise<string[]> {
  const labels = new Set<string>()
  const failures: unknown[] = []
  for (const storage of sources) {
    try {
      for await (const { key } of storage.list('', { signal: work.signal }))
        if (/^(=[0-9A-F]{2}|[A-Za-z0-9._-])+\/[^/]+\/manifest\.json$/.test(key))
          labels.add(labelOf(key.slice(0, key.indexOf('/'))))
    } catch (error) {
      work.signal.throwIfAborted()
      failures.push(error)
    }
  }
  if (labels.size === 0 && failures.length) throw failures[0]
  return [...labels].sort()
}
