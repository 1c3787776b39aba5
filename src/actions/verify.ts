import { verifyBatch } from '../verify/batch.ts'
import { UserError } from '../errors.ts'
import { migrationEnvironment } from '../github/environment.ts'
import { runUrl } from '../github/run-url.ts'
import { readVerifyInputs } from '../github/inputs/verify.ts'
import { batchFailure, batchReport, batchVerdict, sumOf } from '../report/verify/batch.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'
import { verifyFile } from './verify-file.ts'

export const verify = (): Promise<void> => run('verify', verifyStep)

export async function verifyStep(step: Step): Promise<void> {
  const { env, work, secrets, output, report } = step
  // so that a later step can compare them after a failure too
  for (const [name, value] of [
    ['backup-id', ''],
    ['level', 'none'],
    ['proven', false],
    ['checked', 0],
    ['valid', 0],
    ['age-ms', ''],
    ['restore-ms', ''],
  ] as const)
    output(name, value)
  const { backup, ...given } = readVerifyInputs(env)
  if (backup.kind === 'external') return verifyFile(backup, given, step)
  const {
    storage,
    checkCommand,
    workingDirectory,
    maxAge,
    maxRestoreTime,
    maxSizeChange,
    ...inputs
  } = given
  const url = runUrl(env)
  const objectives = {
    ...(maxAge === undefined ? {} : { maxAge }),
    ...(maxRestoreTime === undefined ? {} : { maxRestoreTime }),
    ...(maxSizeChange === undefined ? {} : { maxSizeChange }),
  }
  const options = {
    ...inputs,
    ...(checkCommand
      ? {
          checkCommand: {
            command: checkCommand,
            workingDirectory,
            timeout: inputs.timeout,
            environment: migrationEnvironment(env),
          },
        }
      : {}),
    objectives,
    ...(url ? { runUrl: url } : {}),
  }
  const result = await withStorages(storage, env, (sources) =>
    verifyBatch({ ...options, backup, sources }, work),
  )
  const sum = sumOf(result)
  output('backup-id', result.backups[0]?.id ?? '')
  output('level', sum.level ?? '')
  output('proven', sum.proven)
  output('checked', sum.checked)
  output('valid', sum.valid)
  output('age-ms', sum.age === undefined ? '' : Math.round(sum.age))
  output('restore-ms', sum.restore === undefined ? '' : Math.round(sum.restore))
  const shown = secrets.redactAll(result)
  report(batchReport(shown))
  const failure = batchFailure(shown)
  if (failure) throw new UserError(failure.code, failure.message, failure.hint)
  const limited = shown.backups.some(
    ({ result: one }) =>
      one !== undefined && !one.proven && one.limit !== undefined && one.asked === undefined,
  )
  work.log[limited ? 'warning' : 'info'](batchVerdict(shown))
}
