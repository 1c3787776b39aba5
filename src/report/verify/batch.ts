import type { ErrorCode } from '../../errors/catalogue.ts'
import { isPassing, type Level, levels, verdictOf } from '../../repository/level.ts'
import { code, either, input, type Text, text } from '../../text.ts'
import type { Looked, VerifyBatch } from '../../verify/batch.ts'
import {
  type Block,
  blocks,
  callout,
  type Callout,
  list,
  next,
  paragraph,
  type Report,
  section,
  symbols,
  table,
  verdict,
} from '../blocks.ts'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from '../format.ts'
import { capped, sentences, uniqueSentences, warningCallouts } from '../sections.ts'
import {
  fallenText,
  type MissedObjective,
  objectiveBlocks,
  objectiveCodes,
  objectiveHints,
  objectiveText,
} from './objectives.ts'
import { failedChecks, verifyReport, verifyVerdict } from './verify.ts'

type Standing = 'good' | 'bad' | 'short' | 'check-failed' | 'not-checked'

function standingOf({ result, failure }: Looked): Standing {
  if (failure) return failure.bad ? 'bad' : 'not-checked'
  const outcome = verdictOf(result)
  return isPassing(outcome) ? 'good' : outcome
}

/** The totals of a batch, for a step's outputs. */
export interface Sum {
  checked: number
  /** Backups that passed. */
  valid: number
  bad: number
  /** Backups without a fault that did not reach the requested level. */
  short: number
  checkFailed: number
  notChecked: number
  /** Every backup restores and is identical. */
  proven: boolean
  /** The lowest level; undefined if nothing was verified. */
  level?: Level
  /** Stored bytes of the backups that were verified. */
  bytes: number
  /** Age of the newest backup, milliseconds. */
  age?: number
  /** The slowest restore, milliseconds. */
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
    ...(newest ? { age: (newest.failure ?? newest.result).age } : {}),
    ...(restores.length ? { restore: Math.max(...restores) } : {}),
  }
}

/** For example `45 checked, 45 valid, 45 GiB`. */
function sumText(sum: Sum): string {
  return [
    `${formatCount(sum.checked)} checked`,
    `${formatCount(sum.valid)} valid`,
    ...(sum.bad ? [`${formatCount(sum.bad)} bad`] : []),
    ...(sum.short ? [`${formatCount(sum.short)} below the requested level`] : []),
    ...(sum.checkFailed ? [`${formatCount(sum.checkFailed)} with a failed check`] : []),
    ...(sum.notChecked ? [`${formatCount(sum.notChecked)} not checked`] : []),
    formatBytes(sum.bytes),
  ].join(', ')
}

/** One line for the log. */
export function batchVerdict(run: VerifyBatch): Text {
  const [single] = run.backups
  if (!run.several && single?.result) return verifyVerdict(single.result)
  if (!single)
    return text`Nothing to verify: ${judgedText(run)} of ${run.label} already has a verdict.`
  return `Backups of ${run.label}: ${sumText(sumOf(run))}, ${formatDuration(run.took)}.`
}

function judgedText({ there }: VerifyBatch): string {
  return there === 1 ? 'the only backup' : `each of the ${formatCount(there)} backups`
}

/** What a step fails with. */
export interface BatchFailure {
  /** The code of the most important cause. */
  code: ErrorCode
  message: Text
  hint: Text
}

type Cause = Pick<BatchFailure, 'code' | 'hint'> & { message?: Text }

/** Every cause for which the step fails, the most important first; undefined if it passes. */
export function batchFailure(run: VerifyBatch): BatchFailure | undefined {
  const causes = causesOf(run)
  const [worst] = causes
  if (!worst) return undefined
  const report = either('The job summary', 'The report above')
  return {
    code: worst.code,
    message: sentences(batchVerdict(run), ...causes.map(({ message }) => message)),
    hint: uniqueSentences([...causes.map(({ hint }) => hint), text`${report} has the details.`]),
  }
}

function causesOf(run: VerifyBatch): Cause[] {
  const sum = sumOf(run)
  const unchecked = run.backups.find((each) => standingOf(each) === 'not-checked')?.failure
  return [
    ...(sum.bad ? [badCause(run)] : []),
    ...(sum.short ? [shortCause] : []),
    ...(unchecked ? [uncheckedCause(unchecked)] : []),
    ...(sum.checkFailed ? [checkFailedCause] : []),
    ...missedObjectives(run).map(({ name, text: message }): Cause => ({
      code: objectiveCodes[name],
      message,
      hint: objectiveHints[name],
    })),
  ]
}

function badCause({ several }: VerifyBatch): Cause {
  const which = several ? 'the bad backups' : 'this backup'
  return {
    code: 'not-proven',
    hint: `Do not rely on ${which}. Take a new backup now and verify it.`,
  }
}

const shortCause: Cause = {
  code: 'not-proven',
  hint: text`No fault was found below the requested level, but some checks could not run. Remove the
    cause, or request a lower ${input('level')}.`,
}

const checkFailedCause: Cause = {
  code: 'check-failed',
  hint: text`A failed check does not mean that the backup is damaged. Compare the check with the
    data, then fix the one that is wrong.`,
}

function uncheckedCause({ message, hint }: NonNullable<Looked['failure']>): Cause {
  return {
    code: 'not-checked',
    hint: text`This run says nothing about backups that were not checked. The first cause:
      ${message} ${hint}`,
  }
}

