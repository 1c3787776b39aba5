import type { BackupResult } from '../backup/backup.ts'
import { code, input, strong, type Text, text } from '../text.ts'
import {
  type Block,
  blocks,
  details,
  type Details,
  facts,
  list,
  next,
  paragraph,
  pie,
  type Report,
  section,
  settings,
  table,
  verdict,
} from './blocks.ts'
import { formatBytes, formatCount, formatDuration, formatMany, formatMoment } from './format.ts'
import { codeList, warningCallouts } from './sections.ts'

/** One line for the log. */
export function backupVerdict(result: BackupResult): Text {
  const places = result.locations.length === 1 ? 'one place' : `${result.locations.length} places`
  return (
    `Stored backup ${result.id} of ${result.label}: ${contentText(result)}, ` +
    `${formatBytes(result.bytes)} in ${places}, ${formatDuration(result.timings.total)}.`
  )
}

/** Rows that were not counted are left out. */
function contentText({ rows, tables }: BackupResult): string {
  return rows === undefined
    ? formatMany(tables, 'table')
    : `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
}

export function backupReport(result: BackupResult): Report {
  return blocks(
    verdict('pass', text`Backup of ${code(result.label)} stored`),
    figures(result),
    warningCallouts(warningsOf(result)),
    next(
      text`the backup is stored, but not yet verified. Run ${code('verify')} with:`,
      settings([
        ...result.locations.slice(0, 1).map(({ url }) => ['storage', url] as const),
        ['label', result.label],
        ['backup', result.id],
        result.recipients === 'none' ? undefined : ['decrypt-with', { secret: 'BACKUP_IDENTITY' }],
      ]),
    ),
    waitingStatements(result),
    backupFacts(result),
    largestTables(result),
    storedObjects(result),
    removedBackups(result),
  )
}

function figures(result: BackupResult): Block[] {
  const { database, server, locations, bytes, timings } = result
  const [places, each] =
    locations.length === 1 ? ['', ''] : [` in ${locations.length} places`, ' each']
  return [
    paragraph(
      text`${strong(contentText(result))} of ${code(database)} (PostgreSQL ${server})
        stored${places}: ${formatBytes(bytes)}${each}, in ${formatDuration(timings.total)}.`,
    ),
    paragraph(
      text`The backup has everything committed before ${strong(formatMoment(result.snapshotAt))}.
        Anything written since is not in this backup.`,
    ),
  ]
}

function warningsOf(result: BackupResult): Text[] {
  const unencrypted = text`This backup is not encrypted (${input('encrypt-to', 'none')}): anyone who
    can read the storage can read the data.`
  const unmeasured: Record<BackupResult['fingerprint'], Text[]> = {
    content: [],
    counts: [
      text`Rows were counted, not hashed (${input('fingerprint', 'counts')}): a verification can
        show that no row is missing, but not that the rows are the same.`,
    ],
    none: [
      text`Nothing was measured (${input('fingerprint', 'none')}): a verification can show that the
        backup restores, but not that it is complete.`,
    ],
  }
  return [
    ...(result.recipients === 'none' ? [unencrypted] : []),
    ...unmeasured[result.fingerprint],
    ...result.warnings,
  ]
}

function waitingStatements({ waiters }: BackupResult): Report {
  const [longest] = waiters
  if (longest === undefined) return []
  return [
    section(
      text`${formatMany(waiters.length, 'statement')} waited for this backup, the longest
        ${formatDuration(longest.waited)}`,
    ),
    table(
      ['Statement', 'Waited', 'Table', 'Queries behind it', 'Lock'],
      waiters.map((each) => [
        each.kind ?? 'not visible',
        formatDuration(each.waited),
        each.table === undefined ? '–' : text`${code(each.table)}`,
        formatCount(each.behind),
        each.mode,
      ]),
      ['left', 'right', 'left', 'right', 'left'],
    ),
    paragraph(
      text`Reads and writes continue during a backup. A statement that changes a table’s definition
        waits until the backup has read the table, and every query that comes later waits behind it.
        Run migrations at another time.`,
    ),
  ]
}

function backupFacts(result: BackupResult): Block {
  return facts([
    ['Backup', text`${code(result.id)}`],
    ...result.locations.map(({ location }) => ['Location', text`${code(location)}`] as const),
    result.recipients === 'none'
      ? ['Encryption', 'none']
      : ['Encrypted to', codeList(result.recipients)],
    [
      'Size on the server',
      `${formatBytes(result.databaseBytes)} (stored: ${formatBytes(result.bytes)})`,
    ],
    ['Archives', `${result.archives}, read in ${formatDuration(result.timings.dump)}`],
    result.fingerprint === 'none'
      ? undefined
      : [
          'Fingerprint',
          `${result.fingerprint}, measured in ${formatDuration(result.timings.fingerprint)}`,
        ],
    result.attempts > 1
      ? ['Snapshots taken', `${result.attempts}; the earlier ones failed and left nothing`]
      : undefined,
  ])
}

function largestTables({ largest, databaseBytes }: BackupResult): Details | undefined {
  if (largest.length === 0) return undefined
  const listed = largest.reduce((sum, each) => sum + each.bytes, 0)
  return details(
    'Largest tables',
    pie(
      'Size on the server',
      largest.map((each) => ({ name: each.table, value: each.bytes })),
      { name: 'system catalogs and small tables', value: Math.max(0, databaseBytes - listed) },
    ),
    table(
      ['Table', 'Rows', 'Size on the server'],
      largest.map((each) => [
        text`${code(each.table)}`,
        each.rows === undefined ? '–' : formatCount(each.rows),
        formatBytes(each.bytes),
      ]),
      ['left', 'right', 'right'],
    ),
  )
}

function storedObjects({ objects }: BackupResult): Details {
  return details(
    `Stored objects (${objects.length})`,
    table(
      ['Object', 'Size'],
      objects.map(({ name, bytes }) => [text`${code(name)}`, formatBytes(bytes)]),
      ['left', 'right'],
    ),
  )
}

function removedBackups({ removed }: BackupResult): Details | undefined {
  const all = removed.flatMap(({ url, ids }) => ids.map((id) => ({ url, id })))
  if (all.length === 0) return undefined
  return details(
    text`Removed by ${input('keep')} (${formatMany(all.length, 'older backup')})`,
    list(all.map(({ id, url }) => text`${code(id)} from ${code(url)}`)),
  )
}
