import {
  type Difference,
  isPassing,
  type Level,
  levels,
  verdictOf,
} from '../../repository/level.ts'
import type { VerifyResult } from '../../verify/result.ts'
import type { CheckResult } from '../../verify/user-checks.ts'
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatMany,
  formatMoment,
} from '../markdown/format.ts'
import {
  blocks,
  code,
  details,
  fence,
  list,
  type Markdown,
  md,
  table,
  text,
} from '../markdown/markdown.ts'
import { timeline } from '../markdown/mermaid.ts'
import { capped, inputsPart, warningsPart } from '../markdown/sections.ts'
import { fallenText, objectivesPart } from './objectives.ts'

/** What each level says about a backup. */
const meanings: Record<Exclude<Level, 'none'>, string> = {
  stored: 'every object is there, whole, with the digest that the manifest names',
  readable:
    'it decrypts, every archive reads to its end, and has the tables that the manifest names',
  restored: 'it was loaded into an empty database without an error',
  counted: 'every table has the rows that it had at the snapshot',
  identical: 'content, schema, sequences and large objects are what they were at the snapshot',
  accepted: 'your own checks pass on the copy, too',
}

/** One line for the log. */
export function verifyVerdict(result: VerifyResult): string {
  const which = `backup ${result.id} of ${result.label}`
  const asked = `the level "${result.level}"`
  switch (verdictOf(result)) {
    case 'proven':
      return `Proven: ${which} restores, and is identical to what the database held at ${formatMoment(result.snapshotAt)}.${result.level === 'accepted' ? ` ${checksPassed(result)}.` : ''}`
    case 'reached':
      return `Good as far as was asked: ${which} reached ${asked}, and nothing speaks against it.`
    case 'limited':
      return `Backup ${result.id} of ${result.label} reached ${asked}, and nothing speaks against it. ${result.limit ?? ''}`.trim()
    case 'check-failed':
      return `A check failed: ${which} reached ${asked}${result.proven ? ', so the backup itself is good: it is identical to what the database held' : ''}. ${failedChecks(result)}`
    case 'short':
      return `Not proven: ${which} reached ${asked}. It was to reach "${result.asked}". ${result.limit ?? ''}`.trim()
    case 'bad':
      return `Not proven: ${which} reached ${asked}. ${result.stoppedBy ?? ''}`.trim()
  }
}

function checksPassed({ checks }: VerifyResult): string {
  return checks.length === 1 ? 'Your check passes' : `All ${checks.length} of your checks pass`
}

function failedChecks({ checks, stoppedBy, proven }: VerifyResult): string {
  if (proven && stoppedBy !== undefined) return stoppedBy
  const failed = checks.filter(({ passed }) => !passed)
  return failed.map(({ name, outcome }) => `The check "${name}" ${outcome}.`).join(' ')
}

function headline(result: VerifyResult): Markdown {
  const label = code(result.label)
  switch (verdictOf(result)) {
    case 'proven':
      return result.level === 'accepted'
        ? md`## ✅ Backup of ${label} proven: it restores, is identical, and passes your checks`
        : md`## ✅ Backup of ${label} proven: it restores, and is identical`
    case 'reached':
      return md`## ✅ Backup of ${label} ${result.level}: as far as was asked, and nothing speaks against it`
    case 'limited':
      return md`## ⚠️ Backup of ${label} ${result.level}: nothing speaks against it, and not all could be looked at`
    case 'check-failed':
      return md`## ❌ Backup of ${label}: a check of yours failed${result.proven ? '; the backup itself is good' : ''}`
    case 'short':
      return md`## ❌ Backup of ${label} ${result.level}, not ${result.asked ?? ''} as was asked: nothing speaks against it, and not all could be looked at`
    case 'bad':
      return md`## ❌ Backup of ${label} not proven: do not rely on it`
  }
}

export function verifyReport(result: VerifyResult): string {
  const verdict = verdictOf(result)
  const loss = md`If the database were lost now: data written after **${formatMoment(result.snapshotAt)}** (${formatAge(result.age)} ago when this was verified) is not in this backup.`
  const stopped = result.stoppedBy
    ? md`**What stopped it:** ${result.stoppedBy}`
    : result.limit
      ? md`**Its limit:** ${result.limit}`
      : undefined
  const warnings = warningsPart([...result.warnings, ...fallenText(result.id, result.fallen)])
  return `${
    blocks(
      headline(result),
      stopped,
      md`${figures(result)}`,
      isPassing(verdict) ? loss : undefined,
      warnings,
      levelTable(result),
      objectivesPart(result.objectives),
      checksPart(result.checks),
      differencesPart(result.differences),
      nextPart(result),
      factsPart(result),
    ).markdown
  }\n`
}

