import { randomInt } from 'node:crypto'
import type { Storage } from '../storage/storage.ts'

/**
 * Where things are: `<label>/<id>/manifest.json` and the objects beside it, below the destination's
 * own prefix.
 */

export const idPattern = /^\d{8}T\d{6}Z-[0-9a-z]+$/

/**
 * Whether a text is a backup's id: one of those, or one of a backup that a restore took of its
 * target before it began.
 */
export function isId(text: string): boolean {
  return idPattern.test(text.replace(/-pre-restore$/, ''))
}

/** Whether an id is one of a backup that a restore took: found by its id alone. */
export function isPreRestore(id: string): boolean {
  return id.endsWith('-pre-restore')
}

/** When a backup was begun, from its id. */
export function timeOf(id: string): string {
  return id.replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z.*$/, '$1-$2-$3T$4:$5:$6Z')
}

/**
 * A new id: UTC to the second, then milliseconds and chance in base 36, and its kind where it is no
 * ordinary one. Ids sort by time.
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

/** A label as one segment of a key: what a key cannot hold is written `=XX`, byte by byte. */
export function labelKey(label: string): string {
  const encode = (bytes: Buffer): string =>
    [...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  const key = label.replace(/[^A-Za-z0-9._-]/gu, (character) => encode(Buffer.from(character)))
  return /^\.\.?$/.test(key) ? key.replaceAll('.', '=2E') : key
}

/** The label that `labelKey` made a key of. */
export function labelOf(key: string): string {
  const bytes = [...key.matchAll(/=([0-9A-F]{2})|(.)/g)].map(([, hex, plain]) =>
    hex === undefined ? (plain ?? '').charCodeAt(0) : Number.parseInt(hex, 16),
  )
  return Buffer.from(bytes).toString('utf8')
}

export function folderOf(label: string, id: string): string {
  return `${labelKey(label)}/${id}/`
}

export function locationOf(storage: Storage, label: string, id: string): string {
  const [base = '', query] = storage.url.split('?')
  return `${base.replace(/\/$/, '')}/${labelKey(label)}/${id}${query ? `?${query}` : ''}`
}
