import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { messageOf, UserError } from '../errors.ts'
import { checkArchive } from '../postgres/archive-entries.ts'
import type { Depth } from '../postgres/fingerprint.ts'
import { digestOf } from '../stream/digest.ts'
import { ObjectMissing } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { checkObject, storeText } from './archive.ts'
import type { FoundBackup } from './catalog.ts'
import { compareFingerprints, levelOf } from './compare.ts'
import { type CopyOptions, findReadable, jobsOf, measure } from './copy.ts'
import { dataArchivesOf, frameOf, withArchive } from './fetch.ts'
import { type Difference, type Level, levels } from './level.ts'
import { restoreInto } from './load-backup.ts'
import { totalsOf } from './manifest.ts'
import { proofName, writeProof } from './proof.ts'
import { openScratch, type Scratch } from './scratch.ts'
import { sideBySide } from '../stream/side-by-side.ts'

export type { CopyOptions } from './copy.ts'

export interface VerifyOptions extends CopyOptions {
  runUrl?: string
}

export interface VerifyResult {
  id: string
  label: string
  location: string
  proven: boolean
  level: Level
  /** What kept it from the next level, in one sentence; undefined when proven, or when the limit alone did. */
  stoppedBy?: string
  /**
   * What the fingerprint cannot show, and why, in one sentence, when it is one that was taken without content or without counts: then a backup
   * without a fault ends below `identical`, and nothing speaks against it.
   */
  limit?: string
  /** All of them, in a stable order. */
  differences: Difference[]
  snapshotAt: string
  /** Age of the backup when it was verified, milliseconds: what would be lost now (RPO). */
  age: number
  server: { backup: string; scratch: string; own: boolean }
  bytes: number
  rows: number
  tables: number
  /** Milliseconds. */
  timings: { restore: number; compare: number; total: number }
  /** Known harmless messages that were let pass, and why. */
  allowed: string[]
  warnings: string[]
}

/** What the backup itself is to blame for; anything else (a key, a scratch server, a missing extension) says nothing of the backup. */
const faultsOfTheBackup = ['object-damaged', 'object-missing', 'restore-failed']

/**
 * Proves a backup: fetches every object, decrypts it, restores it into an empty scratch database and compares what that
 * holds with the fingerprint. The proof is stored beside the backup, whatever it says.
 *
 * A backup that is found bad is a result; what keeps us from finding out is a UserError.
 */
export async function verify(options: VerifyOptions, work: Work): Promise<VerifyResult> {
  const started = Date.now()
  const backup = await findReadable(options, work)
  const { manifest } = backup
  work.log.info(`Verifying ${backup.location} (PostgreSQL ${manifest.source.server}, snapshot of ${manifest.snapshot.at})`)
  const warnings: string[] = []
  const allowed: string[] = []
  const timings = { restore: 0, compare: 0, total: 0 }
  const scratch = await openScratch(backup, options, work)
  let outcome: Outcome
  try {
    outcome = await prove(backup, scratch, options, { timings, allowed }, work)
  } finally {
    await scratch.close()
  }
  timings.total = Date.now() - started
  const proven = outcome.level === 'identical'
  const result: VerifyResult = {
    id: manifest.id,
    label: manifest.label,
    location: backup.location,
    proven,
    ...outcome,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    server: { backup: manifest.source.server, scratch: scratch.server.version, own: scratch.server.own },
    ...totalsOf(manifest),
    timings,
    allowed,
    warnings,
  }
  await storeProof(backup, result, options.runUrl, work)
  return result
}

type Outcome = Pick<VerifyResult, 'level' | 'stoppedBy' | 'limit' | 'differences'>

