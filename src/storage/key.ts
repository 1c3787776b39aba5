import { checkKey } from './storage.ts'

export { checkKey }

/** Whether a name that was found in a store is one that we may have written. */
export function isKey(name: string): boolean {
  try {
    checkKey(name)
    return true
  } catch {
    return false
  }
}

/** Throws unless it is empty, or a key followed by `/`. */
export function checkPrefix(prefix: string): string {
  if (prefix !== '') {
    if (!prefix.endsWith('/')) throw new Error(`not a storage prefix: ${JSON.stringify(prefix)}`)
    checkKey(prefix.slice(0, -1))
  }
  return prefix
}
