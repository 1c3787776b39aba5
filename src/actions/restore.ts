import { restore as restoreBackup } from '../core/restore.ts'
import { readRestoreInputs } from '../github/restore-inputs.ts'
import { restoreReport, restoreVerdict } from '../report/restore.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'

export const restore = (): Promise<void> => run('restore', restoreStep)

export async function restoreStep({ env, work, secrets, output, report }: Step): Promise<void> {
  const { storage, ...inputs } = readRestoreInputs(env)
  const result = await withStorages(storage, env, (sources) => restoreBackup({ ...inputs, sources }, work))
  output('backup-id', result.id)
  output('schema', result.part?.schemas.join('\n') ?? '')
  output('previous-database', result.previousDatabase ?? '')
  output('duration-ms', Math.round(result.timings.total))
  const shown = secrets.redactAll(result)
  report(restoreReport(shown))
  work.log.info(restoreVerdict(shown))
}
