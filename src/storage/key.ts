/**
 * Returns the key. Throws unless it is one that every store can hold and that cannot leave the
 * destination.
 */
export function checkKey(key: string): string {
  if (isKey(key)) return key
  throw new Error(`not a storage key: ${JSON.stringify(key)}`)
}

/** Returns whether a name found in a store is one that Holdfast may have written. */
export function isKey(name: string): boolean {
  return name
    .split('/')
    .every((segment) => /^[A-Za-z0-9._=-]+$/.test(segment) && segment !== '.' && segment !== '..')
}

/** Returns the prefix. Throws unless it is empty, or a key followed by `/`. */
export function checkPrefix(prefix: string): string {
  if (prefix !== '') {
    if (!prefix.endsWith('/')) throw new Error(`not a storage prefix: ${JSON.stringify(prefix)}`)
    checkKey(prefix.slice(0, -1))
  }
  return prefix
}
