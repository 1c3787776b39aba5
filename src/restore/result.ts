import type { Session } from '../postgres/connection/session.ts'
import type { Depth, Fingerprint } from '../postgres/fingerprint/fingerprint.ts'
import type { Difference } from '../repository/level.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'
import type { Text } from '../text.ts'
import type { Cleaned } from './clean.ts'
import type { RestoreOptions } from './options.ts'
import { type AllSteps, orderSteps, type PlanStep } from './plan.ts'
import type { SafetyBackup } from './safety-backup.ts'
import type { TargetFacts } from './target-facts.ts'

/** The result of restoring a whole database, from a backup or an external dump. */
export interface Restored {
  target: string
  /** The value of `confirm` that an undo needs. */
  confirm: string
  environmentName?: string
  dryRun: boolean
  server: { backup: string; target: string }
  /** The steps in order. */
  plan: PlanStep[]
  /** The previous database's name; undefined on a dry run, and if there was no target. */
  previousDatabase?: string
  /** How long the previous database is kept, in milliseconds. Undefined: until you drop it. */
  keepPrevious?: number
  /** The backup of the target, taken before the restore. */
  safetyBackup?: SafetyBackup
  /** Whether `prepare` ran, so that the database differs from the backup. */
  prepared?: boolean
  /**
   * User mappings dropped and event triggers disabled in a new database, so that it does not act
   * like the original; each with the statement that reverts it, if known.
   */
  isolated?: { ties: string[]; triggers: string[] }
  /** Previous databases of earlier restores. */
  cleaned?: Cleaned
  objective?: Objective
  postCommand?: PostCommand
  /** Number of sessions that the swap ended. */
  sessionsEnded: number
  bytes: number
  rows: number
  tables: number
  /** Milliseconds. The target was unavailable only during `swap`. */
  timings: {
    safety?: number
    restore: number
    compare: number
    prepare?: number
    swap: number
    command?: number
    total: number
  }
  warnings: Text[]
  /** On a dry run: the target as it is, and what prevents the restore. */
  facts?: TargetFacts
}

export interface RestoreResult extends Restored {
  task: 'restore'
  mode: 'swap' | 'new' | 'in-place' | 'tables'
  id: string
  label: string
  location: string
  snapshotAt: string
  /**
   * Milliseconds between the snapshot and the swap (or now). Data written in that time is only in
   * the previous database.
   */
  age: number
  /** Whether only definitions were restored. */
  definitionsOnly?: boolean
  /** Set if only some tables were restored. */
  restoredTables?: RestoredTables
  /** Set if the backup was restored in place. */
  inPlace?: RestoredInPlace
}

/** Returns the result of a restore from a backup before anything has been restored. */
export function emptyResult(
  mode: RestoreResult['mode'],
  options: RestoreOptions,
  { manifest, location }: FoundBackup,
  session: Session,
  steps: Partial<AllSteps>,
): RestoreResult {
  const { source, label } = manifest
  const target = options.target.database
  const other = mode !== 'new' && source.database !== target
  return {
    task: 'restore',
    mode,
    id: manifest.id,
    label,
    location,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    ...emptyRestored(options, steps),
    server: { backup: source.server, target: session.version },
    ...totalsOf(manifest),
    ...(options.contents === 'schema' ? { rows: 0, definitionsOnly: true } : {}),
    warnings: other
      ? [
          `This is a backup of the database "${source.database}" (label ${label}), and it replaces "${target}".`,
        ]
      : [],
  }
}

/** Returns the result before anything has been restored, without the facts about its source. */
export function emptyRestored(
  { target, confirm, environmentName, dryRun, keepPrevious }: RestoreOptions,
  steps: Partial<AllSteps>,
): Omit<Restored, 'server' | 'bytes' | 'rows' | 'tables'> {
  return {
    target: target.database,
    confirm: confirm.expected,
    ...(environmentName ? { environmentName } : {}),
    dryRun,
    plan: orderSteps(steps),
    ...(keepPrevious === undefined ? {} : { keepPrevious }),
    sessionsEnded: 0,
    timings: { restore: 0, compare: 0, swap: 0, total: 0 },
    warnings: [],
  }
}

/** The result of a restore in place. */
export interface RestoredInPlace {
  contents: 'all' | 'schema'
  /** What the backup's fingerprint measured. */
  compared: Depth
  /** Extensions that were not re-created. */
  kept: string[]
  /** Locks that the transaction needs (estimated), and the server's capacity. */
  locks: { needed: number; capacity: number }
  /**
   * Milliseconds between the safety backup's snapshot and the last lock. Rows written in that time
   * are in neither.
   */
  unsaved?: number
  /** Differences of the schema, compared after the commit. */
  differences: Difference[]
  /** False if the fingerprint has no schema, or the target's could not be read. */
  schemaCompared: boolean
}

/** The result of restoring some tables. */
export interface RestoredTables {
  /** What the inputs named, for people. */
  wanted: string[]
  /** The same as values of the inputs, to name them again. */
  asked: { tables: string[]; schemas: string[] }
  contents: 'all' | 'schema' | 'data'
  /** Whether they replaced the live tables. */
  replace: boolean
  tables: TableResult[]
  /** The schemas created for the copies. */
  schemas: string[]
  /** Foreign keys that were checked. */
  keys: string[]
  /** What was deliberately left out, as sentences. */
  leftOut: Text[]
  /** What the backup's fingerprint measured; `none` compares with the archives' contents. */
  fingerprint: Fingerprint['kind']
  /** Number of archives read, and of all archives. */
  archives: { read: number; all: number }
  /** How long live tables were locked, in milliseconds. */
  locked: number
  /**
   * Milliseconds between the safety backup's snapshot and the locks. Rows written to the tables in
   * that time are in neither.
   */
  unsaved?: number
}

/** The result for one table. */
export interface TableResult {
  table: string
  /** Undefined if only definitions were restored. */
  rows?: number
  /** Its name in the target. */
  into: string
  how: 'copied' | 'replaced' | 'created' | 'untouched'
}

/** The recovery time objective and the time taken, in milliseconds. */
export interface Objective {
  limit: number
  /** From the start of the step until the database was restored under its name. */
  took: number
  held: boolean
}

/** The result of the post-command. */
export interface PostCommand {
  command: string
  /** How it failed, as the rest of a sentence; undefined if it exited with 0. */
  failed?: string
  /** Milliseconds. */
  took: number
  output: string
}
