import { backup as makeBackup } from '../backup/backup.ts'
import { readBackupInputs } from '../github/inputs/inputs.ts'
import { runUrl } from '../github/run-url.ts'
import { backupReport, backupVerdict } from '../report/backup.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'

export const backup = (): Promise<void> => run('backup', backupStep)

/** Makes one backup, sets the outputs and reports it. */
export async function backupStep({ env, work, secrets, output, report }: Step): Promise<void> {
  const { storage, ...inputs } = readBackupInputs(env)
  const url = runUrl(env)
  const options = { ...inputs, ...(url ? { runUrl: url } : {}) }
  const result = await withStorages(storage, env, (destinations) =>
    makeBackup({ ...options, destinations }, work),
  )
  output('backup-id', result.id)
  output('location', result.locations[0]?.location ?? '')
  output('bytes', result.bytes)
  output('rows', result.rows ?? '')
  output('duration-ms', Math.round(result.timings.total))
  const shown = secrets.redactAll(result)
  report(backupReport(shown))
  work.log.info(backupVerdict(shown))
}
