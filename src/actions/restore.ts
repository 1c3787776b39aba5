import { UserError } from '../errors.ts'
import { migrationEnvironment } from '../github/environment.ts'
import { readRestoreInputs } from '../github/inputs/restore.ts'
import { runUrl } from '../github/run-url.ts'
import type { Report } from '../report/blocks.ts'
import { cleanReport, cleanVerdict } from '../report/restore/clean.ts'
import { restoreExternalReport, restoreExternalVerdict } from '../report/restore/external-dump.ts'
import { restoreReport, restoreVerdict } from '../report/restore/restore.ts'
import { undoReport, undoVerdict } from '../report/restore/undo.ts'
import { statusReport } from '../report/status.ts'
import { status } from '../repository/status.ts'
import type { KnownFacts } from '../restore/options.ts'
import { restore as restoreBackup, type TaskResults } from '../restore/restore.ts'
import {
  type RestoreExternalResult,
  type RestoreExternalOptions,
  restoreExternalDump,
} from '../restore/swap/external-dump.ts'
import { type Text, text } from '../text.ts'
import { withStorages } from './destinations.ts'
import { fileInputs, type FileInputs, namesFile } from './restore-file.ts'
import { run, type Step } from './run.ts'

export const restore = (): Promise<void> => run('restore', restoreStep)

export async function restoreStep({ env, work, secrets, output, report }: Step): Promise<void> {
  const { storage, task, ...inputs } = readRestoreInputs(env)
  if (task === 'list') return listBackups(storage, inputs, { env, work, secrets, report })
  // what is known is an output even when the step fails later
  const known = ({ id, safetyBackup, database, previousDatabase, lost }: KnownFacts): void => {
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
  const result = namesFile({ task, ...inputs })
    ? await fromFile(storage, fileInputs(inputs), more, { env, work })
    : await withStorages(storage, env, (sources) =>
        restoreBackup({ ...inputs, ...more, task, sources }, work),
      )
  if (result.task === 'restore' && result.part) output('schema', result.part.schemas.join('\n'))
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
      text`What was restored is restored all the same, and the job summary says what can be done
        about it. Run the command again by hand.`,
    )
  work.log.info(verdict)
}

/** From a file that another tool made; its path is one in the workspace. */
function fromFile(
  storage: readonly string[],
  inputs: FileInputs,
  more: Pick<RestoreExternalOptions, 'environment' | 'known' | 'runUrl'>,
  { env, work }: Pick<Step, 'env' | 'work'>,
): Promise<RestoreExternalResult> {
  return withStorages(storage, env, (sources) =>
    restoreExternalDump(
      { ...inputs, ...more, sources, workspace: env['GITHUB_WORKSPACE'] || '.' },
      work,
    ),
  )
}

/** What there is to restore from. */
async function listBackups(
  storage: readonly string[],
  { label, target }: { label?: string; target: { database: string } },
  { env, work, secrets, report }: Pick<Step, 'env' | 'work' | 'secrets' | 'report'>,
): Promise<void> {
  const result = await withStorages(storage, env, (sources) =>
    status({ sources, label: label ?? target.database }, work),
  )
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
