import { messageOf, UserError } from '../errors.ts'
import { timeOf } from '../repository/ids.ts'
import { isPassing, verdictOf } from '../repository/level.ts'
import { type BackupIndex, openBackup, openBackupIndex } from '../repository/listing.ts'
import { findInIndex, selectIds } from '../repository/find-backup.ts'
import { isSingle, selectorText } from '../repository/selector.ts'
import { checkIdentities } from '../stream/encrypt.ts'
import type { Work } from '../work.ts'
import { judgeAge, type ObjectiveResult } from './objectives.ts'
import type { ProveOptions, VerifyBatchOptions, VerifyResult } from './result.ts'
import { proveBackup } from './verify.ts'

/** Why the verification of a backup has no result. */
export interface NotChecked {
  /** From its id if the manifest could not be read. */
  snapshotAt: string
  /** Milliseconds. */
  age: number
  /** True if the backup is at fault: its manifest is damaged. False: nothing is known about it. */
  bad: boolean
  code: string
  message: string
  hint: string
}

export type Looked = { id: string } & (
  { result: VerifyResult; failure?: never } | { result?: never; failure: NotChecked }
)

export interface VerifyBatch {
  label: string
  /** The selector, as it can be typed. */
  asked: string
  /** Whether the selector can select several, even if it selected one or none. */
  several: boolean
  /** Number of backups of the label. */
  there: number
  /** Newest first. */
  backups: Looked[]
  /** About the label's newest backup, whether or not it was verified. */
  age: ObjectiveResult[]
  /** Milliseconds. */
  took: number
}

/**
 * Verifies the backups that `backup` selects, one after the other. Of several, one that is bad or
 * cannot be verified here (a missing extension, a wrong key) does not stop the run: it is in the
 * results. For a single backup, throws a UserError if it cannot be verified.
 */
export async function verifyBatch(options: VerifyBatchOptions, work: Work): Promise<VerifyBatch> {
  const started = Date.now()
  const selector = options.backup
  checkIdentities(options.identities, 'decrypt-with')
  const index = await openBackupIndex(options.sources, options.label, work)
  const run: VerifyBatch = {
    label: index.label,
    asked: selectorText(selector),
    several: !isSingle(selector),
    there: index.ids.length,
    backups: [],
    age: [],
    took: 0,
  }
  if (isSingle(selector)) {
    const backup = await findInIndex(index, selector, work)
    warnOf(index, work)
    run.backups.push({
      id: backup.manifest.id,
      result: await proveBackup(backup, index, options, work),
    })
  } else {
    const ids = await selectIds(index, selector, work)
    warnOf(index, work)
    work.log.info(
      `Verifying ${ids.length} of ${index.ids.length} backups of ${index.label} (${run.asked})`,
    )
    for (const [i, id] of ids.entries()) {
      const looked = await work.log.group(`Backup ${i + 1} of ${ids.length}: ${id}`, () =>
        look(id, index, options, work),
      )
      run.backups.push(looked)
      work.log.info(`${id}: ${inWords(looked)}`)
    }
  }
  run.age = await judgeAge(index, options.objectives ?? {}, work)
  run.took = Date.now() - started
  return run
}

function warnOf({ failures }: BackupIndex, work: Work): void {
  for (const failure of failures)
    work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
}

/** Verifies one of several. Throws only a cancel or a bug. */
async function look(
  id: string,
  index: BackupIndex,
  options: ProveOptions,
  work: Work,
): Promise<Looked> {
  let snapshotAt = timeOf(id)
  try {
    const backup = await openBackup(index, id, work)
    snapshotAt = backup.manifest.snapshot.at
    return { id, result: await proveBackup(backup, index, options, work) }
  } catch (error) {
    work.signal.throwIfAborted()
    if (!(error instanceof UserError)) throw error
    const { code, message, hint } = error
    return {
      id,
      failure: {
        snapshotAt,
        age: Date.now() - Date.parse(snapshotAt),
        bad: code === 'manifest-damaged',
        code,
        message,
        hint,
      },
    }
  }
}

function inWords({ result, failure }: Looked): string {
  if (failure) return failure.bad ? `BAD: ${failure.message}` : `not checked: ${failure.message}`
  const verdict = verdictOf(result)
  const word = {
    short: 'below the requested level',
    'check-failed': 'a check failed',
    bad: 'BAD',
  }
  const summary = isPassing(verdict) ? 'good' : word[verdict]
  const reason = result.stoppedBy === undefined ? '' : `: ${result.stoppedBy}`
  return `${summary}, level "${result.level}"${reason}`
}
