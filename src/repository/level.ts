/**
 * How far a backup was proven. Each level includes those before it. `accepted`: the user's own
 * checks passed, too.
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

/** Whether a level is at least as high as another one. */
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

/** A difference between a fingerprint and a copy. `expected` and `found` never have row data. */
export interface Difference {
  kind: (typeof differenceKinds)[number]
  /** Its readable name, for example `public.orders` or `TABLE public.orders`. */
  object: string
  expected: string
  found: string
}

/**
 * The result of a verification in one word:
 * - `proven`: the copy is identical to the database
 * - `reached`: no fault found up to the requested level
 * - `limited`: no fault found, but the fingerprint or the scratch server cannot show more
 * - `short`: as `limited`, and a higher level was requested
 * - `check-failed`: the backup has no fault, but one of the user's checks failed
 * - `bad`: a fault was found
 */
export type Verdict = 'proven' | 'reached' | 'limited' | 'short' | 'check-failed' | 'bad'

/** What a verdict is based on. */
export interface VerdictFacts {
  level: Level
  asked?: Level
  proven: boolean
  stoppedBy?: string
  checks: readonly { passed: boolean }[]
}

export function verdictOf({ level, asked, proven, stoppedBy, checks }: VerdictFacts): Verdict {
  if (stoppedBy !== undefined && !proven) return 'bad'
  if (checks.some(({ passed }) => !passed)) return 'check-failed'
  if (asked !== undefined && !reaches(level, asked)) return 'short'
  if (proven) return 'proven'
  return asked === undefined ? 'limited' : 'reached'
}

/** Whether no fault was found, and the requested level was reached. */
export function isPassing(verdict: Verdict): verdict is 'proven' | 'reached' | 'limited' {
  return verdict === 'proven' || verdict === 'reached' || verdict === 'limited'
}
