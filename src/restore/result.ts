import type { Session } from '../postgres/connection/session.ts'
import type { Depth, Fingerprint } from '../postgres/fingerprint/fingerprint.ts'
import type { Difference } from '../repository/level.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'
import type { Text } from '../text.ts'
import type { Cleaned } from './clean.ts'
import { confirmOf, type RestoreOptions } from './options.ts'
import { type AllSteps, inOrder, type PlanStep } from './plan.ts'
import type { SafetyBackup } from './safety-backup.ts'
import type { TargetFacts } from './target-facts.ts'

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
  /**
   * The name under which the old database is kept; undefined on a dry run, or where there was none.
   */
  previousDatabase?: string
  /** Milliseconds; undefined: until somebody drops it. */
  keepPrevious?: number
  /** Made of the target before anything else. */
  safetyBackup?: SafetyBackup
  /** `prepare` has run, so that what is there differs from the backup. */
  prepared?: boolean
  /**
   * What was cut in a new database, so that it does not act on the outside, each with what brings
   * it back where that is known.
   */
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
  /**
   * Milliseconds between the snapshot and the swap (or now): data written in that time is in the
   * previous database only.
   */
  age: number
  /** No rows were asked for. */
  definitionsOnly?: boolean
  /** Where only some tables were restored. */
  part?: RestoredTables
  /** Where it was restored inside the target. */
  inPlace?: RestoredInPlace
}

/** A result of restoring a backup to which nothing has happened yet. */
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
          `This is a backup of the database "${source.database}" (label ${label}), and it goes in the place of "${target}".`,
        ]
      : [],
  }
}

/** A result to which nothing has happened yet, without what tells whence it came. */
export function emptyRestored(
  { target, environmentName, dryRun, keepPrevious }: RestoreOptions,
  steps: Partial<AllSteps>,
): Omit<Restored, 'server' | 'bytes' | 'rows' | 'tables'> {
  return {
    target: target.database,
    confirm: confirmOf({ target, ...(environmentName ? { environmentName } : {}) }),
    ...(environmentName ? { environmentName } : {}),
    dryRun,
    plan: inOrder(steps),
    ...(keepPrevious === undefined ? {} : { keepPrevious }),
    sessionsEnded: 0,
    timings: { restore: 0, compare: 0, swap: 0, total: 0 },
    warnings: [],
  }
}

/** What a restore inside the target itself tells beside the rest. */
export interface RestoredInPlace {
  contents: 'all' | 'schema'
  /** What the fingerprint has to compare with. */
  compared: Depth
  /** Extensions that were left as they were. */
  kept: string[]
  /** Locks that the transaction was counted to need, and those that the server has. */
  locks: { needed: number; capacity: number }
  /**
   * Milliseconds between the safety backup's snapshot and the last of the locks: what was written
   * then is in neither.
   */
  unsaved?: number
  /** What of the schema is otherwise than in the backup, seen after the commit. */
  differences: Difference[]
  /**
   * Whether that was looked at: not where the fingerprint has no schema, or it could not be read.
   */
  schemaCompared: boolean
}

/** What became of a part of a database. */
export interface RestoredTables {
  /** As they were named. */
  wanted: string[]
  /** The same as the inputs had it: to name the part again. */
  asked: { tables: string[]; schemas: string[] }
  contents: 'all' | 'schema' | 'data'
  /** Whether they went in the place of the live ones. */
  replace: boolean
  tables: PartTableResult[]
  /** The schemas of their own that the tables came into. */
  schemas: string[]
  /** Foreign keys that were checked. */
  keys: string[]
  /** What was left out on purpose, as sentences. */
  leftOut: Text[]
  /** What the backup's fingerprint could be asked: `none` compares with what the archives held. */
  fingerprint: Fingerprint['kind']
  /** Archives that were read, of how many. */
  archives: { read: number; all: number }
  /** Milliseconds that live tables were locked. */
  locked: number
  /**
   * Milliseconds between the safety backup's snapshot and the locks: what was written to the tables
   * then is in neither.
   */
  unsaved?: number
}

export interface PartTableResult {
  table: string
  /** Undefined where only definitions were restored. */
  rows?: number
  /** Where it is now. */
  into: string
  how: 'copied' | 'replaced' | 'created' | 'untouched'
}

/** How a restore held what was promised of its time, in milliseconds. */
export interface Objective {
  limit: number
  /** From the start of the step until the database was back under its name. */
  took: number
  held: boolean
}

/** The user's own command, after all was done. */
export interface PostCommand {
  command: string
  /** How it failed, as the rest of a sentence; undefined when it ended with 0. */
  failed?: string
  /** Milliseconds. */
  took: number
  output: string
}
