import type { Cleaned, CleanResult } from '../../restore/clean.ts'
import { code, strong, text, type Text } from '../../text.ts'
import { type Block, blocks, paragraph, type Report, section, table, verdict } from '../blocks.ts'
import { formatAge, formatBytes, formatMany, formatMoment } from '../format.ts'
import { capped } from '../sections.ts'
import { runAgain } from './sections.ts'

/** One line for the log. */
export function cleanVerdict(result: CleanResult): Text {
  const { dropped, left, kept, dryRun, target } = result
  const skipped = left.length > 0 ? `; ${left.length} skipped, though old enough` : ''
  const newer = kept.length > 0 ? `; ${kept.length} not old enough` : ''
  const what = formatMany(dropped.length, 'previous database')
  return dryRun
    ? `Dry run: nothing was changed. ${what} of ${target} would be dropped${skipped}${newer}.`
    : `Dropped ${what} of ${target} (${freedText(result)})${skipped}${newer}.`
}

export function cleanReport(result: CleanResult): Report {
  const { dryRun, target, confirm } = result
  const done = formatMany(result.dropped.length, 'previous database')
  return blocks(
    dryRun
      ? verdict('plan', text`Dry run of cleaning up after ${code(target)}: nothing was changed`)
      : verdict('pass', text`Dropped ${done} of ${code(target)}`),
    dryRun && result.dropped.length > 0
      ? runAgain('to drop the databases below', confirm)
      : undefined,
    cleanedBlocks(result, dryRun),
  )
}

/** What happened to the databases that earlier restores replaced. */
export function cleanedBlocks(cleaned: Cleaned, dryRun: boolean): Report {
  const { dropped, left, kept, olderThan } = cleaned
  const rows = [
    ...dropped.map((each) => ({
      ...each,
      outcome: dryRun ? 'would be dropped' : text`${strong('dropped')}`,
    })),
    ...left.map((each) => ({ ...each, outcome: text`skipped: ${each.why}` })),
    ...kept.map((each) => ({ ...each, outcome: 'kept: not old enough' })),
  ]
  const tableOf = (some: readonly (typeof rows)[number][]): Block =>
    table(
      ['Database', 'Result', 'Size', 'Replaced'],
      some.map(({ database, until, bytes, outcome }) => [
        text`${code(database)}`,
        outcome,
        bytes === undefined ? 'unknown' : formatBytes(bytes),
        formatMoment(until),
      ]),
      ['left', 'left', 'right', 'left'],
    )
  return blocks(
    section(`Previous databases (kept for ${formatAge(olderThan)})`),
    rows.length === 0 ? paragraph('There are none.') : capped(rows, tableOf, 'database'),
    dropped.length > 0 && !dryRun
      ? paragraph(`Disk space freed on the server: ${freedText(cleaned)}.`)
      : undefined,
  )
}

/** A size may be unknown: its database cannot be connected to. */
function freedText({ dropped }: Cleaned): string {
  const sizes = dropped.flatMap(({ bytes }) => bytes ?? [])
  const freed = formatBytes(sizes.reduce((sum, bytes) => sum + bytes, 0))
  return sizes.length < dropped.length ? `at least ${freed}` : freed
}
