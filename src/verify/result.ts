import type { CopyOptions } from '../load/options.ts'
import type { Command } from '../postgres/programs/user-command.ts'
import type { Difference, Level, TargetLevel } from '../repository/level.ts'
import type { BatchSelector, SingleSelector } from '../repository/selector.ts'
import type { ObjectiveResult, Objectives, SizeChange } from './objectives.ts'
import type { Check, CheckResult } from './user-checks.ts'

/** How a backup is verified, whichever it is. */
export interface ProveOptions extends Omit<CopyOptions, 'backup'> {
  runUrl?: string
  /** How far to go; undefined: as far as the backup and the checks allow. */
  level?: TargetLevel
  checks?: readonly Check[]
  checkCommand?: Command
  /** For each SQL check, milliseconds. Default: half an hour. */
  timeout?: number
  objectives?: Objectives
}

export interface VerifyOptions extends ProveOptions {
  backup: SingleSelector
}

export interface VerifyBatchOptions extends ProveOptions {
  backup: SingleSelector | BatchSelector
}

export interface VerifyResult {
  id: string
  label: string
  location: string
  /** It restores, and is identical. A check of the user's that fails does not change that. */
  proven: boolean
  level: Level
  /** How far it was to go, when that was said. */
  asked?: TargetLevel
  /**
   * What kept it from the next level, in one sentence; undefined when it came as far as was asked,
   * or when the limit alone did.
   */
  stoppedBy?: string
  /**
   * What could not be looked at, and why: the fingerprint is one that was taken without content or
   * without counts, or the scratch server is not like the backup's own. Then a backup without a
   * fault ends below `identical`, and nothing speaks against it.
   */
  limit?: string
  /**
   * The limit is the scratch server's: another one would show more, so its proof takes the place of
   * none.
   */
  partial?: true
  /** All of them, in a stable order. */
  differences: Difference[]
  /** The user's own, in their order; empty where there was no copy to run them on. */
  checks: CheckResult[]
  /** Those that were set, met or not. */
  objectives: ObjectiveResult[]
  /** Figures that fell by more than half, where no objective says what is too much. */
  fallen: SizeChange[]
  snapshotAt: string
  /** Age of the backup when it was verified, milliseconds: what would be lost now (RPO). */
  age: number
  /**
   * `scratch` and `own` are there if it was to be restored; `client` is the version of pg_restore,
   * where one was needed.
   */
  server: { backup: string; scratch?: string; own?: boolean; client?: string }
  bytes: number
  rows: number
  tables: number
  /** Milliseconds; a step that was not come to has none. */
  timings: { restore?: number; compare?: number; checks?: number; total: number }
  /** Known harmless messages that were let pass, and why. */
  allowed: string[]
  warnings: string[]
}