/** Every objective that was not met. Of several backups, the sentence names the backup. */
function missedObjectives(run: VerifyBatch): MissedObjective[] {
  const age = run.age
    .filter(({ met }) => met === false)
    .map((each) => ({ name: each.name, text: objectiveText(each) }))
  const others = run.backups.flatMap(({ id, result }) =>
    (result?.objectives ?? [])
      .filter(({ name, met }) => met === false && name !== 'max-age')
      .map((each) => ({
        name: each.name,
        text: run.several ? text`${id}: ${objectiveText(each)}` : objectiveText(each),
      })),
  )
  return [...age, ...others]
}

export function batchReport(run: VerifyBatch): Report {
  const [single] = run.backups
  if (!run.several && single?.result) return verifyReport(single.result)
  const causes = causesOf(run)
  const missed = missedObjectives(run)
  const figures = single
    ? text`${formatMany(run.backups.length, 'backup')} of ${formatCount(run.there)}
      (${code(run.asked)}), in ${formatDuration(run.took)}.`
    : text`Not verified again: ${judgedText(run)} already has a verdict (${code(run.asked)}).`
  return blocks(
    verdict(
      causes.length > 0 ? 'fail' : 'pass',
      text`Backups of ${code(run.label)}: ${single ? sumText(sumOf(run)) : 'nothing to verify'}`,
    ),
    paragraph(figures),
    list(missed.map((each) => each.text)),
    warnings(run),
    causes.length > 0 ? next(uniqueSentences(causes.map(({ hint }) => hint))) : undefined,
    faultBlocks(run.backups),
    single ? backupTable(run.backups) : undefined,
    objectiveBlocks(run.age),
  )
}

function warnings({ backups }: VerifyBatch): Callout[] {
  const limited = backups.flatMap(({ result }) =>
    result !== undefined && verdictOf(result) === 'limited' ? [result] : [],
  )
  const limits = uniqueSentences(limited.flatMap(({ limit }) => limit ?? []))
  return [
    ...warningCallouts(
      backups.flatMap(({ id, result }) =>
        result
          ? [
              ...result.warnings.map((each) => text`${id}: ${each}`),
              ...fallenText(id, result.fallen),
            ]
          : [],
      ),
    ),
    ...(limited.length > 0
      ? [
          callout(
            'warning',
            text`Some checks could not run on ${formatMany(limited.length, 'backup')}: ${limits}`,
          ),
        ]
      : []),
  ]
}

const order: Standing[] = ['bad', 'not-checked', 'short', 'check-failed', 'good']
const marks: Record<Standing, string> = {
  bad: symbols.fail,
  short: symbols.fail,
  'not-checked': symbols.unknown,
  'check-failed': symbols.fail,
  good: symbols.pass,
}

/** Backups that did not pass, with the reason. On a phone a table has no room for it. */
function faultBlocks(backups: readonly Looked[]): Report {
  const faulty = inOrder(backups).filter((each) => standingOf(each) !== 'good')
  if (faulty.length === 0) return []
  const item = (looked: Looked): Text =>
    text`${marks[standingOf(looked)]} ${code(looked.id)}: ${reasonOf(looked)}`
  return blocks(
    section(formatMany(faulty.length, 'backup that did not pass', 'backups that did not pass')),
    capped(faulty, (some) => list(some.map(item)), 'backup'),
  )
}

/** Backups that need attention first, then the newest, as they come. */
function inOrder(backups: readonly Looked[]): Looked[] {
  const rank = (looked: Looked): number => order.indexOf(standingOf(looked))
  return backups.toSorted((a, b) => rank(a) - rank(b))
}

function backupTable(backups: readonly Looked[]): Report {
  const tableOf = (some: readonly Looked[]): Block =>
    table(['', 'Backup', 'Level', 'Age', 'Restored in', 'Size', 'Snapshot'], some.map(rowOf), [
      'left',
      'left',
      'left',
      'right',
      'right',
      'right',
    ])
  return blocks(section('All backups of this run'), capped(inOrder(backups), tableOf, 'backup'))
}

function rowOf(looked: Looked): Text[] {
  const { id, result, failure } = looked
  const first = [marks[standingOf(looked)], text`${code(id)}`]
  if (failure)
    return [
      ...first,
      failure.bad ? 'none' : '–',
      formatAge(failure.age),
      '–',
      '–',
      formatMoment(failure.snapshotAt),
    ]
  const { restore } = result.timings
  return [
    ...first,
    result.level,
    formatAge(result.age),
    restore === undefined ? '–' : formatDuration(restore),
    formatBytes(result.bytes),
    formatMoment(result.snapshotAt),
  ]
}

function reasonOf({ result, failure }: Looked): Text {
  if (failure)
    return failure.bad
      ? text`bad: ${failure.message}`
      : text`not checked, because: ${failure.message}`
  switch (verdictOf(result)) {
    case 'bad':
      return text`bad: ${result.stoppedBy ?? ''}`
    case 'check-failed':
      return text`${result.proven ? 'the backup is good, but' : 'no fault found, but'} a check failed:
        ${failedChecks(result)}`
    default:
      return text`no fault found, but level "${result.level}" is below the requested level:
        ${result.limit ?? ''}`
  }
}
