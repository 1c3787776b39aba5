import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import type { OwnerChoice } from '../postgres/pg-restore/owners.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { findReadable } from '../load/measure.ts'
import type { Objective, PostCommand } from './post-command.ts'
import { clean, type CleanResult, type Cleaned } from './clean.ts'
import { type RestoredInPlace, restoreInPlace } from './in-place/in-place.ts'
import { restoreAsNew } from './swap/new-database.ts'
import { restorePart, type RestoredPart } from './tables/tables.ts'
import type { PlanStep } from './plan.ts'
import { fromBackup } from './swap/source.ts'
import { restoreBySwap } from './swap/swap.ts'
import type { TargetFacts } from './target-facts.ts'
import { undo, type UndoResult } from './undo.ts'
import type { SafetyBackup } from './safety-backup.ts'

export interface RestoreOptions {
  /** What to do. Default: `restore`. */
  task?: 'restore'
  sources: Storage[]
  label?: string
  backup: string
  identities: string[]
  /** The database to put back; its name, after its environment's, is what `confirm` must equal. */
  target: Connection
  confirm: string
  environmentName?: string
  dryRun: boolean
  /** Default: `swap`. */
  mode?: 'swap' | 'new' | 'in-place'
  /** Replaced databases older than this (milliseconds) are dropped when all went well. Undefined: all are kept. */
  keepPrevious?: number
  /** Whether the target is backed up first. Default: true. */
  safetyBackup?: boolean
  /** Only these tables, as `schema.table`. */
  tables?: string[]
  schemas?: string[]
  contents?: 'all' | 'schema' | 'data'
  /** With tables or schemas: put them in the place of the live ones. */
  replace?: boolean
  /** How long locks on live tables are waited for, milliseconds: no input, only for tests. Default: two minutes for a part, half a minute in place. */
  lockPatience?: number
  /** SQL to run in the new database before anybody sees it. */
  prepare?: string
  /** Run by bash when all is done. */
  postCommand?: string
  workingDirectory?: string
  /** Of the command, milliseconds. */
  timeout?: number
  /** What the command's environment starts from: already without our inputs and tokens. */
  environment?: Record<string, string>
  /** Milliseconds that the restore may take (RTO). */
  maxRestoreTime?: number
  bindirs: string[]
  /** How much is done at once. Default: one a core, at most 8. */
  jobs?: number
  /** Whose everything is. Default: `keep`. */
  owner?: OwnerChoice
  /** Where this run can be seen, for the safety backup's manifest. */
  runUrl?: string
  /** Told as soon as something is known that somebody will want to know even if what comes next fails. */
  known?: (facts: KnownFacts) => void
}

export interface KnownFacts {
  id?: string
  safetyBackup?: string
  database?: string
  previousDatabase?: string
  /** Milliseconds. */
  lost?: number
}

/** What every restore of a whole database can tell, wherever it came from. */
export interface Restored {
  target: string
  /** What `confirm` has to be, to undo it. */
  confirm: string
  environmentName?: string
  dryRun: boolean
  server: { backup: string; target: string }
  /** The steps in order, as sentences; those done are marked. */
  plan: PlanStep[]
  /** The name under which the old database is kept; undefined on a dry run, or where there was none. */
  previousDatabase?: string
  /** Milliseconds; undefined: until somebody drops it. */
  keepPrevious?: number
  /** Made of the target before anything else. */
  safetyBackup?: SafetyBackup
  /** `prepare` has run, so that what is there differs from the backup. */
  prepared?: boolean
  /** What was cut in a new database, so that it does not act on the outside, each with what brings it back where that is known. */
  cut?: { ties: string[]; triggers: string[] }
  /** Of databases that earlier restores replaced. */
  cleaned?: Cleaned
  objective?: Objective
  postCommand?: PostCommand
  /** Sessions that had to be ended for the swap. */
  sessionsEnded: number
  bytes: number
  rows: number
  tables: number
  /** Milliseconds. The swap is the only time that the target was away. */
  timings: { safety?: number; restore: number; compare: number; prepare?: number; swap: number; command?: number; total: number }
  warnings: string[]
  /** Of a dry run: what there is, and what stands in the way. */
  facts?: TargetFacts
}

export interface RestoreResult extends Restored {
  task: 'restore'
  mode: 'swap' | 'new' | 'in-place' | 'part'
  id: string
  label: string
  location: string
  snapshotAt: string
  /** Milliseconds between the snapshot and the swap (or now): data written in that time is in the previous database only. */
  age: number
  /** No rows were asked for. */
  definitionsOnly?: boolean
  /** Where only some tables were restored. */
  part?: RestoredPart
  /** Where it was restored inside the target. */
  inPlace?: RestoredInPlace
}

/** What each task gives. */
export interface TaskResults {
  restore: RestoreResult
  undo: UndoResult
  clean: CleanResult
}
export type Task = keyof TaskResults

/**
 * Puts a database back as a backup has it, or takes that back, or drops what was kept for that; by `task`, and by `mode`. Each is a story of its
 * own. They share this: nothing begins without the right `confirm`; whatever takes long happens beside the target; what was there is kept.
 */
export async function restore<T extends Task = 'restore'>(options: Omit<RestoreOptions, 'task'> & { task?: T }, work: Work): Promise<TaskResults[T]> {
  checkConfirm(options)
  const { task = 'restore', ...rest } = options
  if (task === 'undo') return (await undo(rest, work)) as TaskResults[T]
  if (task === 'clean') return (await clean(rest, work)) as TaskResults[T]
  return (await byMode(rest, work)) as TaskResults[T]
}

async function byMode(options: RestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const { mode = 'swap', tables = [], schemas = [] } = options
  const part = tables.length + schemas.length > 0
  // the name of a database to be made is nobody's label: the one label that there is, unless it is told
  const label = options.label ?? (!part && mode === 'new' ? undefined : options.target.database)
  const backup = await findReadable({ ...options, ...(label === undefined ? {} : { label }) }, work)
  if (!part && mode === 'swap') return restoreBySwap(fromBackup(backup, started, options, work), options, work)
  if (!part && mode === 'new') return restoreAsNew(fromBackup(backup, started, options, work), options, work)
  return part ? restorePart(backup, options, work) : restoreInPlace(backup, options, work)
}

/** What must be typed: the database's name, after its environment's where that is given. */
export function confirmOf({ target, environmentName }: Pick<RestoreOptions, 'target' | 'environmentName'>): string {
  return environmentName ? `${environmentName}/${target.database}` : target.database
}

/** Nothing begins without it. */
export function checkConfirm(options: Pick<RestoreOptions, 'target' | 'environmentName' | 'confirm' | 'dryRun'>): void {
  const wanted = confirmOf(options)
  if (options.dryRun || options.confirm === wanted) return
  const what = `the database is "${options.target.database}"${options.environmentName ? ` of "${options.environmentName}"` : ''}`
  throw new UserError('confirm-mismatch', options.confirm ? `confirm is "${options.confirm}", and ${what}.` : `confirm is empty, and ${what}.`, `If you mean it: confirm: ${wanted}`)
}
