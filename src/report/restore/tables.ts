import { plainText } from '../../text.ts'
import type { PartTableResult, RestoredTables, RestoreResult } from '../../restore/result.ts'
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
import { capped, commandPart, maxRows, quote, sqlName, warningsPart } from '../markdown/sections.ts'
import { planPart, safetyPart, timePart } from './sections.ts'

const outcome: Record<PartTableResult['how'], string> = {
  copied: 'copied',
  replaced: 'replaced',
  created: 'made anew',
  untouched: 'left alone',
}

/** One line for the log. */
export function tablesVerdict(result: RestoreResult, part: RestoredTables): string {
  const what = part.wanted.join(', ')
  if (result.dryRun)
    return `Dry run: nothing was touched. ${what} of backup ${result.id} would come into ${result.target}.`
  const where = part.schemas.length
    ? `${part.schemas.length === 1 ? 'the schema' : 'the schemas'} ${part.schemas.join(', ')} of ${result.target}`
    : `the place of the live ones in ${result.target}`
  return `Restored ${what} from backup ${result.id} into ${where}: ${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, as of ${formatMoment(result.snapshotAt)}.`
}

export function tablesReport(result: RestoreResult, part: RestoredTables): string {
  const report = blocks(
    titleOf(result, part),
    result.dryRun
      ? undefined
      : md`${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}, from ${String(part.archives.read)} of ${formatMany(part.archives.all, 'archive')} (${formatBytes(result.bytes)}), in ${formatDuration(result.timings.total)}.`,
    md`They are as of **${formatMoment(result.snapshotAt)}**, ${formatAge(result.age)} ago.${part.replace && part.contents !== 'schema' ? ' What was written to these tables since is not in them any more.' : ''}`,
    warningsPart([...timePart(result), ...result.warnings]),
    result.postCommand && commandPart(result.postCommand, 'The restore itself is done.'),
    tablesPart(part),
    part.leftOut.length
      ? blocks(md`**Left out:**`, list(part.leftOut.map((each) => text(plainText(each)))))
      : undefined,
    part.keys.length
      ? md`Foreign keys that were checked: ${capped(part.keys, (keys) => ({ markdown: keys.map((key) => code(key).markdown).join(', ') }), 'key')}.`
      : undefined,
    nextPart(result, part),
    safetyPart(result),
    planPart(result),
    details(
      'Details',
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Label', code(result.label)],
          ['Read from', code(result.location)],
          ['Backup’s PostgreSQL', result.server.backup],
          ['Target’s PostgreSQL', result.server.target],
          ['Live tables were locked for', formatDuration(part.locked)],
        ],
      ),
    ),
  )
  return `${report.markdown}\n`
}

function titleOf(result: RestoreResult, part: RestoredTables): Markdown {
  if (result.dryRun)
    return md`## 📝 Dry run: this is what restoring a part of ${code(result.target)} would do. Nothing was touched`
  if (!part.replace)
    return md`## ✅ Copied beside the live tables of ${code(result.target)}; nothing there was touched`
  return part.contents === 'schema'
    ? md`## ✅ Missing tables of ${code(result.target)} made anew, empty`
    : md`## ✅ Tables of ${code(result.target)} replaced${part.keys.length ? ', foreign keys checked' : ''}${compared[part.fingerprint]}`
}

const compared: Record<RestoredTables['fingerprint'], string> = {
  content: ', compared with the backup',
  counts: ', rows counted as in the backup',
  none: '',
}

function tablesPart(part: RestoredTables): Markdown | undefined {
  if (part.tables.length === 0) return undefined
  const show = (tables: readonly PartTableResult[]): Markdown =>
    table(
      ['Table', '', 'Where it is now', 'Rows'],
      tables.map(({ table: name, how, into, rows }) => [
        code(name),
        outcome[how],
        code(into),
        rows === undefined ? '' : rows.toLocaleString('en-US'),
      ]),
      ['left', 'left', 'left', 'right'],
    )
  return capped(part.tables, show, 'table')
}

/** What to type next: to look, to take rows back, to tidy up. */
function nextPart(result: RestoreResult, part: RestoredTables): Markdown | undefined {
  if (result.dryRun) return md`**Next:** run it again with \`dry-run: false\`.`
  if (part.replace)
    return md`**Next:** look at your application. If these tables belong together with others, look at those, too.`
  const rows = part.tables.filter(({ rows: count }) => count !== undefined).slice(0, maxRows)
  const drop = part.schemas.map((schema) => `DROP SCHEMA ${quote(schema)} CASCADE;`).join('\n')
  const [first] = rows
  if (!first)
    return blocks(md`**Next:** look at the definitions. To remove them again:`, fence(drop, 'sql'))
  const counts = rows.map(
    ({ table: name, into }) =>
      `SELECT '${name.replaceAll("'", "''")}' AS "table", (SELECT count(*) FROM ${sqlName(name)}) AS live, (SELECT count(*) FROM ${sqlName(into)}) AS restored`,
  )
  return blocks(
    md`**Next:** look at both (a table that is gone from the live database is an error here: leave it out):`,
    fence(`${counts.join('\nUNION ALL ')};`, 'sql'),
    md`To take back the rows that are missing, table by table, those first that others point to:`,
    fence(
      `INSERT INTO ${sqlName(first.table)} OVERRIDING SYSTEM VALUE SELECT * FROM ${sqlName(first.into)} ON CONFLICT DO NOTHING;\n-- name the columns instead of * where the table has generated columns, or was altered since`,
      'sql',
    ),
    md`To put whole tables in the place of the live ones, run this again with \`replace: true\`. To remove the copies:`,
    fence(drop, 'sql'),
  )
}
