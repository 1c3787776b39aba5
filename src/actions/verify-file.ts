import { type ExternalDumpResult, verifyExternalDump } from '../verify/external-dump.ts'
import { reaches } from '../repository/level.ts'
import type { ExternalSelector } from '../repository/selector.ts'
import { badInput } from '../errors/bad-input.ts'
import { UserError } from '../errors.ts'
import { input, text } from '../text.ts'
import type { VerifyInputs } from '../github/inputs/verify.ts'
import { externalDumpReport, externalDumpVerdict } from '../report/verify/external-dump.ts'
import { withStorages } from './destinations.ts'
import type { Step } from './run.ts'

/** Verifies an external dump: a file that another tool made. */
export async function verifyFile(
  selector: ExternalSelector,
  inputs: Omit<VerifyInputs, 'backup'>,
  { env, work, secrets, output, report }: Step,
): Promise<void> {
  const { storage, level, identities, bindirs, scratch } = inputs
  refuseBackupInputs(inputs)
  const options = {
    identities,
    bindirs,
    workspace: env['GITHUB_WORKSPACE'] || '.',
    ...(scratch ? { scratch } : {}),
    ...(level ? { level } : {}),
  }
  const result: ExternalDumpResult = await withStorages(storage, env, (sources) =>
    verifyExternalDump(selector, { ...options, sources }, work),
  )
  const failed = result.stoppedBy !== undefined
  output('level', result.level)
  output('checked', 1)
  output('valid', failed ? 0 : 1)
  if (result.timings.restore !== undefined) output('restore-ms', Math.round(result.timings.restore))
  const shown = secrets.redactAll(result)
  report(externalDumpReport(shown))
  if (failed)
    throw new UserError(
      'not-proven',
      externalDumpVerdict(shown),
      'Do not rely on this file. Create it again, with `set -o pipefail` if it goes through a ' +
        'pipe, and verify it.',
    )
  work.log.warning(externalDumpVerdict(shown))
}

/** Throws `bad-input` for an input that needs what only a backup records, instead of ignoring it. */
function refuseBackupInputs(inputs: Omit<VerifyInputs, 'backup'>): void {
  const refuse = (name: string, given: string): Error =>
    badInput(
      name,
      `${given}, and a file that another tool made does not record what the database held, or when`,
      text`Leave ${input(name)} out. Only a backup that Holdfast took can be proven in full.`,
    )
  if (inputs.level && !reaches('restored', inputs.level))
    throw refuse('level', `is "${inputs.level}"`)
  const given = {
    checks: inputs.checks.length > 0,
    'check-command': inputs.checkCommand,
    'max-age': inputs.maxAge,
    'max-restore-time': inputs.maxRestoreTime,
    'max-size-change': inputs.maxSizeChange,
  }
  for (const [name, value] of Object.entries(given)) if (value) throw refuse(name, 'is set')
}
