import { withStorages } from '../actions/destinations.ts'
import type { Step } from '../actions/run.ts'
import { status } from '../core/status.ts'
import { UserError } from '../errors.ts'
import { badInput, type Env, inputLines, inputText, shown } from '../github/input.ts'
import { statusReport, tooOld } from '../report/status.ts'

/** The command `status`. With `max-age`, a backup that is older (or none) is a failure, so that a scheduler notices. */
export async function statusStep({ env, work, secrets, report }: Step, output: (name: string, value: unknown) => void): Promise<void> {
  const maxAge = readAge(env)
  const label = inputText(env, 'label')
  const result = secrets.redactAll(await withStorages(inputLines(env, 'storage'), env, (sources) => status({ sources, ...(label ? { label } : {}) }, work)))
  output('labels', result.labels)
  output('warnings', result.warnings)
  report(statusReport(result, maxAge))
  const late = tooOld(result, maxAge)
  if (late.length > 0) throw new UserError('backup-too-old', late.join(' '), 'Look why the scheduled backup did not run or failed, and run backup now.')
  if (maxAge !== undefined && result.labels.length === 0) throw new UserError('no-backup', 'There is no backup at all in this storage.', 'Check --storage, or run backup now.')
}

const milliseconds: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 }

/** Any length: a backup may be allowed to be weeks old. */
function readAge(env: Env): number | undefined {
  const given = inputText(env, 'max-age')
  if (given === '') return undefined
  const parts = /^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$/i.exec(given.replaceAll(' ', ''))?.slice(1) ?? []
  const sum = parts.reduce((total, part) => total + (part ? Number.parseInt(part, 10) * (milliseconds[part.slice(-1).toLowerCase()] ?? 0) : 0), 0)
  if (sum > 0) return sum
  throw badInput('max-age', `is ${shown(given)}, which is not a time`, 'Write a number with its unit (s, m, h, d), for example max-age: 26h or max-age: 7d.')
}
