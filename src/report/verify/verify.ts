/** Reports of verifications. */
import {
  type Difference,
  isPassing,
  type Level,
  levels,
  verdictOf,
} from '../../repository/level.ts'
import { code, input, strong, type Text, text } from '../../text.ts'
import type { VerifyResult } from '../../verify/result.ts'
import type { CheckResult } from '../../verify/user-checks.ts'
import {
  type Block,
  blocks,
  codeBlock,
  details,
  type Details,
  facts,
  type Heading,
  list,
  next,
  type Next,
  paragraph,
  type Report,
  section,
  settings,
  symbols,
  table,
  timeline,
  verdict,
} from '../blocks.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from '../format.ts'
import { definitionName, capped, sentences, warningCallouts } from '../sections.ts'
import { fallenText, objectiveBlocks } from './objectives.ts'

/** What each level says about a backup. */
const meanings: Record<Exclude<Level, 'none'>, string> = {
  stored: 'every object is stored in full, with the digest in the manifest',
  readable: 'it decrypts, and every archive is complete and has the tables in the manifest',
  restored: 'it was loaded into an empty database without an error',
  counted: 'every table has as many rows as at the snapshot',
  identical: 'content, schema, sequences and large objects are the same as at the snapshot',
  accepted: 'your own checks pass on the copy',
}

const someNotChecked = 'no fault found, but some checks could not run'

/** One line for the log. */
export function verifyVerdict(result: VerifyResult): Text {
  const { id, label, level, asked = '', limit, stoppedBy } = result
  const which = `backup ${id} of ${label}`
  switch (verdictOf(result)) {
    case 'proven':
      return sentences(
        `Proven: ${which} restores and is identical to the database at ${formatMoment(result.snapshotAt)}.`,
        level === 'accepted' ? `${checksPassed(result)}.` : undefined,
      )
    case 'reached':
      return `Passed: ${which} reached the requested level "${level}"; no fault found.`
    case 'limited':
      return sentences(`Verified: ${which} reached level "${level}"; ${someNotChecked}.`, limit)
    case 'check-failed':
      return sentences(
        `A check failed: ${which} reached level "${level}".`,
        result.proven
          ? 'The backup itself is good: it is identical to the database at the snapshot.'
          : undefined,
        failedChecks(result),
      )
    case 'short':
      return sentences(
        `Not proven: ${which}. Expected level "${asked}", reached "${level}". No fault found.`,
        limit,
      )
    case 'bad':
      return sentences(`Not proven: ${which} reached level "${level}".`, stoppedBy)
  }
}

function checksPassed({ checks }: VerifyResult): string {
  return checks.length === 1 ? 'Your check passed' : `Your ${checks.length} checks passed`
}

/** A sentence for each of the user's checks that failed. */
export function failedChecks({ checks, stoppedBy }: VerifyResult): Text {
  if (stoppedBy !== undefined) return stoppedBy
  const failed = checks.filter(({ passed }) => !passed)
  return sentences(...failed.map(({ name, outcome }) => text`The check "${name}" ${outcome}.`))
}

function headline(result: VerifyResult): Heading {
  const { level, asked = '' } = result
  const label = code(result.label)
  switch (verdictOf(result)) {
    case 'proven':
      return level === 'accepted'
        ? verdict(
            'pass',
            text`Backup of ${label} proven: it restores, is identical, and passes your checks`,
          )
        : verdict('pass', text`Backup of ${label} proven: it restores and is identical`)
    case 'reached':
      return verdict('pass', text`Backup of ${label} is ${level}, as requested; no fault found`)
    case 'limited':
      return verdict('warning', text`Backup of ${label} is ${level}: ${someNotChecked}`)
    case 'check-failed': {
      const failed = result.checks.filter(({ passed }) => !passed).length
      const good = result.proven ? '; the backup itself is good' : ''
      return verdict(
        'fail',
        text`Backup of ${label}: ${failed === 1 ? 'one' : failed} of your checks failed${good}`,
      )
    }
    case 'short':
      return verdict(
        'fail',
        text`Backup of ${label} is ${level}, not ${asked} as requested: ${someNotChecked}`,
      )
    case 'bad':
      return verdict('fail', text`Backup of ${label} not proven: do not rely on it`)
  }
}

export function verifyReport(result: VerifyResult): Report {
  const verdict = verdictOf(result)
  return blocks(
    headline(result),
    reason(result),
    figures(result),
    isPassing(verdict) ? lossIfLost(result) : undefined,
    warningCallouts([...result.warnings, ...fallenText(result.id, result.fallen)]),
    nextStep(result),
    levelTable(result),
    objectiveBlocks(result.objectives),
    checkBlocks(result.checks),
    differenceBlocks(result.differences),
    isPassing(verdict) && verdict !== 'reached' ? howToRestore(result) : undefined,
    verifyDetails(result),
  )
}

function reason({ stoppedBy, limit }: VerifyResult): Block | undefined {
  if (stoppedBy) return paragraph(text`${strong('Cause:')} ${stoppedBy}`)
  return limit ? paragraph(text`${strong('Not checked:')} ${limit}`) : undefined
}

function lossIfLost({ snapshotAt, age }: VerifyResult): Block {
  return paragraph(
    text`If you lost the database now, data written after ${strong(formatMoment(snapshotAt))}
      (${formatAge(age)} before this verification) would not be in this backup.`,
  )
}

