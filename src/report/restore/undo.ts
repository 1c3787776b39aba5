import type { UndoResult } from '../../restore/undo.ts'
import { formatBytes, formatDuration, formatMany, formatMoment } from '../markdown/format.ts'
import { blocks, code, details, md, table, text, type Markdown } from '../markdown/markdown.ts'
import {
  commandPart,
  inputsPart,
  planTable,
  renamesByHand,
  warningsPart,
} from '../markdown/sections.ts'

/** One line for the log. */
export function undoVerdict(result: UndoResult): string {
  const { target, database, until, previousDatabase: kept } = result
  if (result.dryRun)
    return `Dry run: nothing was touched. ${database} would be ${target} again, as it was at ${formatMoment(until)}.`
  return `Undone: ${target} is the database again that it was until ${formatMoment(until)}.${kept ? ` The one that was in use is kept as ${kept}.` : ''}`
}

export function undoReport(result: UndoResult): string {
  const { target, database, dryRun, confirm, previousDatabase: kept } = result
  const report = dryRun
    ? blocks(
        md`## 📝 Dry run: this is what an undo would do to ${code(target)}. Nothing was touched`,
        whichPart(result),
        warningsPart(result.warnings),
        md`### The plan`,
        planTable(result.plan),
        md`**Next:** run it again with \`dry-run: false\` and \`confirm: ${text(confirm)}\`.`,
      )
    : blocks(
        result.postCommand?.failed === undefined
          ? md`## ✅ ${code(target)} is swapped back`
          : md`## ❌ ${code(target)} is swapped back, but the post-command failed`,
        whichPart(result),
        md`${code(target)} was away for ${formatDuration(result.timings.swap)}; ${formatMany(result.sessionsEnded, 'session')} had to be ended.`,
        warningsPart(result.warnings),
        result.postCommand &&
          commandPart(
            result.postCommand,
            'The undo itself is done: the database has its name again.',
          ),
        kept === undefined ? undefined : againPart(result, kept),
        md`### What was done`,
        planTable(result.plan),
      )
  const others = result.others.length
    ? md`Also kept, from earlier: ${{ markdown: result.others.map((name) => code(name).markdown).join(', ') }}.`
    : undefined
  return `${blocks(report, others, details('Details', facts(database, result))).markdown}\n`
}

function whichPart({ target, database, until, by, dryRun }: UndoResult): Markdown {
  const moment = md`**${formatMoment(until)}**, when ${text(by)}`
  return dryRun
    ? md`${code(database)} would be ${code(target)} again. It was ${code(target)} until ${moment}. What was written to ${code(target)} since is not in it.`
    : md`${code(database)} is ${code(target)} again. It was ${code(target)} until ${moment}. What was written to ${code(target)} since is not in it.`
}

function againPart({ target, confirm, environmentName }: UndoResult, kept: string): Markdown {
  const inputs = [
    ['undo', 'true'],
    ...(environmentName ? [['environment', environmentName]] : []),
    ['confirm', confirm],
  ] as [string, string][]
  return blocks(
    md`**Next:** look at your application. The database that was in use until now, with all that was written to it, is kept as ${code(kept)}. To have it back, undo this undo:`,
    inputsPart(inputs),
    details(
      'To do that by hand, without Holdfast',
      blocks(
        md`Stop the application, connect to another database (such as \`postgres\`), and run:`,
        renamesByHand(target, kept),
      ),
    ),
  )
}

function facts(database: string, { bytes, inUse, dryRun, target }: UndoResult): Markdown {
  const size = (value: number | undefined): string =>
    value === undefined ? 'not known' : formatBytes(value)
  return table(
    ['', ''],
    [
      [md`Size of ${code(database)}`, size(bytes)],
      ...(inUse
        ? [
            [
              dryRun ? md`Size of ${code(target)}, in use` : md`Size of what was in use`,
              size(inUse.bytes),
            ],
            ['Sessions connected to it', String(inUse.sessions)],
          ]
        : [[md`${code(target)}`, 'there is none']]),
    ],
  )
}
