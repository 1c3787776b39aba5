import type { ErrorCode } from '../../errors/catalogue.ts'
import { levels, isPassing, type Level, verdictOf } from '../../repository/level.ts'
import type { ObjectiveResult } from '../../verify/objectives.ts'
import type { Looked, VerifyBatch } from '../../verify/batch.ts'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import {
  blocks,
  code,
  list,
  md,
  table,
  text,
  type Markdown,
  type Piece,
} from '../markdown/markdown.ts'
import { fallenText, objectiveCodes, objectivesPart, objectiveText } from './objectives.ts'
import { capped, warningsPart } from '../markdown/sections.ts'
import { verifyReport, verifyVerdict } from './verify.ts'

type Standing = 'good' | 'bad' | 'short' | 'check-failed' | 'not-checked'

function standingOf({ result, failure }: Looked): Standing {
  if (failure) return failure.bad ? 'bad' : 'not-checked'
  const verdict = verdictOf(result)
  return isPassing(verdict)
    ? 'good'
    : verdict === 'check-failed' || verdict === 'short'
      ? verdict
      : 'bad'
}

/**
 * How many were looked at, how many of these nothing speaks against, and the rest of what a step
 * tells of a run.
 */
export interface Sum {
  checked: number
  valid: number
  bad: number
  /**
   * Nothing speaks against them, and they could not be seen to reach the level that was asked for.
   */
  short: number
  checkFailed: number
  notChecked: number
  /** Every one of them restores and is identical. */
  proven: boolean
  /** The lowest; undefined when nothing was looked at. */
  level?: Level
  /** Stored, of those that were looked at. */
  bytes: number
  /** Milliseconds, of the newest. */
  age?: number
  /** Milliseconds, the slowest. */
  restore?: number
}

export function sumOf({ backups }: VerifyBatch): Sum {
  const count = (wanted: Standing): number =>
    backups.filter((each) => standingOf(each) === wanted).length
  const results = backups.flatMap(({ result }) => result ?? [])
  const [bad, notChecked] = [count('bad'), count('not-checked')]
  const ranks = backups.map(({ result }) => levels.indexOf(result?.level ?? 'none'))
  const restores = results.flatMap(({ timings }) => timings.restore ?? [])
  const [newest] = backups
  return {
    checked: backups.length - notChecked,
    valid: count('good'),
    bad,
    short: count('short'),
    checkFailed: count('check-failed'),
    notChecked,
    proven: backups.every(({ result }) => result?.proven),
    ...(ranks.length ? { level: levels[Math.min(...ranks)] as Level } : {}),
    bytes: results.reduce((sum, each) => sum + each.bytes, 0),
    ...(newest ? { age: newest.result?.age ?? newest.failure?.age ?? 0 } : {}),
    ...(restores.length ? { restore: Math.max(...restores) } : {}),
  }
}

/** For example `45 checked, 45 valid, 45 GiB`. */
function sumText(sum: Sum): string {
  return [
    `${formatCount(sum.checked)} checked`,
    `${formatCount(sum.valid)} valid`,
    ...(sum.bad ? [`${formatCount(sum.bad)} bad`] : []),
    ...(sum.short ? [`${formatCount(sum.short)} below the level that was asked for`] : []),
    ...(sum.checkFailed ? [`${formatCount(sum.checkFailed)} with a failed check`] : []),
    ...(sum.notChecked ? [`${formatCount(sum.notChecked)} not checked`] : []),
    formatBytes(sum.bytes),
  ].join(', ')
}

/** One line for the log. */
export function batchVerdict(run: VerifyBatch): string {
  const [one] = run.backups
  if (!run.several && one?.result) return verifyVerdict(one.result)
  if (!one)
    return `Nothing to verify: none of the ${formatMany(run.there, 'backup')} of ${run.label} is without a verdict.`
  return `Backups of ${run.label}: ${sumText(sumOf(run))}, ${formatDuration(run.took)}.`
}

/** What a step fails with. `code` is that of what weighs most. */
export interface BatchFailure {
  code: ErrorCode
  message: string
  hint: string
}

const cause = (code: ErrorCode, hint: string): BatchFailure => ({ code, message: '', hint })

/**
 * Why the step is to fail: everything at once, what weighs most first; undefined when nothing
 * speaks against it.
 */
export function batchFailure(run: VerifyBatch): BatchFailure | undefined {
  const sum = sumOf(run)
  const missed = missedOf(run)
  const first = run.backups.find((each) => standingOf(each) === 'not-checked')?.failure
  const causes: BatchFailure[] = [
    ...(sum.bad
      ? [
          cause(
            'not-proven',
            run.several
              ? 'Do not rely on the backups that are bad; the job summary names them, and what is wrong with each. Take a new backup now and verify it.'
              : 'Do not rely on this backup. Take a new one now and verify it; the job summary shows what differs.',
          ),
        ]
      : []),
    ...(sum.short
      ? [
          cause(
            'not-proven',
            'Nothing speaks against the backup: what could not be looked at, and what would show it, is in its limit. Or ask for a lower level.',
          ),
        ]
      : []),
    ...(first
      ? [
          cause(
            'not-checked',
            `Of those that were not checked, nothing is known from this run. The first: ${first.message} ${first.hint}`,
          ),
        ]
      : []),
    ...(sum.checkFailed
      ? [
          cause(
            'check-failed',
            'The backup itself says nothing against it: look at what your check says of the data, and at the check.',
          ),
        ]
      : []),
    ...missed.map(({ name, message }) => ({
      code: objectiveCodes[name],
      message,
      hint: hints[name],
    })),
  ]
  const [worst] = causes
  if (!worst) return undefined
  return {
    code: worst.code,
    message: [batchVerdict(run), ...causes.flatMap(({ message }) => message || [])].join(' '),
    hint: [...new Set(causes.map(({ hint }) => hint))].join(' '),
  }
}

