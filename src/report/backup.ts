import type { BackupResult } from '../backup/backup.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
  formatMoment,
} from './markdown/format.ts'
import { blocks, code, details, list, md, table, type Markdown } from './markdown/markdown.ts'
import { pie } from './markdown/mermaid.ts'
import { inputsPart, warningsPart } from './markdown/sections.ts'

/** One line for the log. */
export function backupVerdict(result: BackupResult): string {
  const places = result.locations.length === 1 ? 'one place' : `${result.locations.length} places`
  return `Stored backup ${result.id} of ${result.label}: ${heldText(result)}, ${formatBytes(result.bytes)} in ${places}, ${formatDuration(result.timings.total)}.`
}

/** Rows that nobody counted are not told. */
function heldText({ rows, tables }: BackupResult): string {
  return rows === undefined
    ? formatMany(tables, 'table')
    : `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
}

export function backupReport(result: BackupResult): string {
  const verdict = md`## ✅ Backup of ${code(result.label)} stored`
  const [places, each] =
    result.locations.length === 1 ? ['', ''] : [` in ${result.locations.length} places`, ' each']
  const figures = md`${heldText(result)} of ${code(result.database)} (PostgreSQL ${result.server}) are stored${places}: ${formatBytes(result.bytes)}${each}, in ${formatDuration(result.timings.total)}.`
  const point = md`It holds all that was committed before **${formatMoment(result.snapshotAt)}**. Data written after that is not in this backup.`
  const next = blocks(
    md`**Next:** it is stored, not yet proven. Run \`verify\` with:`,
    inputsPart([
      ...result.locations.slice(0, 1).map(({ url }) => ['storage', url] as const),
      ['label', result.label],
      ['backup', result.id],
    ]),
  )
  return `${blocks(verdict, figures, point, warningsPart(warningsOf(result)), waitersPart(result), facts(result), next, largestPart(result), objectsPart(result), removedPart(result)).markdown}\n`
}

function warningsOf(result: BackupResult): string[] {
  const open =
    'This backup is not encrypted (encrypt-to: none): whoever can read the storage can read the data.'
  const unmeasured = {
    content: [],
    counts: [
      'Rows were counted and not hashed (fingerprint: counts): a verify can show that all rows are there, not that they are the same.',
    ],
    none: [
      'Nothing was measured (fingerprint: none): a verify can show that the backup restores, not that anything is missing.',
    ],
  }[result.fingerprint]
  return [...(result.recipients === 'none' ? [open] : []), ...unmeasured, ...result.warnings]
}

/**
 * Reads and writes go on beside a backup; who changes a table's form waits for it, and everybody
 * else for him.
 */
function waitersPart(result: BackupResult): Markdown | undefined {
  if (result.waiters.length === 0) return undefined
  const longest = result.waiters[0]
  return blocks(
    md`### ${formatMany(result.waiters.length, 'statement')} waited behind this backup, the longest ${formatDuration(longest?.waited ?? 0)}`,
    table(
      ['Statement', 'Table', 'Lock', 'Waited', 'Behind it'],
      result.waiters.map((each) => [
        each.kind ?? 'not to be seen',
        each.table === undefined ? '–' : code(each.table),
        each.mode,
        formatDuration(each.waited),
        formatCount(each.behind),
      ]),
      ['left', 'left', 'left', 'right', 'right'],
    ),
    md`Reads and writes go on during a backup. A statement that changes a table’s form waits until the backup has read it all, and whoever uses the table then waits behind it: best run migrations at another time.`,
  )
}

function facts(result: BackupResult): Markdown {
  const ratio = result.bytes > 0 ? ` (stored: ${formatBytes(result.bytes)})` : ''
  return table(
    ['', ''],
    [
      ['Backup', code(result.id)],
      ...result.locations.map(({ location }) => ['Location', code(location)]),
      [
        'Encrypted to',
        result.recipients === 'none'
          ? 'nobody'
          : { markdown: result.recipients.map((key) => code(key).markdown).join(', ') },
      ],
      ['Size on the server', `${formatBytes(result.databaseBytes)}${ratio}`],
      ['Archives', `${result.archives}, read in ${formatDuration(result.timings.dump)}`],
      ...(result.fingerprint === 'none'
        ? []
        : [
            [
              `Fingerprint (${result.fingerprint}), measured beside them`,
              formatDuration(result.timings.fingerprint),
            ],
          ]),
      ...(result.attempts > 1
        ? [
            [
              'Snapshots taken',
              `${result.attempts}: the earlier ones did not hold, and nothing of them was kept`,
            ],
          ]
        : []),
    ],
  )
}

function largestPart(result: BackupResult): Markdown | undefined {
  if (result.largest.length === 0) return undefined
  const listed = result.largest.reduce((sum, each) => sum + each.bytes, 0)
  const parts = result.largest.map((each) => ({ name: each.table, value: each.bytes }))
  const others = {
    name: 'other tables and system',
    value: Math.max(0, result.databaseBytes - listed),
  }
  return details(
    'The largest tables',
    blocks(
      pie('Size on the server', [...parts, others]),
      table(
        ['Table', 'Rows', 'Size on the server'],
        result.largest.map((each) => [
          code(each.table),
          each.rows === undefined ? '–' : formatCount(each.rows),
          formatBytes(each.bytes),
        ]),
        ['left', 'right', 'right'],
      ),
    ),
  )
}

function objectsPart(result: BackupResult): Markdown {
  return details(
    `What is stored (${formatMany(result.objects.length, 'object')})`,
    table(
      ['Object', 'Size'],
      result.objects.map((object) => [code(object.name), formatBytes(object.bytes)]),
      ['left', 'right'],
    ),
  )
}

function removedPart(result: BackupResult): Markdown | undefined {
  const removed = result.removed.filter(({ ids }) => ids.length > 0)
  if (removed.length === 0) return undefined
  const count = removed.reduce((sum, { ids }) => sum + ids.length, 0)
  return details(
    `Removed by keep (${formatMany(count, 'older backup')})`,
    list(removed.flatMap(({ url, ids }) => ids.map((id) => md`${code(id)} from ${code(url)}`))),
  )
}
