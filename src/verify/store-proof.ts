import { randomBytes } from 'node:crypto'
import { messageOf } from '../errors.ts'
import { type Level, verdictOf } from '../repository/level.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { maxDifferences, type Proof, proofName, writeProof } from '../repository/proof.ts'
import { storeText } from '../repository/write.ts'
import { digestOf } from '../stream/digest.ts'
import { version } from '../version.ts'
import type { Work } from '../work.ts'
import type { VerifyResult } from './result.ts'
import { storable, whatFailed } from './user-checks.ts'

/** Stores the proof in the backup's folder. If it cannot, adds a warning to `result`. */
export async function storeProof(
  backup: FoundBackup,
  result: VerifyResult,
  runUrl: string | undefined,
  work: Work,
): Promise<void> {
  const at = new Date()
  const early = earlyLevel(result)
  const proof = writeProof(proofOf(backup, result, at, early, runUrl))
  const name = proofName(at, randomBytes(3).toString('hex'), early)
  try {
    await storeText(proof, backup.folder + name, [backup.storage], work)
    work.log.info(
      `Proof stored as ${backup.folder}${name} (sha256 ${digestOf(proof).sha256.slice(0, 12)}…)`,
    )
  } catch (error) {
    work.signal.throwIfAborted()
    result.warnings.push(
      `The proof could not be stored in the backup's folder: ${messageOf(error)} ` +
        'Retention does not know of it. Give this job write access there.',
    )
  }
}

/** The level at which a verification ended without a fault, but before a full proof. */
function earlyLevel(result: VerifyResult): Level | undefined {
  if (result.partial && result.stoppedBy === undefined) return result.level
  return verdictOf(result) === 'reached' ? result.asked : undefined
}

/** Proofs are not encrypted, so this leaves out row data and the output of commands. */
function proofOf(
  backup: FoundBackup,
  result: VerifyResult,
  at: Date,
  early: Level | undefined,
  runUrl: string | undefined,
): Proof {
  const { server, differences } = result
  const checks = storable(result.checks)
  // only a failed check can stop the verification of a proven backup
  const stoppedBy = result.proven ? whatFailed(checks) : result.stoppedBy
  return {
    format: 1,
    backup: result.id,
    manifest: backup.manifest.sha256,
    at: at.toISOString(),
    proven: result.proven,
    level: result.level,
    ...(result.asked === undefined ? {} : { asked: result.asked }),
    ...(stoppedBy === undefined ? {} : { stoppedBy }),
    ...(result.limit === undefined ? {} : { limit: result.limit }),
    ...(early === undefined ? {} : { partial: true }),
    differences: { count: differences.length, first: differences.slice(0, maxDifferences) },
    checks: checks.map(({ name, passed, outcome }) => ({ name, passed, outcome })),
    objectives: result.objectives.map(({ name, limit, found, met }) => ({
      name,
      limit,
      ...measured(found, met),
    })),
    ...(server.scratch === undefined
      ? {}
      : { scratch: { server: server.scratch, own: server.own ?? false } }),
    versions: {
      holdfast: version,
      ...(server.client === undefined ? {} : { client: server.client }),
    },
    timings: result.timings,
    ...(runUrl ? { run: runUrl } : {}),
  }
}

/** Both figures of an objective, or neither. */
function measured(found?: number, met?: boolean): { found?: number; met?: boolean } {
  return found === undefined || met === undefined ? {} : { found, met }
}
