import type { RestoreResult } from '../core/restore.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from './format.ts'
import { blocks, code, details, fence, md, table, text, type Markdown } from './markdown.ts'
import { timeline } from './mermaid.ts'
import { warningsPart } from './parts.ts'
import { inPlaceReport, inPlaceVerdict } from './restore-in-place.ts'
import { partReport, partVerdict } from './restore-part.ts'

/** One line for the log. */
export function restoreVerdict(result: RestoreResult): string {
  if (result.part) return partVerdict(result, result.part)
  if (result.inPlace) return inPlaceVerdict(result)
  if (result.dryRun) return `Dry run: nothing was touched. Backup ${result.id} would be restored into ${result.target}.`
  const kept = result.previousDatabase ? ` The database as it was before is kept as ${result.previousDatabase}.` : ''
  return `Restored ${result.target} from backup ${result.id}: ${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, as of ${formatMoment(result.snapshotAt)}.${kept}`
}

export function restoreReport(result: RestoreResult): string {
  if (result.part) return partReport(result, result.part)
  if (result.inPlace) return inPlaceReport(result, result.inPlace)
  const report = result.dryRun
    ? blocks(
        md`## 📝 Dry run: this is what restoring ${code(result.target)} would do. Nothing was touched`,
        lossPart(result),
        warningsPart(result.warnings),
        planPart(result),
        md`**Next:** run it again with \`dry-run: false\` and \`confirm: ${text(result.target)}\`.`,
        factsPart(result),
      )
    : blocks(
        md`## ✅ ${code(result.target)} restored, compared and swapped in`,
        md`${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')} from ${formatBytes(result.bytes)} of backup, in ${formatDuration(result.timings.total)}. ${code(result.target)} was away for ${formatDuration(result.timings.swap)}; ${formatMany(result.sessionsEnded, 'session')} had to be ended.`,
        lossPart(result),
        warningsPart(result.warnings),
        undoPart(result),
        planPart(result),
        factsPart(result),
      )
  return `${report.markdown}\n`
}

function lossPart(result: RestoreResult): Markdown {
  const where = result.previousDatabase ? md` is only in ${code(result.previousDatabase)}` : md` is not in it`
  return md`The backup holds all that was committed before **${formatMoment(result.snapshotAt)}**. Data written after that (the ${formatAge(result.age)} since)${where}.`
}

function undoPart(result: RestoreResult): Markdown | undefined {
  const kept = result.previousDatabase
  if (kept === undefined) return undefined
  const undo = [
    `ALTER DATABASE ${quote(result.target)} RENAME TO ${quote(`${result.target.slice(0, 40)}_restored`)};`,
    `ALTER DATABASE ${quote(kept)} RENAME TO ${quote(result.target)};`,
  ]
  const literal = (name: string): string => `'${name.replaceAll("'", "''")}'`
  const ending = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${literal(result.target)}, ${literal(kept)});`
  return blocks(
    md`**Next:** look at your application. Only when all is well, drop the database as it was before (it takes as much space as the new one):`,
    fence(`DROP DATABASE ${quote(kept)};`, 'sql'),
    details(
      'To undo this restore',
      blocks(md`Stop the application, connect to another database (such as \`postgres\`), and run:`, fence(`${ending}\nBEGIN;\n${undo.join('\n')}\nCOMMIT;`, 'sql')),
    ),
  )
}

function planPart(result: RestoreResult): Markdown {
  const title = result.dryRun ? md`### The plan` : md`### What was done`
  return blocks(
    title,
    table(
      ['', 'Step'],
      result.plan.map((each) => [each.done ? '✅' : '▢', text(each.step)]),
    ),
  )
}

function factsPart(result: RestoreResult): Markdown {
  return details(
    'Details',
    blocks(
      result.dryRun
        ? undefined
        : timeline('Where the time went', [
            { name: 'Restore beside the target', milliseconds: result.timings.restore },
            { name: 'Compare with the fingerprint', milliseconds: result.timings.compare },
            { name: 'Swap', milliseconds: result.timings.swap },
          ]),
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Label', code(result.label)],
          ['Read from', code(result.location)],
          ['Size stored', formatBytes(result.bytes)],
          ['Backup’s PostgreSQL', result.server.backup],
          ['Target’s PostgreSQL', result.server.target],
        ],
      ),
    ),
  )
}

/** A name as SQL wants it. */
function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
