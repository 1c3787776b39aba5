import { messageOf } from '../errors.ts'
import { compareCounts, compareFingerprints, isOtherVersion, levelOf } from '../load/compare.ts'
import { restoreInto } from '../load/load-backup.ts'
import { measure } from '../load/measure.ts'
import { jobsOf } from '../load/options.ts'
import { openScratch, type Scratch } from '../load/scratch.ts'
import type { Depth } from '../postgres/fingerprint/fingerprint.ts'
import { findPrograms } from '../postgres/programs/find-programs.ts'
import { type Difference, type Level, reaches } from '../repository/level.ts'
import { type BackupIndex, type FoundBackup, openBackupIndex } from '../repository/listing.ts'
import { type Manifest, totalsOf } from '../repository/manifest.ts'
import { checkKeys } from '../repository/open.ts'
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
} from './archive-checks.ts'
import { judgeAge, judgeRestoreTime, judgeSize } from './objectives.ts'
import type { ProveOptions, VerifyOptions, VerifyResult } from './result.ts'
import { storeProof } from './store-proof.ts'
import { runChecks, whatFailed } from './user-checks.ts'

/**
 * Proves one backup: fetches every object, decrypts it, restores it into an empty scratch database,
 * compares what that holds with the fingerprint, and runs the user's checks on it; or goes as far
 * of that as `level` says. The proof is stored beside the backup, whatever it says.
 *
 * A backup that is found bad is a result, as are checks that fail and objectives that are not met;
 * what keeps us from finding out is a UserError.
 */
export async function verify(options: VerifyOptions, work: Work): Promise<VerifyResult> {
  checkIdentities(options.identities, 'decrypt-with')
  const index = await openBackupIndex(options.sources, options.label, work)
  const backup = await findInIndex(index, options.backup, work)
  for (const failure of index.failures)
    work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
  return proveBackup(backup, index, options, work)
}

/** The same for a backup that was found already. */
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
 * Climbs as far as was asked, in as few readings of the store as that takes: what a restore and a
 * comparison show by themselves is not looked at before.
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

async function proveCopy(
  backup: FoundBackup,
  scratch: Scratch,
  options: ProveOptions,
  work: Work,
): Promise<Omit<Outcome, 'server'>> {
  const { level: asked = 'accepted', identities } = options
  const jobs = jobsOf(options)
  const reading = { identities, programs: scratch.programs.archive, jobs }
  const timings: Outcome['timings'] = {}
  const allowed: string[] = []
  const from = Date.now()
  try {
    await checkRecoveryGuide(backup, work)
    allowed.push(
      ...(await restoreInto(
        backup,
        identities,
        scratch.programs.archive,
        scratch.connection,
        { tablespaces: false, jobs },
        work,
      )),
    )
  } catch (error) {
    if (!isFault(error)) throw error
    return {
      stoppedBy: error.message,
      ...(await levelBelow(backup, reading, work)),
      differences: [],
      checks: [],
      allowed,
      timings,
    }
  }
  timings.restore = Date.now() - from
  const compared = await compareCopy(backup, scratch, asked, { jobs, timings }, work)
  // every digest was right as it flowed; whether each archive has the tables that a restore of some
  // would look for in it, its restore does not show
  const below = await runLevels([['readable', () => checkContents(backup, reading, work)]])
  const { level, stoppedBy, ...rest } =
    below.stoppedBy === undefined
      ? compared
      : { ...compared, level: 'stored' as const, stoppedBy: below.stoppedBy }
  const checking = Date.now()
  const checks =
    asked === 'accepted'
      ? await runChecks(
          {
            checks: options.checks ?? [],
            ...(options.checkCommand ? { command: options.checkCommand } : {}),
            timeout: options.timeout ?? 30 * 60_000,
          },
          scratch,
          work,
        )
      : []
  if (checks.length > 0) timings.checks = Date.now() - checking
  const failed = level === 'identical' ? whatFailed(checks) : undefined
  const stopped = stoppedBy ?? failed
  return {
    ...rest,
    level: level === 'identical' && checks.length > 0 && !failed ? 'accepted' : level,
    ...(stopped === undefined ? {} : { stoppedBy: stopped }),
    checks,
    allowed,
    timings,
  }
}

/** What a copy shows that was restored without an error, as far as was asked. */
async function compareCopy(
  backup: FoundBackup,
  scratch: Scratch,
  asked: Level,
  { jobs, timings }: { jobs: number; timings: Outcome['timings'] },
  work: Work,
): Promise<Pick<Outcome, 'level' | 'stoppedBy' | 'limit' | 'partial' | 'differences'>> {
  const { fingerprint, source } = backup.manifest
  if (asked === 'restored') return { level: 'restored', differences: [] }
  const from = Date.now()
  const counting = asked === 'counted'
  const sameMajor = scratch.programs.server.major === source.major
  const found = await measure(
    scratch,
    backup.manifest,
    work,
    jobs,
    counting && fingerprint.kind === 'content' ? 'counts' : fingerprint.kind,
  )
  const all = counting
    ? compareCounts(fingerprint, found)
    : compareFingerprints(fingerprint, found, sameMajor)
  const differences = all.filter((each) => !isOtherVersion(each))
  timings.compare = Date.now() - from
  const level = levelOf(
    all,
    counting && fingerprint.kind === 'content' ? 'counts' : fingerprint.kind,
  )
  const known = counting && fingerprint.kind !== 'none' ? undefined : limits[fingerprint.kind]
  const unlike =
    counting || fingerprint.kind === 'none'
      ? []
      : unlikeSource(source, scratch.server.version, sameMajor, all.filter(isOtherVersion))
  const [first] = differences
  // what is known of a backup without a fault is not so of one with a difference
  const said = [...(known && !first ? [known] : []), ...unlike]
  const limit = said.length ? { limit: said.join(' ') } : {}
  if (first)
    return {
      level,
      differences,
      ...limit,
      stoppedBy: `${differences.length === 1 ? 'One difference' : `${differences.length} differences`} from the fingerprint, the first: ${first.object}: expected ${first.expected}, found ${first.found}.`,
    }
  return unlike.length
    ? { level: 'counted', differences, ...limit, partial: true }
    : { level, differences, ...limit }
}

/**
 * What cannot be compared on this scratch server, and what would show it: a sentence for each.
 * Empty where it is like the backup's own.
 */
function unlikeSource(
  source: Manifest['source'],
  server: string,
  sameMajor: boolean,
  versions: readonly Difference[],
): string[] {
  const [first] = versions
  const others = versions.length > 1 ? ` (and ${versions.length - 1} more)` : ''
  return [
    ...(sameMajor
      ? []
      : [
          `Definitions were not compared: the scratch server is PostgreSQL ${server}, the backup is of ${source.server}, and the text of two majors differs where nothing else does. Verify it on a scratch server of its own major (${source.major}), or without scratch-url, to see the rest.`,
        ]),
    ...(first
      ? [
          `The scratch server gave the extension ${first.object}${others} another version than the database had (${first.expected}; here ${first.found}), so this was not compared. Verify it on a scratch server that has that version, to see the rest.`,
        ]
      : []),
  ]
}

/** What a fingerprint of each depth leaves open. */
const limits: Record<Depth, string | undefined> = {
  content: undefined,
  counts:
    'Every table has its rows, and the schema is the same; whether their content is was not compared, since the backup was taken with fingerprint: counts.',
  none: 'It restores without an error; whether every row is there was not compared, since the backup was taken with fingerprint: none.',
}
