/** Proves a backup, level by level, and stores the proof. */
import { messageOf } from '../errors.ts'
import { loadBackup } from '../load/load-backup.ts'
import { jobsOf } from '../load/options.ts'
import { openScratch, type Scratch } from '../load/scratch.ts'
import { findPrograms } from '../postgres/programs/find-programs.ts'
import { type Level, reaches } from '../repository/level.ts'
import { type BackupIndex, type FoundBackup, openBackupIndex } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'
import { checkKeys } from '../repository/find-readable.ts'
import { findInIndex } from '../repository/find-backup.ts'
import { checkIdentities } from '../stream/encrypt.ts'
import type { Work } from '../work.ts'
import {
  checkContents,
  checkReadable,
  checkRecoveryGuide,
  checkStored,
  isFault,
  levelBelow,
  type ReadOptions,
} from './archive-checks.ts'
import { compareCopy } from './compare-copy.ts'
import { judgeAge, judgeRestoreTime, judgeSize } from './objectives.ts'
import type { ProveOptions, VerifyOptions, VerifyResult } from './result.ts'
import { storeProof } from './store-proof.ts'
import { type CheckResult, runChecks, whatFailed } from './user-checks.ts'

/**
 * Proves one backup: fetches every object, decrypts it, restores it into an empty scratch database,
 * compares that with the fingerprint, and runs the user's checks; or as much of that as `level`
 * asks for. Always stores the proof in the backup's folder.
 *
 * Returns a result also if the backup is bad, a check fails or an objective is not met. Throws a
 * UserError if the verification itself is not possible.
 */
export async function verify(options: VerifyOptions, work: Work): Promise<VerifyResult> {
  checkIdentities(options.identities, 'decrypt-with')
  const index = await openBackupIndex(options.sources, options.label, work)
  const backup = await findInIndex(index, options.backup, work)
  for (const failure of index.failures)
    work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
  return proveBackup(backup, index, options, work)
}

/** The same for a backup that is already open. */
export async function proveBackup(
  backup: FoundBackup,
  index: BackupIndex,
  options: ProveOptions,
  work: Work,
): Promise<VerifyResult> {
  const started = Date.now()
  const { manifest } = backup
  const { level: asked, objectives = {} } = options
  work.log.info(
    `Verifying ${backup.location} (PostgreSQL ${manifest.source.server}, snapshot of ${manifest.snapshot.at})`,
  )
  if (asked !== 'stored') await checkKeys(backup, options.identities)
  const { server, allowed, timings, ...outcome } = await prove(backup, options, work)
  const proven = reaches(outcome.level, 'identical')
  const size = await judgeSize(index, manifest, objectives, work)
  const result: VerifyResult = {
    id: manifest.id,
    label: manifest.label,
    location: backup.location,
    proven,
    ...(asked === undefined ? {} : { asked }),
    ...outcome,
    objectives: [
      ...(await judgeAge(index, objectives, work)),
      ...judgeRestoreTime(manifest, timings.restore, objectives),
      ...size.results,
    ],
    fallen: size.fallen,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    server: { backup: manifest.source.server, ...server },
    ...totalsOf(manifest),
    timings: { ...timings, total: Date.now() - started },
    allowed,
    warnings: [],
  }
  await storeProof(backup, result, options.runUrl, work)
  return result
}

interface Outcome extends Pick<
  VerifyResult,
  'level' | 'stoppedBy' | 'limit' | 'partial' | 'differences' | 'checks' | 'allowed'
> {
  server: Omit<VerifyResult['server'], 'backup'>
  timings: Omit<VerifyResult['timings'], 'total'>
}

/**
 * Goes through the levels as far as requested, reading the store as little as possible: does not
 * check separately what a restore and a comparison show.
 */
