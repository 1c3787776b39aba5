import type { BackupStatus, LabelStatus, ListedBackup, StatusResult } from '../repository/status.ts'
import {
  formatAge,
  formatBytes,
  formatDuration,
  formatMany,
  formatMoment,
} from './markdown/format.ts'
import {
  blocks,
  code,
  details,
  list,
  md,
  table,
  text,
  type Markdown,
  type Piece,
} from './markdown/markdown.ts'
import { capped, warningsPart } from './markdown/sections.ts'

/**
 * Labels whose newest backup is older than `maxAge` (milliseconds), or that have none, as sentences
 * with the figures.
 */
export function tooOld(result: StatusResult, maxAge: number | undefined): string[] {
  if (maxAge === undefined) return []
  const limit = formatAge(maxAge)
  return result.labels.flatMap(({ label, newest }) => {
    if (!newest) return [`There is no backup of ${label}, and max-age is ${limit}.`]
    if (newest.age <= maxAge) return []
    return [
      `The newest backup of ${label} is ${formatAge(newest.age)} old (${newest.id}, as of ${formatMoment(newest.snapshotAt)}), more than the ${limit} of max-age.`,
    ]
  })
}

export function statusReport(result: StatusResult, maxAge?: number): string {
  const late = tooOld(result, maxAge)
  const verdict =
    late.length > 0
      ? md`## ❌ ${formatMany(late.length, 'database has', 'databases have')} no backup that is new enough`
      : md`## Backups in ${{ markdown: result.sources.map((url) => code(url).markdown).join(' and ') }}`
  return `${blocks(verdict, late.length > 0 ? list(late) : undefined, warningsPart(result.warnings), ...result.labels.map(labelPart)).markdown}\n`
}

function labelPart(one: LabelStatus): Markdown {
  const { newest, proven } = one
  const mark = newest === undefined ? '❌' : proven?.id === newest.id ? '✅' : '⚠️'
  const rows: Piece[][] = [
    ['Newest backup', newest ? backupText(newest) : 'none'],
    [
      'Newest proven',
      proven === undefined
        ? 'none: no backup of it was shown to be identical'
        : provenText(proven, newest),
    ],
    ['Finished backups', `${formatMany(one.backups, 'backup')}, ${formatBytes(one.bytes)}`],
    ...(one.unproven.length > 0
      ? [
          [
            'Still to be verified',
            md`${formatMany(one.unproven.length, 'backup')}, the newest ${code(one.unproven[0] ?? '')}`,
          ],
        ]
      : []),
  ]
  return blocks(
    md`### ${mark} ${code(one.label)}`,
    table(['', ''], rows),
    partOf(
      'Verified, as far as their fingerprint goes:',
      one.limited,
      ({ id, level, at }) =>
        md`${code(id)}: ${level}, and nothing speaks against it (${formatMoment(at)})`,
    ),
    partOf(
      'Verified, and not good:',
      one.failed,
      ({ id, level, at }) => md`${code(id)}: reached the level "${level}" on ${formatMoment(at)}`,
    ),
    partOf('Cannot be read:', one.damaged, ({ id, why }) => md`${code(id)}: ${why}`),
    partOf(
      'Unfinished (running now, or left by a run that was killed):',
      one.unfinished,
      ({ location, age, bytes }) =>
        md`${code(location)}: ${formatBytes(bytes)}, begun ${formatAge(age)} ago`,
    ),
    partOf(
      'Made before a restore, of what it replaced (to be restored by their id):',
      one.preRestore,
      ({ id, age, bytes }) => md`${code(id)}: ${formatBytes(bytes)}, ${formatAge(age)} old`,
    ),
    allPart(one.all),
  )
}

/** Every id, so that one can be chosen to restore from. */
export function allPart(all: readonly ListedBackup[]): Markdown | undefined {
  if (all.length === 0) return undefined
  const row = (each: ListedBackup): Piece[] => {
    const said =
      each.provenAt !== undefined
        ? md`✅ ${each.level ?? ''}, ${formatMoment(each.provenAt)}`
        : (each.level ?? 'never verified')
    return [
      code(each.id),
      formatAge(Date.now() - Date.parse(each.snapshotAt)),
      formatBytes(each.bytes),
      said,
      each.kind,
    ]
  }
  const shown = capped(
    all,
    (some) =>
      table(['Backup', 'Age', 'Size', 'Verified to the level', 'Kind'], some.map(row), [
        'left',
        'right',
        'right',
        'left',
        'left',
      ]),
    'backup',
  )
  return details(`All finished backups (${formatMany(all.length, 'backup')})`, shown)
}

function backupText(backup: BackupStatus): Markdown {
  const held =
    backup.rows === undefined || backup.tables === undefined
      ? 'not measured'
      : `${formatMany(backup.rows, 'row')} in ${formatMany(backup.tables, 'table')}`
  const open = backup.encrypted ? '' : ', not encrypted'
  const places = backup.locations.length > 1 ? `, in ${backup.locations.length} places` : ''
  return md`${formatAge(backup.age)} old: ${code(backup.id)}, as of ${formatMoment(backup.snapshotAt)}; ${formatBytes(backup.bytes)}, ${held}${open}${places}`
}

function provenText(
  proven: NonNullable<LabelStatus['proven']>,
  newest: BackupStatus | undefined,
): Markdown {
  const { proof } = proven
  const which = proven.id === newest?.id ? md`the same` : backupText(proven)
  return md`${which}; level ${proof.level}, ${formatAge(proof.age)} ago${proof.restore === undefined ? '' : `, restored in ${formatDuration(proof.restore)}`}`
}

function partOf<T>(
  title: string,
  items: readonly T[],
  show: (item: T) => Markdown,
): Markdown | undefined {
  return items.length === 0
    ? undefined
    : blocks(
        text(title),
        capped(items, (some) => list(some.map(show)), 'more', 'more'),
      )
}