function figures({ tables, limit, rows, bytes, timings }: VerifyResult): string {
  const held =
    tables === 0 && limit !== undefined
      ? 'Rows and tables were not counted'
      : `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
  const times = [
    ...(timings.restore === undefined ? [] : [`restored in ${formatDuration(timings.restore)}`]),
    ...(timings.compare === undefined ? [] : [`compared in ${formatDuration(timings.compare)}`]),
  ]
  return `${held}, ${formatBytes(bytes)} stored; ${times.length ? times.join(', ') : `looked at in ${formatDuration(timings.total)}`}.`
}

function levelTable(result: VerifyResult): Markdown {
  const reached = levels.indexOf(result.level)
  const verdict = verdictOf(result)
  const checked = result.checks.length > 0
  const rungs = (levels.slice(1) as (keyof typeof meanings)[]).filter(
    (level) => level !== 'accepted' || checked || result.asked === level,
  )
  return table(
    ['', 'Level', 'What it says'],
    rungs.map((level, i) => {
      const rank = i + 1
      const mark = rank <= reached ? '✅' : rank === reached + 1 && !isPassing(verdict) ? '❌' : '–'
      return [mark, rank === reached ? md`**${level}**` : level, meanings[level]]
    }),
  )
}

function checksPart(checks: readonly CheckResult[]): Markdown | undefined {
  if (checks.length === 0) return undefined
  const failedFirst = [...checks].sort((a, b) => Number(a.passed) - Number(b.passed))
  const command = checks.find(({ output }) => output)
  return blocks(
    md`### ${formatMany(checks.length, 'check')} of your own`,
    capped(
      failedFirst,
      (some) =>
        table(
          ['', 'Check', 'It', 'Took'],
          some.map(({ name, passed, outcome, took }) => [
            passed ? '✅' : '❌',
            name,
            text(outcome),
            formatDuration(took),
          ]),
          ['left', 'left', 'left', 'right'],
        ),
      'check',
    ),
    command?.output
      ? details(`What ${command.name} wrote`, fence(command.output, 'text'))
      : undefined,
  )
}

function differencesPart(differences: readonly Difference[]): Markdown | undefined {
  if (differences.length === 0) return undefined
  const shown = capped(
    differences,
    (some) =>
      table(
        ['Kind', 'What', 'Expected (at the snapshot)', 'Found (in the copy)'],
        some.map((each) => [each.kind, code(each.object), text(each.expected), text(each.found)]),
      ),
    'difference',
  )
  return blocks(md`### ${formatMany(differences.length, 'difference')}`, shown)
}

function nextPart(result: VerifyResult): Markdown {
  const verdict = verdictOf(result)
  if (verdict === 'check-failed')
    return md`**Next:** look at what the check says of the data. If it is right, the database itself was so at ${formatMoment(result.snapshotAt)}: an older backup may be better (\`backup: 'before: …'\`). If it is wrong, mend the check.`
  if (verdict === 'short')
    return md`**Next:** see to what its limit names, or ask for the level ${result.level}. Nothing was found that speaks against this backup.`
  if (verdict === 'reached')
    return md`**Next:** what is beyond the level ${result.level} is not known of it. Leave \`level\` out to restore and compare it.`
  if (isPassing(verdict)) {
    const inputs = inputsPart([
      ['label', result.label],
      ['backup', result.id],
      ['dry-run', 'true'],
    ])
    return details(
      'To restore from it',
      blocks(
        md`Run \`restore\` with these beside \`storage\`, \`decrypt-with\`, \`target-url\` and \`confirm\`; it prints its plan, and does it without \`dry-run\`:`,
        inputs,
      ),
    )
  }
  return blocks(
    md`**Next:**`,
    list([
      md`Take a new backup now (run \`backup\`), then \`verify\` it with \`backup: latest\`.`,
      md`Find the newest one that is good: run \`verify\` with \`label: ${text(result.label)}\` and an older id in \`backup\`.`,
      md`Keep ${code(result.location)} as it is until you know what happened to it.`,
    ]),
  )
}

function factsPart(result: VerifyResult): Markdown {
  const { server, timings } = result
  const { restore = 0, compare = 0, checks = 0 } = timings
  return details(
    'Details',
    blocks(
      timeline('Where the time went', [
        { name: 'Restore', milliseconds: restore },
        { name: 'Compare', milliseconds: compare },
        { name: 'Checks', milliseconds: checks },
        { name: 'The rest', milliseconds: timings.total - restore - compare - checks },
      ]),
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Read from', code(result.location)],
          ['Snapshot', formatMoment(result.snapshotAt)],
          ['Backup’s PostgreSQL', server.backup],
          ...(server.scratch === undefined
            ? []
            : [
                [
                  'Restored on PostgreSQL',
                  server.own
                    ? `${server.scratch}, started for this and destroyed`
                    : `${server.scratch}, from scratch-url`,
                ],
              ]),
          ['Whole run', formatDuration(timings.total)],
        ],
      ),
      result.allowed.length > 0
        ? blocks(
            md`Messages that were let pass, known to be harmless:`,
            list(result.allowed.map((each) => text(each))),
          )
        : undefined,
    ),
  )
}
