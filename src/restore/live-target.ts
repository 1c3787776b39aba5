import type { Session } from '../postgres/connection/session.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'
import type { PlanStep } from './plan.ts'
import { command, judgeTime } from './post-command.ts'
import { emptyResult, type RestoreResult } from './result.ts'
import { backUpTarget, type SafetyLike, safetyStep } from './safety-backup.ts'

/**
 * What the restores into a database that stays (a part of it, or all of it in place) have in
 * common: what stands before and after them.
 */

/**
 * What every restore into a database that stays tells, before anything was done and its plan is
 * made.
 */
export function beginResult(
  backup: FoundBackup,
  options: RestoreOptions,
  session: Session,
): RestoreResult {
  const { source, label } = backup.manifest
  const { database } = options.target
  const empty = emptyResult(
    options.mode === 'in-place' ? 'in-place' : 'part',
    options,
    backup,
    session,
    {},
  )
  const other =
    source.database === database
      ? []
      : [
          `This is a backup of the database "${source.database}" (label ${label}), and the target is "${database}".`,
        ]
  return { ...empty, bytes: 0, rows: 0, tables: 0, warnings: other }
}

/** Steps that stand before and after a story's own, where they are asked for. */
interface Around {
  safety?: PlanStep
  command?: PlanStep
}

export function commonSteps(
  { postCommand }: RestoreOptions,
  safety: boolean,
  target: string,
  like: SafetyLike,
): Around {
  return {
    ...(safety ? { safety: { step: safetyStep(target, like), done: false } } : {}),
    ...(postCommand === undefined
      ? {}
      : { command: { step: 'Run the post-command', done: false } }),
  }
}

/** The plan in its order. */
export function orderedPlan({
  safety,
  command,
  ...own
}: Around & Record<string, PlanStep>): PlanStep[] {
  return [...(safety ? [safety] : []), ...Object.values(own), ...(command ? [command] : [])]
}

/** Backs up the target before anything is done to it, where that is a step of the plan. */
export async function takeSafetyBackup(
  result: RestoreResult,
  options: RestoreOptions,
  { manifest }: FoundBackup,
  step: PlanStep | undefined,
  work: Work,
): Promise<void> {
  if (!step) return
  result.safetyBackup = await backUpTarget(
    options,
    { label: manifest.label, encryption: manifest.encryption },
    work,
  )
  result.timings.safety = result.safetyBackup.took
  step.done = true
}

interface Concluding {
  /** When the restore began, milliseconds. */
  started: number
  programs: Pick<Programs, 'directory'>
  command: PlanStep | undefined
}

/** What follows a restore into a database that stays: how its time was, and the user's command. */
export async function finishRestore(
  result: RestoreResult,
  options: RestoreOptions,
  { started, programs, command: step }: Concluding,
  work: Work,
): Promise<void> {
  judgeTime(result, options, started, work)
  result.age = Date.now() - Date.parse(result.snapshotAt)
  options.known?.({ database: result.target, lost: result.age })
  const ran = await command(result, options, programs, work)
  if (step && ran && ran.failed === undefined) step.done = true
}
