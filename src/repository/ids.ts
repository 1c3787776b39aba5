import { randomInt } from 'node:crypto'
import type { Storage } from '../storage/storage.ts'

/** An ordinary id. A backup is in `<label>/<id>/` below the destination's prefix. */
export const idPattern = /^\d{8}T\d{6}Z-[0-9a-z]+$/

/** Whether a text is the id of a backup: an ordinary one, or one taken before a restore. */
export function isId(text: string): boolean {
  return idPattern.test(text.replace(/-pre-restore$/, ''))
}

/** Whether an id belongs to a backup taken before a restore. `latest` never selects one. */
export function isPreRestore(id: string): boolean {
  return id.endsWith('-pre-restore')
}

/** Returns when a backup started, from its id, in ISO 8601. */
export function timeOf(id: string): string {
  return id.replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z.*$/, '$1-$2-$3T$4:$5:$6Z')
}

/**
 * Returns a new id: UTC to the second, then milliseconds and random digits in base 36, then the kind
 * unless it is ordinary. Ids sort by time.
 */
export function newId(now: Date, kind?: 'pre-restore'): string {
  const second = now
    .toISOString()
    .replace(/[-:]/g, '')
    .replace(/\.\d+Z$/, 'Z')
  return `${second}-${now.getUTCMilliseconds().toString(36).padStart(2, '0')}${randomInt(36 ** 4)
    .toString(36)
    .padStart(4, '0')}${kind ? `-${kind}` : ''}`
}

/** Encodes a label as one segment of a key: each byte that a key cannot hold becomes `=XX`. */
export function labelKey(label: string): string {
  const encode = (bytes: Buffer): string =>
    [...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  const key = label.replace(/[^A-Za-z0-9._-]/gu, (character) => encode(Buffer.from(character)))
  return /^\.\.?$/.test(key) ? key.replaceAll('.', '=2E') : key
}

/** Decodes what `labelKey` encoded. */
export function labelOf(key: string): string {
  const bytes = [...key.matchAll(/=([0-9A-F]{2})|(.)/g)].map(([, hex, plain]) =>
    hex === undefined ? (plain ?? '').charCodeAt(0) : Number.parseInt(hex, 16),
  )
  return Buffer.from(bytes).toString('utf8')
}

/** The key prefix of a backup, with its slash. */
export function folderOf(label: string, id: string): string {
  return `${labelKey(label)}/${id}/`
}

/** The URL of a backup's folder, for messages. */
export function locationOf(storage: Storage, label: string, id: string): string {
  const [base = '', query] = storage.url.split('?')
  return `${base.replace(/\/$/, '')}/${labelKey(label)}/${id}${query ? `?${query}` : ''}`
}
