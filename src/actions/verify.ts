import { verify as proveBackup } from '../core/verify.ts'
import { UserError } from '../errors.ts'
import { readVerifyInputs } from '../github/verify-inputs.ts'
import { runUrl } from '../github/run-url.ts'
import { verifyReport, verifyVerdict } from '../report/verify.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'

export const verify = (): Promise<void> => run('verify', verifyStep)

export async function verifyStep({ env, work, secrets, output, report }: Step): Promise<void> {
  // a step that reads them after a failure must not meet an empty word
  output('level', 'none')
  output('proven', false)
  const { storage, ...inputs } = readVerifyInputs(env)
  const url = runUrl(env)
  const options = { ...inputs, ...(url ? { runUrl: url } : {}) }
  const result = await withStorages(storage, env, (sources) => proveBackup({ ...options, sources }, work))
  output('backup-id', result.id)
  output('level', result.level)
  output('proven', result.proven)
  const shown = secrets.redactAll(result)
  report(verifyReport(shown))
  const sound = result.proven || (result.limit !== undefined && result.stoppedBy === undefined)
  if (!sound) {
    throw new UserError('not-proven', verifyVerdict(shown), 'Do not rely on this backup. Take a new one now and verify it; the job summary shows what differs.')
  }
  work.log[result.proven ? 'info' : 'warning'](verifyVerdict(shown))
}
