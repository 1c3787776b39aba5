import type { TableResult, RestoredTables, RestoreResult } from '../../restore/result.ts'
import { sqlIdentifier, sqlLiteral } from '../../escape.ts'
import { code, input, strong, text, type Text } from '../../text.ts'
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
import {
  capped,
  codeList,
  maxRows,
  postCommandDetails,
  postCommandFailure,
  sqlName,
  warningCallouts,
} from '../sections.ts'
import { contentText, lateWarning, planBlocks, runAgain, safetyBackupBlocks } from './sections.ts'

const outcomes: Record<TableResult['how'], string> = {
  copied: 'copied',
  replaced: 'replaced',
  created: 're-created',
  untouched: 'unchanged',
}

/** One line for the log. */
export function tablesVerdict(result: RestoreResult, part: RestoredTables): Text {
  const { id, target } = result
  const what = part.wanted.join(', ')
  if (result.dryRun)
    return `Dry run: nothing was changed. ${what} of backup ${id} would be restored into ${target}.`
  const { schemas } = part
  const where = schemas.length
    ? `into the ${schemas.length === 1 ? 'schema' : 'schemas'} ${schemas.join(', ')} of ${target}`
    : `over the live tables of ${target}`
  return text`Restored ${what} from backup ${id} ${where}: ${contentText(result)}, as of
    ${formatMoment(result.snapshotAt)}.`
}

export function tablesReport(result: RestoreResult, part: RestoredTables): Report {
  return blocks(
    headline(result, part),
    result.dryRun ? undefined : figures(result, part),
    newestData(result, part),
    postCommandFailure(result.postCommand, 'The restore itself is complete.'),
    warningCallouts([...lateWarning(result), ...result.warnings]),
    nextStep(result, part),
    tableBlocks(part),
    part.leftOut.length > 0 ? [paragraph('Left out:'), list(part.leftOut)] : undefined,
    keyBlocks(part),
    safetyBackupBlocks(result),
    planBlocks(result),
    postCommandDetails(result.postCommand),
    tablesDetails(result, part),
  )
}

const compared: Record<RestoredTables['fingerprint'], string> = {
  content: ', compared with the backup',
  counts: ', rows counted as in the backup',
  none: '',
}

function headline(result: RestoreResult, part: RestoredTables): Heading {
  const target = code(result.target)
  if (result.dryRun)
    return verdict('plan', text`Dry run of restoring tables of ${target}: nothing was changed`)
  if (result.postCommand?.failed !== undefined)
    return verdict('fail', text`Tables of ${target} are restored, but the post-command failed`)
  if (!part.replace)
    return verdict(
      'pass',
      text`Tables copied next to the live ones of ${target}; no live table was changed`,
    )
  if (part.contents === 'schema')
    return verdict('pass', text`Missing tables of ${target} re-created, without rows`)
  const checked = part.keys.length > 0 ? ', foreign keys checked' : ''
  return verdict('pass', text`Tables of ${target} replaced${checked}${compared[part.fingerprint]}`)
}

function figures(result: RestoreResult, { archives, locked, replace }: RestoredTables): Block {
  const { bytes, timings } = result
  const lock = replace ? text` Live tables were locked for ${strong(formatDuration(locked))}.` : ''
  return paragraph(
    text`${strong(contentText(result))}, from ${archives.read} of
      ${formatMany(archives.all, 'archive')} (${formatBytes(bytes)}), in
      ${formatDuration(timings.total)}.${lock}`,
  )
}

function newestData({ snapshotAt, age, dryRun }: RestoreResult, part: RestoredTables): Block {
  const lost = dryRun ? 'would be removed' : 'are no longer in these tables'
  const gone = part.replace && part.contents !== 'schema' ? ` Rows written since then ${lost}.` : ''
  const what = part.contents === 'schema' ? 'definitions' : 'rows'
  return paragraph(
    text`The backup's ${what} are from ${strong(formatMoment(snapshotAt))}, ${formatAge(age)} ago.${gone}`,
  )
}

function tableBlocks({ tables }: RestoredTables): Report {
  if (tables.length === 0) return []
  const tableOf = (some: readonly TableResult[]): Block =>
    table(
      ['Table', 'Result', 'Rows', 'Restored to'],
      some.map(({ table: name, how, into, rows }) => [
        text`${code(name)}`,
        outcomes[how],
        rows === undefined ? '' : formatCount(rows),
        text`${code(into)}`,
      ]),
      ['left', 'left', 'right', 'left'],
    )
  return capped(tables, tableOf, 'table')
}

function keyBlocks({ keys }: RestoredTables): Report {
  if (keys.length === 0) return []
  return capped(
    keys,
    (some) => paragraph(text`Foreign keys checked: ${codeList(some)}.`),
    'foreign key',
  )
}

/** What to type next: to compare, to take rows back, to remove the copies. */
function nextStep(result: RestoreResult, part: RestoredTables): Next | undefined {
  if (result.dryRun) return runAgain('to restore', result.confirm)
  if (part.replace) return next('check your application. Check related tables too.')
  const drop = part.schemas
    .map((schema) => `DROP SCHEMA ${sqlIdentifier(schema)} CASCADE;`)
    .join('\n')
  const counted = part.tables.filter(({ rows }) => rows !== undefined).slice(0, maxRows)
  const [first] = counted
  if (!first) return next('check the definitions. To remove them again:', codeBlock(drop, 'sql'))
  return next(
    'compare the copies with the live tables:',
    codeBlock(comparison(counted), 'sql'),
    details(
      'Take rows back, replace the live tables, or remove the copies',
      paragraph(
        'To take back missing rows, run this table by table. Begin with tables that others refer to.',
      ),
      codeBlock(insertMissing(first), 'sql'),
      paragraph(
        text`To replace whole live tables, run the restore again with ${input('replace', true)}. To
          remove the copies:`,
      ),
      codeBlock(drop, 'sql'),
    ),
  )
}

function comparison(tables: readonly TableResult[]): string {
  const counts = tables.map(({ table: name, into }) =>
    [
      `SELECT ${sqlLiteral(name)} AS "table",`,
      `       (SELECT count(*) FROM ${sqlName(name)}) AS live,`,
      `       (SELECT count(*) FROM ${sqlName(into)}) AS restored`,
    ].join('\n'),
  )
  return `-- leave out a table that is gone from the live database\n${counts.join('\nUNION ALL\n')};`
}

function insertMissing({ table: name, into }: TableResult): string {
  return [
    '-- name the columns instead of * if the table has generated columns or was altered since',
    `INSERT INTO ${sqlName(name)} OVERRIDING SYSTEM VALUE`,
    `SELECT * FROM ${sqlName(into)}`,
    'ON CONFLICT DO NOTHING;',
  ].join('\n')
}

function tablesDetails(result: RestoreResult, { locked }: RestoredTables): Details {
  return details(
    'Details',
    facts([
      ['Backup', text`${code(result.id)}`],
      ['Label', text`${code(result.label)}`],
      ['Read from', text`${code(result.location)}`],
      ['PostgreSQL of the backup', result.server.backup],
      ['PostgreSQL of the target', result.server.target],
      ['Live tables locked for', formatDuration(locked)],
    ]),
  )
}
