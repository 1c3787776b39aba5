import * as v from 'valibot'
import { differenceKinds, type Level, levels } from './level.ts'

const level = v.picklist(levels)
const difference = v.object({
  kind: v.picklist(differenceKinds),
  object: v.string(),
  expected: v.string(),
  found: v.string(),
})

/**
 * The record of a verification, stored beside the backup below `proofs/`. Never changed; the newest
 * counts.
 */
const proofSchema = v.object({
  format: v.literal(1),
  backup: v.string(),
  /** Ties the proof to this very manifest. */
  manifest: v.string(),
  at: v.pipe(v.string(), v.isoTimestamp()),
  /** It restores, and is identical. */
  proven: v.boolean(),
  level,
  /** How far it was to go, where that was less than all. */
  asked: v.exactOptional(level),
  /** What kept it from the next level, when something speaks against the backup or its copy. */
  stoppedBy: v.exactOptional(v.string()),
  /**
   * What could not be looked at, and why: with it, and without `stoppedBy`, nothing speaks against
   * the backup.
   */
  limit: v.exactOptional(v.string()),
  /**
   * Its name has a level: it was asked to end early, or its scratch server could not show more, and
   * it found nothing.
   */
  partial: v.exactOptional(v.boolean()),
  /** How many there were, and the first of them. */
  differences: v.object({ count: v.number(), first: v.array(difference) }),
  /** The user's own, in their order. `outcome`: what it gave, when it did not pass. */
  checks: v.array(v.object({ name: v.string(), passed: v.boolean(), outcome: v.string() })),
  /** Those that were set. `met` is left out where it could not be measured. */
  objectives: v.array(
    v.object({
      name: v.string(),
      limit: v.number(),
      found: v.exactOptional(v.number()),
      met: v.exactOptional(v.boolean()),
    }),
  ),
  /** Left out where nothing was restored. */
  scratch: v.exactOptional(v.object({ server: v.string(), own: v.boolean() })),
  /** Versions of what read it: this project, and pg_restore where it was needed. */
  versions: v.object({ holdfast: v.string(), client: v.exactOptional(v.string()) }),
  /** Milliseconds; those of steps that were not come to are left out. */
  timings: v.object({
    restore: v.exactOptional(v.number()),
    compare: v.exactOptional(v.number()),
    checks: v.exactOptional(v.number()),
    total: v.number(),
  }),
  run: v.exactOptional(v.string()),
})

export type Proof = v.InferOutput<typeof proofSchema>

/** So many differences are in a proof; how many there were is in it, too. */
export const maxDifferences = 100

/** A stored proof; undefined if it cannot be read as one: then it proves nothing. */
export function readProof(text: string): Proof | undefined {
  try {
    const checked = v.safeParse(proofSchema, JSON.parse(text))
    return checked.success ? checked.output : undefined
  } catch {
    return undefined
  }
}

export function writeProof(proof: Proof): string {
  return `${JSON.stringify(proof, null, 1)}\n`
}

/**
 * The key of a proof below its backup's folder: the time, in the form that ids have, and chance.
 * One that was asked to end early and found nothing, or whose scratch server could not show more,
 * says so by its name: it speaks neither for the whole backup nor against it, and must not take the
 * place of one that does.
 */
export function proofName(at: Date, chance: string, partial?: Level): string {
  return `proofs/${at.toISOString().replace(/[-:.]/g, '')}-${chance}${partial === undefined ? '' : `-${partial}`}.json`
}

/** Whether a key is one of a proof that ended early and found nothing. */
export function isPartial(key: string): boolean {
  return /-(stored|readable|restored|counted)\.json$/.test(key)
}
