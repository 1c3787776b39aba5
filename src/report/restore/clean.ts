import type { CleanResult, Cleaned } from '../../restore/clean.ts'
import { formatAge, formatBytes, formatMany, formatMoment } from '../markdown/format.ts'
import { blocks, code, md, table, text, type Markdown } from '../markdown/markdown.ts'
import { capped } from '../markdown/sections.ts'

/** One line for the log. */
export function cleanVerdict(result: CleanResult): string {
  const { dropped, left, kept, dryRun, target } = result
  const rest = `${left.length ? `; ${left.length} left, though old enough` : ''}${kept.length ? `; ${kept.length} not old enough` : ''}`
  const what = `${formatMany(dropped.length, 'database')} that ${target} replaced`
  return dryRun
    ? `Dry run: nothing was touched. ${what} would be dropped${rest}.`
    : `${what} ${dropped.length === 1 ? 'was' : 'were'} dropped (${formatBytes(sizeOf(result))})${rest}.`
}

export function cleanReport(result: CleanResult): string {
  const { dryRun, target, confirm } = result
  const report = blocks(
    dryRun
      ? md`## 📝 Dry run: this is what cleaning after restores of ${code(target)} would drop. Nothing was touched`
      : md`## ✅ Cleaned after restores of ${code(target)}`,
    cleanedPart(result, dryRun),
    dryRun && result.dropped.length > 0
      ? md`**Next:** run it again with \`dry-run: false\` and \`confirm: ${text(confirm)}\`.`
      : undefined,
  )
  return `${report.markdown}\n`
}

/** What became of the databases that earlier restores replaced. */
export function cleanedPart(cleaned: Cleaned, dryRun: boolean): Markdown {
  const { dropped, left, kept, olderThan } = cleaned
  const rows = [
    ...dropped.map((one) => ({ ...one, what: dryRun ? 'would be dropped' : '**dropped**' })),
    ...left.map((one) => ({ ...one, what: `left: ${text(one.why).markdown}` })),
    ...kept.map((one) => ({ ...one, what: 'kept: not old enough' })),
  ]
  const title = md`### Databases that restores replaced (kept for ${formatAge(olderThan)})`
  if (rows.length === 0) return blocks(title, md`There is none.`)
  const shown = capped(
    rows,
    (some) =>
      table(
        ['Database', 'Replaced', 'Size', ''],
        some.map(({ database, until, bytes, what }) => [
          code(database),
          formatMoment(until),
          bytes === undefined ? 'not known' : formatBytes(bytes),
          { markdown: what },
        ]),
        ['left', 'left', 'right', 'left'],
      ),
    'database',
  )
  const freed =
    dropped.length > 0 && !dryRun
      ? md`${formatBytes(sizeOf(cleaned))} of the server’s disk ${dropped.length === 1 ? 'is' : 'are'} free again.`
      : undefined
  return blocks(title, shown, freed)
}

function sizeOf({ dropped }: Cleaned): number {
  return dropped.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0)
}
