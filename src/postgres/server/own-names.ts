import { randomBytes } from 'node:crypto'

/** What a run creates on a server and drops again: two kinds of databases, and a schema. */
export type OwnName = 'scratch' | 'side' | 'staging'

/** Returns a new name, such as `holdfast_side_0123456789ab`. */
export function newOwnName(kind: OwnName): string {
  return `holdfast_${kind}_${randomBytes(6).toString('hex')}`
}

/** Whether a run gave this name: only such a database or schema may be dropped in a clean-up. */
export function isOwnName(name: string, ...kinds: OwnName[]): boolean {
  return new RegExp(`^holdfast_(${kinds.join('|')})_[0-9a-f]{12}$`).test(name)
}
