/**
 * Reads and writes what a destination stores: backups with their manifests, objects and proofs.
 * Lists them, opens them, and removes those that retention does not keep.
 */
import { text as readText } from 'node:stream/consumers'
import { UserError } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import { either, input, type Text, text } from '../text.ts'
import type { Work } from '../work.ts'
import { idPattern, isId, isPreRestore, labelKey, labelOf, locationOf } from './ids.ts'
import { type Manifest, readManifest } from './manifest.ts'

/** A backup whose manifest was read and checked. */
export interface FoundBackup {
  storage: Storage
  manifest: Manifest
  folder: string
  /** For messages: the destination and the backup's folder in it. */
  location: string
}

/** What one destination holds of one backup. */
export interface StoredBackup {
  storage: Storage
  folder: string
  /** Whether it has a manifest. */
  finished: boolean
  /** Of all objects except proofs. */
  bytes: number
  /** Keys, oldest first. */
  proofs: string[]
}

/**
 * Lists what one destination holds, by label and id.
 *
 * @param only lists this label alone
 */
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

/** Returns the ids of a label in one destination that `latest` can select, oldest first. */
export async function listBackups(storage: Storage, label: string, work: Work): Promise<string[]> {
  return selectableIds(
    (await listStored(storage, label, work)).get(label) ?? new Map<string, StoredBackup>(),
  )
}

/** The ids that `latest` can select, oldest first: finished, and not taken before a restore. */
export function selectableIds(
  found: ReadonlyMap<string, Pick<StoredBackup, 'finished'>>,
): string[] {
  return [...found]
    .filter(([id, { finished }]) => finished && idPattern.test(id))
    .map(([id]) => id)
    .sort()
}

/** All backups of one label in several destinations. */
export interface BackupIndex {
  label: string
  sources: readonly Storage[]
  /** The ids that `latest` can select, oldest first. */
  ids: string[]
  /** Finished backups by id, each in the order of the sources. */
  stored: Map<string, StoredBackup[]>
  /** Why sources could not be read. */
  failures: unknown[]
}

/**
 * Lists the backups of a label in all sources. A source that cannot be read is added to `failures`.
 * Without a label, the sources must hold exactly one: throws `label-needed` or `no-backup`.
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
 * Returns why the index does not have a backup: the failure of a source that might have it, or a
 * UserError `unknown-backup` or `no-backup`.
 *
 * @param what what was looked for, as the rest of a sentence that starts with "There is no backup"
 */
export async function backupNotFound(
  index: BackupIndex,
  what: string,
  work: Work,
): Promise<unknown> {
  if (index.failures.length) return index.failures[0]
  const where = index.sources.map(({ url }) => url).join(' and ')
  const ids = isPreRestore(what) ? [...index.stored.keys()].sort() : index.ids
  const newest = ids.toReversed().slice(0, 10)
  if (index.ids.length)
    return new UserError(
      'unknown-backup',
      `There is no backup ${what} of "${index.label}" in ${where}.`,
      `"latest" is ${index.ids.at(-1)}. The newest are: ${newest.join(', ')}.`,
    )
  return new UserError(
    'no-backup',
    `No backup of "${index.label}" was found in ${where}.`,
    await whatThereIs(index.sources, work),
  )
}

/** Returns the labels of the sources, as a hint; without any, what to do first. */
export async function whatThereIs(sources: readonly Storage[], work: Work): Promise<Text> {
  const labels = await labelsIn(sources, work)
  return labels.length > 0
    ? text`The storage has these labels: ${labels.join(', ')}. Set ${input('label')} to one of them.`
    : nothingStored(sources)
}

/**
 * Reads the manifest of a backup in the index, from the first source that has it. Throws
 * `manifest-damaged` and `newer-format`, and `unknown-backup` if it has been removed since.
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
      `The manifest in ${location} belongs to another backup (${manifest.label}, ${manifest.id}).`,
      'It was copied there. Read the backup from another destination, or take a new backup.',
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
      await readText(await storage.read(`${folder}manifest.json`, { signal: work.signal })),
      `of ${location}`,
    )
  } catch (error) {
    if (error instanceof ObjectMissing)
      throw new UserError(
        'unknown-backup',
        `The backup ${location} was removed while it was being opened.`,
        'Run this again: "latest" selects the newest backup that is there then.',
        { cause: error },
      )
    throw error
  }
}

async function nothingStored(sources: readonly Storage[]): Promise<Text> {
  const first = text`${either('run the backup action first', 'run the command backup first')}, with
    the same ${input('storage')}.`
  for (const source of sources) {
    const folder = await source.missingFolder?.()
    if (folder !== undefined)
      return text`The folder ${folder} does not exist: check the spelling. If nothing is stored yet,
        ${first}`
  }
  return text`Nothing is stored there yet: ${first}`
}

/** Returns the one label that the sources hold. Throws `no-backup` or `label-needed`. */
async function onlyLabel(sources: readonly Storage[], work: Work): Promise<string> {
  const labels = await labelsIn(sources, work)
  if (labels.length === 1) return labels[0] as string
  const where = sources.map(({ url }) => url).join(' and ')
  if (labels.length === 0)
    throw new UserError(
      'no-backup',
      `No backup was found in ${where}.`,
      await nothingStored(sources),
    )
  throw new UserError(
    'label-needed',
    `${where} holds backups of several databases: ${labels.join(', ')}.`,
    text`Set ${input('label')} to the one that you mean.`,
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
