import { UserError } from '../errors.ts'
import { migrationEnvironment } from '../github/environment.ts'
import type { Env } from '../github/inputs/input.ts'
import { readVerifyInputs, type VerifyInputs } from '../github/inputs/verify.ts'
import { runUrl } from '../github/run-url.ts'
import { batchFailure, batchReport, batchVerdict, sumOf } from '../report/verify/batch.ts'
import { verifyBatch, type VerifyBatch } from '../verify/batch.ts'
import type { ProveOptions } from '../verify/result.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'
import { verifyFile } from './verify-file.ts'

export const verify = (): Promise<void> => run('verify', verifyStep)

/** Set first, so that a later step can read them after a failure too. */
const defaultOutputs = {
  'backup-id': '',
  level: 'none',
  proven: false,
  checked: 0,
  valid: 0,
  'age-ms': '',
  'restore-ms': '',
}

export async function verifyStep(step: Step): Promise<void> {
  const { env, work, secrets, output, report } = step
  for (const [name, value] of Object.entries(defaultOutputs)) output(name, value)
  const { backup, storage, ...inputs } = readVerifyInputs(env)
  if (backup.kind === 'external') return verifyFile(backup, { storage, ...inputs }, step)
  const options = { ...proveOptions(inputs, env), backup }
  const result = await withStorages(storage, env, (sources) =>
    verifyBatch({ ...options, sources }, work),
  )
  setOutputs(result, output)
  const shown = secrets.redactAll(result)
  report(batchReport(shown))
  const failure = batchFailure(shown)
  if (failure) throw new UserError(failure.code, failure.message, failure.hint)
  work.log[isLimited(shown) ? 'warning' : 'info'](batchVerdict(shown))
}

function proveOptions(
  inputs: Omit<VerifyInputs, 'backup' | 'storage'>,
  env: Env,
): Omit<ProveOptions, 'sources'> {
  const { checkCommand, workingDirectory, maxAge, maxRestoreTime, maxSizeChange, ...rest } = inputs
  const url = runUrl(env)
  const command = checkCommand && {
    command: checkCommand,
    workingDirectory,
    timeout: rest.timeout,
    environment: migrationEnvironment(env),
  }
  return {
    ...rest,
    ...(command ? { checkCommand: command } : {}),
    objectives: {
      ...(maxAge === undefined ? {} : { maxAge }),
      ...(maxRestoreTime === undefined ? {} : { maxRestoreTime }),
      ...(maxSizeChange === undefined ? {} : { maxSizeChange }),
    },
    ...(url ? { runUrl: url } : {}),
  }
}

function setOutputs(result: VerifyBatch, output: Step['output']): void {
  const { level, proven, checked, valid, age, restore } = sumOf(result)
  output('backup-id', result.backups[0]?.id ?? '')
  output('level', level ?? '')
  output('proven', proven)
  output('checked', checked)
  output('valid', valid)
  output('age-ms', age === undefined ? '' : Math.round(age))
  output('restore-ms', restore === undefined ? '' : Math.round(restore))
}

/** Whether a backup has no fault but could not be proven, and no lower level was requested. */
function isLimited({ backups }: VerifyBatch): boolean {
  return backups.some(
    ({ result }) =>
      result !== undefined &&
      !result.proven &&
      result.limit !== undefined &&
      result.asked === undefined,
  )
}
