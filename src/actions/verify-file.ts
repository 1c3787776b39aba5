import { type ExternalDumpResult, verifyExternalDump } from '../verify/external-dump.ts'
import { reaches } from '../repository/level.ts'
import type { BackupSelector } from '../repository/selector.ts'
import { UserError } from '../errors.ts'
import type { VerifyInputs } from '../github/inputs/verify.ts'
import { externalDumpReport, externalDumpVerdict } from '../report/verify/external-dump.ts'
import { withStorages } from './destinations.ts'
import type { Step } from './run.ts'

/**
 * Verifies a dump that another tool made. What only a backup of ours can be asked for is refused,
 * not left out in silence.
 */
export async function verifyFile(
  which: Extract<BackupSelector, { kind: 'file' | 'store' }>,
  inputs: VerifyInputs,
  { env, work, secrets, output, report }: Step,
): Promise<void> {
  const { storage, level, identities, bindirs, scratch } = inputs
  refuseWhatIsBeyond(inputs)
  const options = {
    identities,
    bindirs,
    workspace: env['GITHUB_WORKSPACE'] || '.',
    ...(scratch ? { scratch } : {}),
    ...(level ? { level } : {}),
  }
  const result: ExternalDumpResult = await withStorages(storage, env, (sources) =>
    verifyExternalDump(which, { ...options, sources }, work),
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
      'Do not rely on this file. Make it again, with `set -o pipefail` where it goes through a pipe, and verify it.',
    )
  work.log.warning(externalDumpVerdict(shown))
}

function refuseWhatIsBeyond(inputs: VerifyInputs): void {
  const beyond = (name: string): UserError =>
    new UserError(
      'bad-input',
      `${name} cannot be kept to for a file that another tool made: nothing tells what the database held, or when.`,
      `Leave ${name} out. What is proven in full is a backup that the backup action made.`,
    )
  if (inputs.level && !reaches('restored', inputs.level)) throw beyond(`level: ${inputs.level}`)
  const given = {
    checks: inputs.checks.length > 0,
    'check-command': inputs.checkCommand,
    'max-age': inputs.maxAge,
    'max-restore-time': inputs.maxRestoreTime,
    'max-size-change': inputs.maxSizeChange,
  }
  for (const [name, value] of Object.entries(given)) if (value) throw beyond(name)
}
