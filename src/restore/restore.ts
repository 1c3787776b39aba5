/**
 * Restores a backup: by a swap, as single tables, or inside the target. Also undoes a swap and
 * drops previous databases.
 */
import { findReadable } from '../repository/find-readable.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { Work } from '../work.ts'
import { clean, type CleanResult } from './clean.ts'
import { withAssumedLabel } from './assumed-label.ts'
import { checkConfirmation } from './confirmation.ts'
import { restoreInPlace } from './in-place/in-place.ts'
import type { BackupRestoreOptions } from './options.ts'
import type { RestoreResult } from './result.ts'
import { backupSource } from './swap/backup-source.ts'
import { restoreAsNew } from './swap/new-database.ts'
import { restoreBySwap } from './swap/swap.ts'
import { restoreTables } from './tables/tables.ts'
import { undo, type UndoResult } from './undo.ts'

/** The result of each task. */
export interface TaskResults {
  restore: RestoreResult
  undo: UndoResult
  clean: CleanResult
}
export type Task = keyof TaskResults

/**
 * Restores a database from a backup, undoes the last restore, or drops previous databases, as
 * `task` says.
 *
 * Throws `confirm-mismatch` unless `confirm` names the target or this is a dry run. Every mode but
 * `in-place` does the long work in a side database. Every mode keeps what the target held: as a
 * previous database, or in a safety backup.
 */
export async function restore<T extends Task = 'restore'>(
  options: Omit<BackupRestoreOptions, 'task'> & { task?: T },
  work: Work,
): Promise<TaskResults[T]> {
  checkConfirmation(options.confirm, { optional: options.dryRun })
  const { task = 'restore', ...rest } = options
  if (task === 'undo') return (await undo(rest, work)) as TaskResults[T]
  if (task === 'clean') return (await clean(rest, work)) as TaskResults[T]
  return (await restoreByMode(rest, work)) as TaskResults[T]
}

async function restoreByMode(options: BackupRestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const { mode = 'swap', tables = [], schemas = [] } = options
  const selective = tables.length + schemas.length > 0
  // A new database's name is no label. Without `label`, the repository must then hold only one.
  const label =
    options.label ?? (!selective && mode === 'new' ? undefined : options.target.database)
  const find = (): Promise<FoundBackup> =>
    findReadable({ ...options, ...(label === undefined ? {} : { label }) }, work)
  const isAssumed = options.label === undefined && label !== undefined
  const backup = await (isAssumed ? withAssumedLabel(label, find) : find())
  if (selective) return restoreTables(backup, options, work)
  if (mode === 'in-place') return restoreInPlace(backup, options, work)
  const source = backupSource(backup, started, options, work)
  return mode === 'new' ? restoreAsNew(source, options, work) : restoreBySwap(source, options, work)
}