async function prove(backup: FoundBackup, scratch: Scratch, options: VerifyOptions, { timings, allowed }: Pick<VerifyResult, 'timings' | 'allowed'>, work: Work): Promise<Outcome> {
  const { manifest } = backup
  const { identities } = options
  const jobs = jobsOf(options)
  const sameMajor = scratch.programs.server.major === manifest.source.major
  try {
    const from = Date.now()
    for (const object of manifest.objects) if (object.kind === 'recipe') await checkObject(backup, object, work).catch(asMissing(object.name))
    allowed.push(...(await restoreInto(backup, identities, scratch.programs.archive, scratch.connection, { tablespaces: false, jobs }, work)))
    timings.restore = Date.now() - from
  } catch (error) {
    if (!(error instanceof UserError) || !faultsOfTheBackup.includes(error.code)) throw error
    const level = error.code === 'restore-failed' ? await levelUnrestored(backup, scratch, { identities, jobs }, work) : 'none'
    return { level, stoppedBy: error.message, differences: [] }
  }
  const from = Date.now()
  const found = await measure(scratch, manifest, work, jobs)
  const differences = compareFingerprints(manifest.fingerprint, found, sameMajor)
  timings.compare = Date.now() - from
  const level = levelOf(differences, manifest.fingerprint.kind)
  const [first] = differences
  if (first) return { level, differences, stoppedBy: `${differences.length === 1 ? 'One difference' : `${differences.length} differences`} from the fingerprint, the first: ${first.object}: expected ${first.expected}, found ${first.found}.` }
  const limit = limits[manifest.fingerprint.kind]
  if (!sameMajor && manifest.fingerprint.kind !== 'none') return { level: 'counted', differences, ...(limit ? { limit } : {}), stoppedBy: `${limit ? 'Rows' : 'Rows and content'} are the same; definitions can only be compared on a scratch server of the backup's own major version (${manifest.source.major}), and this one is ${scratch.server.version}.` }
  return { level, differences, ...(limit ? { limit } : {}) }
}

/** What a fingerprint of each depth leaves open. */
const limits: Record<Depth, string | undefined> = {
  content: undefined,
  counts: 'Every table has its rows, and the schema is the same; whether their content is was not compared, since the backup was taken with fingerprint: counts.',
  none: 'It restores without an error; whether every row is there was not compared, since the backup was taken with fingerprint: none.',
}

/** The level of a backup that does not restore: are its bytes at least what was stored, and is every archive whole? */
async function levelUnrestored(
  backup: FoundBackup,
  scratch: Scratch,
  { identities, jobs }: { identities: readonly string[]; jobs: number },
  work: Work,
): Promise<Level> {
  const archives = [frameOf(backup), ...dataArchivesOf(backup.manifest)]
  const all = (use: (archive: Readable, own: Work) => Promise<void>): Promise<unknown> =>
    sideBySide(archives, jobs, (object, own) => withArchive(backup, object, identities, (archive) => use(archive, own), own), work)
  let level: Level = 'none'
  try {
    await all((archive) => finished(archive.resume()))
    level = 'stored'
    await all((archive, own) => checkArchive(scratch.programs.archive, archive, own))
    level = 'readable'
  } catch (error) {
    work.signal.throwIfAborted()
    work.log.debug(`not ${levels[levels.indexOf(level) + 1]}: ${messageOf(error)}`)
  }
  return level
}

async function storeProof(backup: FoundBackup, result: VerifyResult, runUrl: string | undefined, work: Work): Promise<void> {
  const at = new Date()
  const proof = writeProof({
    format: 1,
    backup: result.id,
    manifest: backup.manifest.sha256,
    at: at.toISOString(),
    proven: result.proven,
    level: result.level,
    ...(result.stoppedBy === undefined ? {} : { stoppedBy: result.stoppedBy }),
    ...(result.limit === undefined ? {} : { limit: result.limit }),
    differences: result.differences.length,
    scratch: { server: result.server.scratch, own: result.server.own },
    timings: result.timings,
    ...(runUrl ? { run: runUrl } : {}),
  })
  const name = proofName(at, randomBytes(3).toString('hex'))
  try {
    await storeText(proof, backup.folder + name, [backup.storage], work)
    work.log.info(`Proof stored as ${backup.folder}${name} (sha256 ${digestOf(proof).sha256.slice(0, 12)}…)`)
  } catch (error) {
    work.signal.throwIfAborted()
    result.warnings.push(`The proof could not be stored beside the backup: ${messageOf(error)} Retention cannot know of it; give this job the right to write there.`)
  }
}

function asMissing(name: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ObjectMissing) throw new UserError('object-missing', `${name} is missing.`, 'The backup is not whole. Read it from another destination, or use another backup.', { cause: error })
    throw error
  }
}
