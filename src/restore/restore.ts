import { findReadable } from '../repository/open.ts'
import type { Work } from '../work.ts'
import { clean, type CleanResult } from './clean.ts'
import { checkConfirmation } from './confirmation.ts'
import { restoreInPlace } from './in-place/in-place.ts'
import type { BackupRestoreOptions } from './options.ts'
import type { RestoreResult } from './result.ts'
import { fromBackup } from './swap/backup-source.ts'
import { restoreAsNew } from './swap/new-database.ts'
import { restoreBySwap } from './swap/swap.ts'
import { restoreTables } from './tables/tables.ts'
import { undo, type UndoResult } from './undo.ts'

/** What each task gives. */
export interface TaskResults {
  restore: RestoreResult
  undo: UndoResult
  clean: CleanResult
}
export type Task = keyof TaskResults

/**
 * Puts a database back as a backup has it, or takes that back, or drops what was kept for that; by
 * `task`, and by `mode`. Each is a story of its own. They share this: nothing begins without the
 * right `confirm`; whatever takes long happens beside the target; what was there is kept.
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
  const part = tables.length + schemas.length > 0
  // the name of a database to be made is nobody's label: the one label that there is, unless it is
  // told
  const label = options.label ?? (!part && mode === 'new' ? undefined : options.target.database)
  const backup = await findReadable({ ...options, ...(label === undefined ? {} : { label }) }, work)
  if (!part && mode === 'swap')
    return restoreBySwap(fromBackup(backup, started, options, work), options, work)
  if (!part && mode === 'new')
    return restoreAsNew(fromBackup(backup, started, options, work), options, work)
  return part ? restoreTables(backup, options, work) : restoreInPlace(backup, options, work)
}
