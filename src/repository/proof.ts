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
 * The record of a verification, stored in the backup's folder under `proofs/`. It is never changed;
 * the newest one counts.
 */
const proofSchema = v.object({
  format: v.literal(1),
  backup: v.string(),
  /** The digest of the manifest that was verified. */
  manifest: v.string(),
  at: v.pipe(v.string(), v.isoTimestamp()),
  /** The backup restores, and the copy is identical. */
  proven: v.boolean(),
  level,
  /** The requested level; absent if all levels were requested. */
  asked: v.exactOptional(level),
  /** The fault of the backup or of its copy that ended the verification. */
  stoppedBy: v.exactOptional(v.string()),
  /** What could not be checked, and why. Without `stoppedBy`, no fault was found. */
  limit: v.exactOptional(v.string()),
  /**
   * No fault was found, but the verification ended early, as requested or because of its scratch
   * server. The proof's name has the level.
   */
  partial: v.exactOptional(v.boolean()),
  /** Their number, and the first of them. */
  differences: v.object({ count: v.number(), first: v.array(difference) }),
  /** The user's own checks, in their order. */
  checks: v.array(v.object({ name: v.string(), passed: v.boolean(), outcome: v.string() })),
  /** Those that were set. Without `met`, the objective could not be measured. */
  objectives: v.array(
    v.object({
      name: v.string(),
      limit: v.number(),
      found: v.exactOptional(v.number()),
      met: v.exactOptional(v.boolean()),
    }),
  ),
  /** Absent if nothing was restored. */
  scratch: v.exactOptional(v.object({ server: v.string(), own: v.boolean() })),
  /** Versions of Holdfast, and of pg_restore if it was used. */
  versions: v.object({ holdfast: v.string(), client: v.exactOptional(v.string()) }),
  /** Milliseconds, of the steps that ran. */
  timings: v.object({
    restore: v.exactOptional(v.number()),
    compare: v.exactOptional(v.number()),
    checks: v.exactOptional(v.number()),
    total: v.number(),
  }),
  run: v.exactOptional(v.string()),
})

export type Proof = v.InferOutput<typeof proofSchema>

/** The most differences that a proof lists. */
export const maxDifferences = 100

/** Parses a proof; returns undefined if it is not one. */
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
 * The key of a proof below its backup's folder: the time, in the form of ids, and random digits. The
 * name of a partial proof ends with its level, so that it does not replace a full one.
 */
export function proofName(at: Date, random: string, partial?: Level): string {
  return `proofs/${at.toISOString().replace(/[-:.]/g, '')}-${random}${partial === undefined ? '' : `-${partial}`}.json`
}

/** Whether a key is that of a partial proof. */
export function isPartial(key: string): boolean {
  return /-(stored|readable|restored|counted)\.json$/.test(key)
}
