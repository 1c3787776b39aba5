import { randomInt } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { messageOf, UserError } from '../errors.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { type Manifest, readManifest } from './manifest.ts'

/** Where things are: `<label>/<id>/manifest.json` and the objects beside it, below the destination's own prefix. */

const idPattern = /^\d{8}T\d{6}Z-[0-9a-z]+$/
/** Of what a restore replaced. It must be named: nothing that chooses among backups takes it for one of them. */
const preRestorePattern = /^\d{8}T\d{6}Z-[0-9a-z]+-pre-restore$/

/** A new id: UTC to the second, then milliseconds and chance in base 36, and its kind where it is no ordinary one. Ids sort by time. */
export function newId(now: Date, kind?: 'pre-restore'): string {
  const second = now.toISOString().replace(/[-:]/g, '').replace(/\.\d+Z$/, 'Z')
  return `${second}-${now.getUTCMilliseconds().toString(36).padStart(2, '0')}${randomInt(36 ** 4).toString(36).padStart(4, '0')}${kind ? `-${kind}` : ''}`
}

/** Whether an id is that of a backup of what a restore replaced. */
export function isPreRestore(id: string): boolean {
  return preRestorePattern.test(id)
}

/** A label as one segment of a key: what a key cannot hold is written `=XX`, byte by byte. */
export function labelKey(label: string): string {
  const encode = (bytes: Buffer): string => [...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  const key = label.replace(/[^A-Za-z0-9._-]/gu, (character) => encode(Buffer.from(character)))
  return /^\.\.?$/.test(key) ? key.replaceAll('.', '=2E') : key
}

/** The label that `labelKey` made a key of. */
export function labelOf(key: string): string {
  const bytes = [...key.matchAll(/=([0-9A-F]{2})|(.)/g)].map(([, hex, plain]) => (hex === undefined ? (plain ?? '').charCodeAt(0) : Number.parseInt(hex, 16)))
  return Buffer.from(bytes).toString('utf8')
}

export function folderOf(label: string, id: string): string {
  return `${labelKey(label)}/${id}/`
}

/** A backup that was found, its manifest read and checked. */
export interface FoundBackup {
  storage: Storage
  manifest: Manifest
  folder: string
  /** For messages: the destination and the backup's folder in it. */
  location: string
}

/** Ids of the finished backups of a label in one destination, oldest first; `all`: also of those made before a restore. */
export async function listBackups(storage: Storage, label: string, work: Work, all = false): Promise<string[]> {
  const ids: string[] = []
  const prefix = `${labelKey(label)}/`
  for await (const { key } of storage.list(prefix, { signal: work.signal })) {
    const [id = '', ...rest] = key.slice(prefix.length).split('/')
    if (rest.join('/') === 'manifest.json' && (idPattern.test(id) || (all && isPreRestore(id)))) ids.push(id)
  }
  return ids.sort()
}

/**
 * Finds a backup by `latest` or an id. Looks into all sources, and reads from the first that has it; a source that cannot be
 * read is warned of if another has the backup. Throws UserErrors: `no-backup`, `unknown-backup`, `bad-backup-id`, and readManifest's.
 */
export async function findBackup(sources: readonly Storage[], label: string | undefined, which: string, work: Work): Promise<FoundBackup> {
  if (which !== 'latest' && !idPattern.test(which) && !isPreRestore(which))
    throw new UserError('bad-backup-id', `backup is "${which.slice(0, 80)}", which is neither "latest" nor the id of a backup.`, 'An id looks like 20261121T031500Z-ab12cd; the backup action gives it as its output backup-id.')
  const found: { storage: Storage; ids: string[] }[] = []
  const failures: unknown[] = []
  const wanted = label ?? (await onlyLabel(sources, work))
  for (const storage of sources) {
    try {
      found.push({ storage, ids: await listBackups(storage, wanted, work, isPreRestore(which)) })
    } catch (error) {
      work.signal.throwIfAborted()
      failures.push(error)
    }
  }
  const id = which === 'latest' ? found.flatMap(({ ids }) => ids).sort().at(-1) : which
  const at = found.find(({ ids }) => id !== undefined && ids.includes(id))
  if (!at || id === undefined) {
    if (failures.length) throw failures[0]
    const where = sources.map(({ url }) => url).join(' and ')
    const all = found.flatMap(({ ids }) => ids)
    if (all.length) throw new UserError('unknown-backup', `There is no backup ${which} of "${wanted}" in ${where}.`, `"latest" is ${all.filter((one) => !isPreRestore(one)).sort().at(-1) ?? 'none'}. The newest there are: ${[...new Set(all)].sort().reverse().slice(0, 10).join(', ')}.`)
    const labels = await labelsIn(sources, work)
    throw new UserError('no-backup', `No backup of "${wanted}" was found in ${where}.`, labels.length ? `Labels there: ${labels.join(', ')}. Set label to one of them.` : 'Nothing is stored there yet: run the backup action first, with the same storage and label.')
  }
  for (const failure of failures) work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
  const folder = folderOf(wanted, id)
  const location = locationOf(at.storage, wanted, id)
  const manifest = await fetchManifest(at.storage, folder, location, work)
  if (manifest.id !== id || manifest.label !== wanted)
    throw new UserError('manifest-damaged', `The manifest in ${location} is that of another backup (${manifest.label}, ${manifest.id}).`, 'Somebody copied it there. Read the backup from another destination, or take another backup.')
  return { storage: at.storage, manifest, folder, location }
}

export function locationOf(storage: Storage, label: string, id: string): string {
  const [base = '', query] = storage.url.split('?')
  return `${base.replace(/\/$/, '')}/${labelKey(label)}/${id}${query ? `?${query}` : ''}`
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