const hints: Record<ObjectiveResult['name'], string> = {
  'max-age': 'Look why the scheduled backup did not run or failed, and run backup now.',
  'max-restore-time':
    'Restore on a larger machine, raise jobs, or raise max-restore-time if that is what a loss may cost.',
  'max-size-change':
    'Look whether the data is really gone, or grew, before older backups are removed; if it is as it should be, raise max-size-change.',
}

/** Every objective that was not met, as a sentence; those of one of several backups say which. */
function missedOf(run: VerifyBatch): { name: ObjectiveResult['name']; message: string }[] {
  const own = run.backups.flatMap(({ id, result }) =>
    (result?.objectives ?? [])
      .filter(({ name, met }) => met === false && name !== 'max-age')
      .map((each) => ({ id, each })),
  )
  return [
    ...run.age
      .filter(({ met }) => met === false)
      .map((each) => ({ name: each.name, message: objectiveText(each) })),
    ...own.map(({ id, each }) => ({
      name: each.name,
      message: run.several ? `${id}: ${objectiveText(each)}` : objectiveText(each),
    })),
  ]
}

export function batchReport(run: VerifyBatch): string {
  const [one] = run.backups
  if (!run.several && one?.result) return verifyReport(one.result)
  const failure = batchFailure(run)
  const mark = failure ? '❌' : '✅'
  const missed = missedOf(run)
  const warnings = run.backups.flatMap(({ id, result }) =>
    result
      ? [...result.warnings.map((each) => `${id}: ${each}`), ...fallenText(id, result.fallen)]
      : [],
  )
  const limited = run.backups.filter(
    ({ result }) => result !== undefined && verdictOf(result) === 'limited',
  )
  return `${
    blocks(
      one
        ? md`## ${mark} Backups of ${code(run.label)}: ${sumText(sumOf(run))}`
        : md`## ${mark} Backups of ${code(run.label)}: nothing to verify`,
      one
        ? md`${formatMany(run.backups.length, 'backup')} of ${formatCount(run.there)} (${code(run.asked)}), in ${formatDuration(run.took)}.`
        : md`None of the ${formatMany(run.there, 'backup')} is without a verdict (${code(run.asked)}).`,
      missed.length ? list(missed.map(({ message }) => text(message))) : undefined,
      warningsPart(warnings),
      limited.length
        ? md`> ⚠️ Of ${formatMany(limited.length, 'backup')} not all could be looked at, because of their fingerprints or of the scratch server: ${limitsOf(limited)}`
        : undefined,
      one ? tablePart(run.backups) : undefined,
      objectivesPart(run.age),
    ).markdown
  }\n`
}

/** Each once. */
function limitsOf(limited: readonly Looked[]): string {
  return [...new Set(limited.flatMap(({ result }) => result?.limit ?? []))].join(' ')
}

const order: Standing[] = ['bad', 'not-checked', 'short', 'check-failed', 'good']
const marks: Record<Standing, string> = {
  bad: '❌',
  short: '❌',
  'not-checked': '❔',
  'check-failed': '❌',
  good: '✅',
}

/** A line each, those that need looking at first; among them, the newest first. */
function tablePart(backups: readonly Looked[]): Markdown {
  const sorted = [...backups].sort(
    (a, b) => order.indexOf(standingOf(a)) - order.indexOf(standingOf(b)) || (a.id < b.id ? 1 : -1),
  )
  const head = ['', 'Backup', 'Snapshot', 'Age', 'Size', 'Level', 'Restored in', 'Verdict']
  return capped(
    sorted,
    (some) =>
      table(head, some.map(row), [
        'left',
        'left',
        'left',
        'right',
        'right',
        'left',
        'right',
        'left',
      ]),
    'backup',
  )
}

function row(looked: Looked): Piece[] {
  const { id, result, failure } = looked
  const mark = marks[standingOf(looked)]
  if (failure)
    return [
      mark,
      code(id),
      formatMoment(failure.snapshotAt),
      formatAge(failure.age),
      '–',
      failure.bad ? 'none' : '–',
      '–',
      text(failure.bad ? failure.message : `not checked, because: ${failure.message}`),
    ]
  const restore =
    result.timings.restore === undefined ? '–' : formatDuration(result.timings.restore)
  return [
    mark,
    code(id),
    formatMoment(result.snapshotAt),
    formatAge(result.age),
    formatBytes(result.bytes),
    result.level,
    restore,
    text(verdictText(result)),
  ]
}

function verdictText(result: NonNullable<Looked['result']>): string {
  const words = {
    proven: 'proven',
    reached: 'good, as far as was asked',
    limited: 'nothing speaks against it',
    short: 'nothing speaks against it, and below the level that was asked for:',
    'check-failed': 'the backup is good, a check failed:',
    bad: 'bad:',
  }
  const verdict = verdictOf(result)
  const said =
    result.stoppedBy ??
    result.checks.find(({ passed }) => !passed)?.outcome ??
    (verdict === 'short' ? result.limit : undefined)
  return isPassing(verdict) || said === undefined ? words[verdict] : `${words[verdict]} ${said}`
}
