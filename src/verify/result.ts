import type { CopyOptions } from '../load/options.ts'
import type { Command } from '../postgres/programs/user-command.ts'
import type { Difference, Level, TargetLevel } from '../repository/level.ts'
import type { BatchSelector, SingleSelector } from '../repository/selector.ts'
import type { ObjectiveResult, Objectives, SizeChange } from './objectives.ts'
import type { Check, CheckResult } from './user-checks.ts'

/** How a backup is verified, whichever it is. */
export interface ProveOptions extends Omit<CopyOptions, 'backup'> {
  runUrl?: string
  /** The level to verify up to; undefined: as far as the backup and the checks allow. */
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
  /** It restores, and the copy is identical. A failed check of the user does not change that. */
  proven: boolean
  level: Level
  /** The requested level, if any. */
  asked?: Exclude<Level, 'none'>
  /** The fault that ended the verification, in one sentence; undefined if none was found. */
  stoppedBy?: string
  /**
   * What could not be checked, and why: the fingerprint has no content or no counts, or the scratch
   * server is unlike that of the backup. A backup without a fault then ends below `identical`.
   */
  limit?: string
  /** The limit is the scratch server's: the proof is partial, and does not replace a full one. */
  partial?: true
  /** All of them, in a stable order. */
  differences: Difference[]
  /** The user's checks, in their order; empty if there was no copy to run them on. */
  checks: CheckResult[]
  /** Those that were set, met or not. */
  objectives: ObjectiveResult[]
  /** Figures that decreased by more than half, if no objective sets a limit. */
  fallen: SizeChange[]
  snapshotAt: string
  /** Age of the backup when it was verified, milliseconds: what would be lost now (RPO). */
  age: number
  /** `scratch` and `own`: if it was restored. `client`: the version of pg_restore, if used. */
  server: { backup: string; scratch?: string; own?: boolean; client?: string }
  bytes: number
  rows: number
  tables: number
  /** Milliseconds, of the steps that ran. */
  timings: { restore?: number; compare?: number; checks?: number; total: number }
  /** Known harmless problems that were accepted, and why. */
  allowed: string[]
  warnings: string[]
}