async function prove(backup: FoundBackup, options: ProveOptions, work: Work): Promise<Outcome> {
  const { manifest } = backup
  const { level: asked = 'accepted', identities } = options
  const jobs = jobsOf(options)
  const nothing = { differences: [], checks: [], allowed: [], timings: {}, server: {} }
  if (asked === 'stored')
    return { ...nothing, ...(await runLevels([['stored', () => checkStored(backup, jobs, work)]])) }
  if (asked === 'readable') {
    const programs = await findPrograms(
      manifest.source.major,
      ['pg_restore'],
      options.bindirs,
      work,
    )
    const reading = { identities, programs, jobs }
    const steps = [
      ['stored', () => checkStored(backup, jobs, work)],
      ['readable', () => checkReadable(backup, reading, work)],
    ] as const
    return { ...nothing, ...(await runLevels(steps)), server: { client: programs.version } }
  }
  const scratch = await openScratch(backup, options, work)
  try {
    const outcome = await proveCopy(backup, scratch, options, work)
    return {
      ...outcome,
      server: {
        scratch: scratch.server.version,
        own: scratch.server.own,
        client: scratch.programs.archive.version,
      },
    }
  } finally {
    await scratch.close()
  }
}

async function runLevels(
  steps: readonly (readonly [Level, () => Promise<void>])[],
): Promise<Pick<Outcome, 'level' | 'stoppedBy'>> {
  let reached: Level = 'none'
  for (const [level, step] of steps) {
    try {
      await step()
    } catch (error) {
      if (isFault(error)) return { level: reached, stoppedBy: error.message }
      throw error
    }
    reached = level
  }
  return { level: reached }
}

/** Restores the backup into the scratch database, compares it, and runs the user's checks. */
async function proveCopy(
  backup: FoundBackup,
  scratch: Scratch,
  options: ProveOptions,
  work: Work,
): Promise<Omit<Outcome, 'server'>> {
  const { level: asked = 'accepted', identities } = options
  const jobs = jobsOf(options)
  const reading = { identities, programs: scratch.programs.archive, jobs }
  const from = Date.now()
  const copy = await restoreCopy(backup, scratch, reading, work)
  const timings: Outcome['timings'] = {}
  if (copy.fault !== undefined) {
    const below = { stoppedBy: copy.fault, ...(await levelBelow(backup, reading, work)) }
    return { ...below, differences: [], checks: [], allowed: [], timings }
  }
  timings.restore = Date.now() - from
  const compared = await compareCopy(backup, scratch, asked, { jobs, timings }, work)
  // the restore has checked every digest, but not that each archive has the tables that the
  // manifest names for it: a restore of single tables depends on that
  const below = await runLevels([['readable', () => checkContents(backup, reading, work)]])
  const { level, stoppedBy, ...rest } =
    below.stoppedBy === undefined
      ? compared
      : { ...compared, level: 'stored' as const, stoppedBy: below.stoppedBy }
  const checking = Date.now()
  const checks = asked === 'accepted' ? await runUserChecks(scratch, options, work) : []
  if (checks.length > 0) timings.checks = Date.now() - checking
  const failed = level === 'identical' ? whatFailed(checks) : undefined
  const stopped = stoppedBy ?? failed
  return {
    ...rest,
    level: level === 'identical' && checks.length > 0 && !failed ? 'accepted' : level,
    ...(stopped === undefined ? {} : { stoppedBy: stopped }),
    checks,
    allowed: copy.allowed,
    timings,
  }
}

/** Checks the recovery guide and restores the backup. Returns a fault of the backup as its text. */
async function restoreCopy(
  backup: FoundBackup,
  { connection }: Scratch,
  { identities, programs, jobs }: ReadOptions,
  work: Work,
): Promise<{ allowed: string[]; fault?: undefined } | { fault: string }> {
  try {
    await checkRecoveryGuide(backup, work)
    const how = { tablespaces: false, jobs }
    return { allowed: await loadBackup(backup, identities, programs, connection, how, work) }
  } catch (error) {
    if (isFault(error)) return { fault: error.message }
    throw error
  }
}

function runUserChecks(
  scratch: Scratch,
  { checks = [], checkCommand, timeout = 30 * 60_000 }: ProveOptions,
  work: Work,
): Promise<CheckResult[]> {
  const command = checkCommand ? { command: checkCommand } : {}
  return runChecks({ checks, ...command, timeout }, scratch, work)
}
