/** What `tables/` and `in-place/` share: both restore into a database that stays in use. */
import type { Session } from '../postgres/connection/session.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { Work } from '../work.ts'
import { recordObjective } from './objective.ts'
import type { RestoreOptions } from './options.ts'
import { type PlanStep, planStep } from './plan.ts'
import { runAndRecordPostCommand } from './post-command.ts'
import { emptyResult, type RestoreResult } from './result.ts'
import { createSafetyBackup, type SafetyBackupSettings, safetyStep } from './safety-backup.ts'

/** Returns the result before anything has been restored, with an empty plan. */
export function beginResult(
  backup: FoundBackup,
  options: RestoreOptions,
  session: Session,
): RestoreResult {
  const { source, label } = backup.manifest
  const { database } = options.target
  const mode = options.mode === 'in-place' ? 'in-place' : 'tables'
  const otherDatabase =
    source.database === database
      ? []
      : [
          `This is a backup of the database "${source.database}" (label ${label}), and the target is "${database}".`,
        ]
  return {
    ...emptyResult(mode, options, backup, session, {}),
    bytes: 0,
    rows: 0,
    tables: 0,
    warnings: otherDatabase,
  }
}

/** The optional first and last step of a plan. */
interface CommonSteps {
  safety?: PlanStep
  command?: PlanStep
}

/** Returns the steps that come before and after those of the mode. */
export function commonSteps(
  { postCommand }: RestoreOptions,
  safety: boolean,
  target: string,
  settings: SafetyBackupSettings,
): CommonSteps {
  return {
    ...(safety ? { safety: planStep(safetyStep(target, settings)) } : {}),
    ...(postCommand === undefined ? {} : { command: planStep('Run the post-command') }),
  }
}

/** Returns the plan in its order: safety backup, the mode's own steps, post-command. */
export function orderedPlan({
  safety,
  command,
  ...own
}: CommonSteps & Record<string, PlanStep>): PlanStep[] {
  return [...(safety ? [safety] : []), ...Object.values(own), ...(command ? [command] : [])]
}

/** Takes the safety backup if it is a step of the plan. */
export async function takeSafetyBackup(
  result: RestoreResult,
  options: RestoreOptions,
  { manifest }: FoundBackup,
  step: PlanStep | undefined,
  work: Work,
): Promise<void> {
  if (!step) return
  result.safetyBackup = await createSafetyBackup(
    options,
    { label: manifest.label, encryption: manifest.encryption },
    work,
  )
  result.timings.safety = result.safetyBackup.took
  step.done = true
}

interface FinishOptions {
  /** When the restore began, in milliseconds since 1970. */
  started: number
  programs: Pick<Programs, 'directory'>
  command: PlanStep | undefined
}

/** After the restore: checks max-restore-time and runs the post-command. */
export async function finishRestore(
  result: RestoreResult,
  options: RestoreOptions,
  { started, programs, command: step }: FinishOptions,
  work: Work,
): Promise<void> {
  recordObjective(result, options, started, work)
  result.age = Date.now() - Date.parse(result.snapshotAt)
  options.known?.({ database: result.target, lost: result.age })
  const postCommand = await runAndRecordPostCommand(result, options, programs, work)
  if (step && postCommand && postCommand.failed === undefined) step.done = true
}