function figures({ tables, limit, rows, bytes, timings }: VerifyResult): Block {
  const content =
    tables === 0 && limit !== undefined
      ? 'Rows and tables not counted'
      : `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
  const { restore, compare, total } = timings
  const times = [
    ...(restore === undefined ? [] : [`restored in ${formatDuration(restore)}`]),
    ...(compare === undefined ? [] : [`compared in ${formatDuration(compare)}`]),
  ]
  const took = times.length > 0 ? times.join(', ') : `checked in ${formatDuration(total)}`
  return paragraph(text`${strong(content)}, ${formatBytes(bytes)} stored; ${took}.`)
}

function levelTable(result: VerifyResult): Block {
  const reached = levels.indexOf(result.level)
  const outcome = verdictOf(result)
  // a limit leaves levels between the one that was reached and the failed checks
  const failed = outcome === 'check-failed' ? levels.indexOf('accepted') : reached + 1
  const shown = (levels.slice(1) as (keyof typeof meanings)[]).filter(
    (level) => level !== 'accepted' || result.checks.length > 0 || result.asked === level,
  )
  const markOf = (rank: number): string => {
    if (rank <= reached) return symbols.pass
    return rank === failed && !isPassing(outcome) ? symbols.fail : symbols.none
  }
  return table(
    ['', 'Level', 'Meaning'],
    shown.map((level, i) => [
      markOf(i + 1),
      i + 1 === reached ? text`${strong(level)}` : level,
      meanings[level],
    ]),
  )
}

function checkBlocks(checks: readonly CheckResult[]): Report {
  if (checks.length === 0) return []
  const failedFirst = [...checks].sort((a, b) => Number(a.passed) - Number(b.passed))
  const command = checks.find(({ output }) => output)
  const tableOf = (some: readonly CheckResult[]): Block =>
    table(
      ['', 'Check', 'Result', 'Took'],
      some.map(({ name, passed, outcome, took }) => [
        passed ? symbols.pass : symbols.fail,
        name,
        outcome,
        formatDuration(took),
      ]),
      ['left', 'left', 'left', 'right'],
    )
  return blocks(
    section(checks.length === 1 ? 'Your check' : `Your ${checks.length} checks`),
    capped(failedFirst, tableOf, 'check'),
    command?.output
      ? details(`Output of ${command.name}`, codeBlock(command.output, 'text'))
      : undefined,
  )
}

function differenceBlocks(differences: readonly Difference[]): Report {
  if (differences.length === 0) return []
  const tableOf = (some: readonly Difference[]): Block =>
    table(
      ['Object', 'In the backup', 'In the copy', 'Kind'],
      some.map((each) => [
        text`${code(definitionName(each.object))}`,
        each.expected,
        each.found,
        each.kind,
      ]),
    )
  return blocks(
    section(formatMany(differences.length, 'difference')),
    capped(differences, tableOf, 'difference'),
  )
}

function nextStep(result: VerifyResult): Next | undefined {
  const { label, level } = result
  switch (verdictOf(result)) {
    case 'proven':
    case 'limited':
      return undefined
    case 'reached':
      return next(
        text`nothing beyond level "${level}" was checked. Leave ${input('level')} out to restore and
          compare the backup.`,
      )
    case 'check-failed':
      return next(
        text`compare the failed check with the data. If the check is right, the data was already
          wrong at ${formatMoment(result.snapshotAt)}; an older backup may be better
          (${input('backup', 'before: …')}). If it is wrong, fix the check.`,
      )
    case 'short':
      return next(
        text`fix what the limit above names, or request ${input('level', level)}. No fault was found
          in this backup.`,
      )
    case 'bad':
      return next(
        '',
        list([
          text`Take a new backup now with ${code('backup')}, then run ${code('verify')} with
            ${input('backup', 'latest')}.`,
          text`To find the newest good backup, run ${code('verify')} with ${input('label', label)}
            and an older id in ${input('backup')}.`,
          text`Do not change or delete ${code(result.location)} until you know the cause.`,
        ]),
      )
  }
}

function howToRestore({ label, id }: VerifyResult): Details {
  return details(
    'Restore from this backup',
    paragraph(
      text`Run ${code('restore')} with the inputs below, and with ${input('storage')},
        ${input('decrypt-with')}, ${input('target-url')} and ${input('confirm')}. It shows its plan;
        without ${input('dry-run')} it restores.`,
    ),
    settings([
      ['label', label],
      ['backup', id],
      ['dry-run', 'true'],
    ]),
  )
}

function verifyDetails(result: VerifyResult): Details {
  const { server, timings, allowed } = result
  const { restore = 0, compare = 0, checks = 0, total } = timings
  const origin = server.own ? 'a cluster started for this run' : 'the scratch server'
  return details(
    'Details',
    timeline('Time by step', [
      { name: 'Restore', milliseconds: restore },
      { name: 'Compare', milliseconds: compare },
      { name: 'Checks', milliseconds: checks },
      { name: 'Other', milliseconds: total - restore - compare - checks },
    ]),
    facts([
      ['Backup', text`${code(result.id)}`],
      ['Read from', text`${code(result.location)}`],
      ['Snapshot', formatMoment(result.snapshotAt)],
      ['PostgreSQL of the backup', server.backup],
      server.scratch === undefined
        ? undefined
        : ['Restored on', `PostgreSQL ${server.scratch}, ${origin}`],
      ['Whole run', formatDuration(total)],
    ]),
    allowed.length > 0
      ? [paragraph('Messages that are known to be harmless:'), list(allowed)]
      : undefined,
  )
}
