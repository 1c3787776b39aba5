import { withStorages } from '../actions/destinations.ts'
import type { Step } from '../actions/run.ts'
import { status } from '../repository/status.ts'
import { UserError } from '../errors.ts'
import { inputAge, inputLines, inputText } from '../github/inputs/input.ts'
import { statusReport, tooOld } from '../report/status.ts'
import { join } from '../text.ts'

/**
 * The command `status`. With `max-age`, it fails if a label has no backup, or if its newest one is
 * older, so that a scheduler notices.
 */
export async function statusStep(
  { env, work, secrets, report }: Step,
  output: (name: string, value: unknown) => void,
): Promise<void> {
  const maxAge = inputAge(env, 'max-age')
  const label = inputText(env, 'label')
  const result = secrets.redactAll(
    await withStorages(inputLines(env, 'storage'), env, (sources) =>
      status({ sources, ...(label ? { label } : {}) }, work),
    ),
  )
  output('labels', result.labels)
  output('warnings', result.warnings)
  report(statusReport(result, maxAge))
  const late = tooOld(result, maxAge)
  if (late.length > 0)
    throw new UserError(
      'backup-too-old',
      join(late, ' '),
      'Find out why the scheduled backup did not run or failed, and run a backup now.',
    )
}
