import { UserError } from '../errors.ts'
import { migrationEnvironment } from '../github/environment.ts'
import {
  type ListInputs,
  readListInputs,
  readRestoreInputs,
  type RestoreInputs,
} from '../github/inputs/restore.ts'
import { withAssumedLabel } from '../restore/assumed-label.ts'
import { runUrl } from '../github/run-url.ts'
import type { Report } from '../report/blocks.ts'
import { cleanReport, cleanVerdict } from '../report/restore/clean.ts'
import { restoreExternalReport, restoreExternalVerdict } from '../report/restore/external-dump.ts'
import { restoreReport, restoreVerdict } from '../report/restore/restore.ts'
import { undoReport, undoVerdict } from '../report/restore/undo.ts'
import { stateAfter } from '../report/restore/state.ts'
import { statusReport } from '../report/status.ts'
import { type ExternalSelector, isSingle } from '../repository/selector.ts'
import { status } from '../repository/status.ts'
import type { KnownFacts } from '../restore/options.ts'
import { restore as restoreBackup, type Task, type TaskResults } from '../restore/restore.ts'
import {
  type RestoreExternalResult,
  type RestoreExternalOptions,
  restoreExternalDump,
} from '../restore/swap/external-dump.ts'
import { either, join, type Text, text } from '../text.ts'
import { withStorages } from './destinations.ts'
import { fileInputs, type FileInputs } from './restore-file.ts'
import { run, type Step } from './run.ts'

export const restore = (): Promise<void> => run('restore', restoreStep)

export async function restoreStep({
  env,
  work,
  secrets,
  output,
  report,
  state,
}: Step): Promise<void> {
  const list = readListInputs(env)
  if (list) return listBackups(list, { env, work, secrets, report })
  const { storage, task, backup, ...inputs } = readRestoreInputs(env)
  // a fact is an output even if the step fails later
  const all: KnownFacts = {}
  const known = (some: KnownFacts): void => {
    Object.assign(all, some)
    const { id, safetyBackup, database, previousDatabase, lost } = some
    const facts = {
      'backup-id': id,
      'safety-backup-id': safetyBackup,
      database,
      'previous-database': previousDatabase,
      'lost-ms': lost,
    }
    for (const [name, value] of Object.entries(facts)) if (value !== undefined) output(name, value)
  }
  output('previous-database', '')
  const url = runUrl(env)
  const more = { environment: migrationEnvironment(env), known, ...(url ? { runUrl: url } : {}) }
  const running = runTask(task, backup, storage, inputs, more, { env, work })
  const result = await running.catch((error: unknown) => {
    state(stateAfter(error, { ...inputs, task }, all))
    throw error
  })
  if (result.task === 'restore' && result.restoredTables)
    output('schema', result.restoredTables.schemas.join('\n'))
  output('duration-ms', Math.round(result.timings.total))
  const shown = secrets.redactAll(result)
  const { blocks, verdict } = reportOf(shown)
  report(blocks)
  const [obstacle] = ('facts' in shown && shown.facts?.obstacles) || []
  if (obstacle) throw new UserError(obstacle.code, obstacle.message, obstacle.hint)
  const command = shown.task === 'clean' ? undefined : shown.postCommand
  if (command?.failed !== undefined)
    throw new UserError(
      'post-command-failed',
      text`${verdict} But the post-command ${command.failed}.`,
      join(
        [
          'The restore itself is complete.',
          text`${either('The job summary', 'The report above')} shows what you can do next.`,
          'Run the command again by hand.',
        ],
        ' ',
      ),
    )
  work.log.info(verdict)
}

type StepOptions = Pick<RestoreExternalOptions, 'environment' | 'known' | 'runUrl'>

function runTask(
  task: Task,
  backup: RestoreInputs['backup'],
  storage: readonly string[],
  inputs: Omit<RestoreInputs, 'storage' | 'task' | 'backup'>,
  more: StepOptions,
  context: Pick<Step, 'env' | 'work'>,
): Promise<TaskResults[Task] | RestoreExternalResult> {
  const { env, work } = context
  if (task === 'restore' && backup.kind === 'external')
    return restoreFile(backup, storage, fileInputs(inputs), more, context)
  // an undo and a clean read no backup
  const selector = isSingle(backup) ? backup : { kind: 'latest' as const }
  return withStorages(storage, env, (sources) =>
    restoreBackup({ ...inputs, ...more, task, backup: selector, sources }, work),
  )
}

/** Restores an external dump; `file:` paths start at the workspace. */
function restoreFile(
  backup: ExternalSelector,
  storage: readonly string[],
  inputs: FileInputs,
  more: StepOptions,
  { env, work }: Pick<Step, 'env' | 'work'>,
): Promise<RestoreExternalResult> {
  const workspace = env['GITHUB_WORKSPACE'] || '.'
  return withStorages(storage, env, (sources) =>
    restoreExternalDump({ ...inputs, ...more, backup, sources, workspace }, work),
  )
}

/** Reports the backups to restore from. */
async function listBackups(
  { storage, label, assumedLabel }: ListInputs,
  { env, work, secrets, report }: Pick<Step, 'env' | 'work' | 'secrets' | 'report'>,
): Promise<void> {
  const result = await withStorages(storage, env, (sources) => {
    const look = (of: { label?: string }): ReturnType<typeof status> =>
      status({ sources, ...of }, work)
    return assumedLabel === undefined
      ? look(label === undefined ? {} : { label })
      : withAssumedLabel(assumedLabel, () => look({ label: assumedLabel }))
  })
  report(statusReport(secrets.redactAll(result)))
}

function reportOf(result: TaskResults[keyof TaskResults] | RestoreExternalResult): {
  blocks: Report
  verdict: Text
} {
  switch (result.task) {
    case 'undo':
      return { blocks: undoReport(result), verdict: undoVerdict(result) }
    case 'clean':
      return { blocks: cleanReport(result), verdict: cleanVerdict(result) }
    case 'restore-file':
      return { blocks: restoreExternalReport(result), verdict: restoreExternalVerdict(result) }
    case 'restore':
      return { blocks: restoreReport(result), verdict: restoreVerdict(result) }
  }
}
