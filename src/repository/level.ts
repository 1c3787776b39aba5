/**
 * How far a backup was proven, each level named for what was seen; each includes those before it.
 * `accepted`: checks of the user's own passed, too.
 */
export const levels = [
  'none',
  'stored',
  'readable',
  'restored',
  'counted',
  'identical',
  'accepted',
] as const
export type Level = (typeof levels)[number]

/** A level that a verification can be asked to reach. */
export type TargetLevel = Exclude<Level, 'none'>
export const targetLevels = levels.filter((level) => level !== 'none')

/** Whether a level is at least another one. */
export function reaches(level: Level, other: Level): boolean {
  return levels.indexOf(level) >= levels.indexOf(other)
}

export const differenceKinds = [
  'rows',
  'content',
  'schema',
  'sequence',
  'large-objects',
  'extension',
  'index',
  'matview',
] as const

/**
 * What one comparison saw. `expected` is the fingerprint's side, `found` the copy's; short texts,
 * never row data.
 */
export interface Difference {
  kind: (typeof differenceKinds)[number]
  /**
   * The thing's name as a person would write it, for example `public.orders` or `TABLE
   * public.orders`.
   */
  object: string
  expected: string
  found: string
}

/**
 * What a verification says in one word: `proven`; `reached`, as far as was asked; `limited`,
 * nothing speaks against it, and its fingerprint or the scratch server shows no more; `short`, the
 * same, and more was asked for; `check-failed`, it is good, and a check of the user's did not pass;
 * `bad`.
 */
export type Verdict = 'proven' | 'reached' | 'limited' | 'short' | 'check-failed' | 'bad'

/** What a verdict rests on. */
export interface Seen {
  level: Level
  asked?: Level
  proven: boolean
  stoppedBy?: string
  checks: readonly { passed: boolean }[]
}

export function verdictOf(seen: Seen): Verdict {
  if (seen.stoppedBy !== undefined && !seen.proven) return 'bad'
  if (seen.checks.some(({ passed }) => !passed)) return 'check-failed'
  if (seen.asked !== undefined)
    return reaches(seen.level, seen.asked) ? (seen.proven ? 'proven' : 'reached') : 'short'
  return seen.proven ? 'proven' : 'limited'
}

/** Whether nothing speaks against it, and it came as far as was asked. */
export function isPassing(verdict: Verdict): boolean {
  return verdict === 'proven' || verdict === 'reached' || verdict === 'limited'
}
