import * as v from 'valibot'
import { levels } from './level.ts'

/** The record of a verification, stored beside the backup as `proofs/<time>.json`. Never changed; the newest counts. */
const proofSchema = v.object({
  format: v.literal(1),
  backup: v.string(),
  /** Ties the proof to this very manifest. */
  manifest: v.string(),
  at: v.pipe(v.string(), v.isoTimestamp()),
  proven: v.boolean(),
  level: v.picklist(levels),
  stoppedBy: v.exactOptional(v.string()),
  /** What the backup's fingerprint cannot show: with it, and without `stoppedBy`, nothing speaks against the backup. */
  limit: v.exactOptional(v.string()),
  differences: v.number(),
  scratch: v.object({ server: v.string(), own: v.boolean() }),
  /** Milliseconds. */
  timings: v.object({ restore: v.number(), compare: v.number(), total: v.number() }),
  run: v.exactOptional(v.string()),
})

export type Proof = v.InferOutput<typeof proofSchema>

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

/** The key of a proof below its backup's folder: the time, in the form that ids have, and chance. */
export function proofName(at: Date, chance: string): string {
  return `proofs/${at.toISOString().replace(/[-:.]/g, '')}-${chance}.json`
}
