import type { BackupStatus, LabelStatus, ListedBackup, StatusResult } from '../repository/status.ts'
import { code, input, type Text, text } from '../text.ts'
import {
  type Block,
  blocks,
  type Details,
  details,
  facts,
  list,
  type Mark,
  paragraph,
  type Report,
  section,
  symbols,
  table,
  verdict,
} from './blocks.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from './format.ts'
import { capped, codeList, warningCallouts } from './sections.ts'

/**
 * Returns a sentence for each label whose newest backup is older than `maxAge` (milliseconds), or
 * that has no backup.
 */
export function tooOld(result: StatusResult, maxAge: number | undefined): Text[] {
  if (maxAge === undefined) return []
  const limit = formatAge(maxAge)
  return result.labels
    .filter((status) => isLate(status, maxAge))
    .flatMap(({ label, newest }) => {
      if (!newest) return [text`There is no backup of ${label}; ${input('max-age')} is ${limit}.`]
      return [
        text`The newest backup of ${label} is ${formatAge(newest.age)} old (${newest.id}, as of
        ${formatMoment(newest.snapshotAt)}), more than the ${limit} of ${input('max-age')}.`,
      ]
    })
}

function isLate({ newest }: LabelStatus, maxAge: number): boolean {
  return newest === undefined || newest.age > maxAge
}

export function statusReport(result: StatusResult, maxAge?: number): Report {
  const late = tooOld(result, maxAge)
  return blocks(
    late.length > 0
      ? verdict(
          'fail',
          `${formatMany(late.length, 'database has', 'databases have')} no recent backup`,
        )
      : verdict(worstMark(result), text`Backups in ${codeList(result.sources, ' and ')}`),
    list(late),
    warningCallouts(result.warnings),
    result.labels.map((status) => labelBlocks(status, maxAge)),
  )
}

function worstMark({ labels }: StatusResult): Mark | undefined {
  const marks = labels.map((status) => markOf(status))
  return (['fail', 'warning', 'pass'] as const).find((mark) => marks.includes(mark))
}

/** `pass` if the newest backup is proven, and not older than `maxAge`. */
function markOf(status: LabelStatus, maxAge = Infinity): Mark {
  const { newest, proven } = status
  if (newest === undefined || isLate(status, maxAge)) return 'fail'
  return proven?.id === newest.id ? 'pass' : 'warning'
}

function labelBlocks(status: LabelStatus, maxAge: number | undefined): Report {
  const { newest, proven } = status
  const [unproven] = status.unproven
  return blocks(
    section(text`${code(status.label)}`, markOf(status, maxAge)),
    facts([
      ['Newest backup', newest ? backupText(newest) : 'none'],
      ['Newest proven backup', proven === undefined ? 'none' : provenText(proven, newest)],
      ['Finished backups', `${formatMany(status.backups, 'backup')}, ${formatBytes(status.bytes)}`],
      status.preRestore.length === 0 ? undefined : ['Safety backups', safetyText(status)],
      unproven === undefined
        ? undefined
        : [
            'Not yet verified',
            text`${formatMany(status.unproven.length, 'backup')}, the newest is ${code(unproven)}`,
          ],
    ]),
    otherBackups(status),
    allBackups(status.all),
  )
}

function safetyText({ preRestore }: LabelStatus): string {
  const bytes = preRestore.reduce((sum, each) => sum + each.bytes, 0)
  return `${formatMany(preRestore.length, 'safety backup')}, ${formatBytes(bytes)}`
}

function otherBackups(status: LabelStatus): Report {
  return blocks(
    listOf(
      'Verified as far as possible, no fault found:',
      status.limited,
      ({ id, level, at }) => text`${code(id)}: ${level} (${formatMoment(at)})`,
    ),
    listOf(
      'Verification failed:',
      status.failed,
      ({ id, level, at }) => text`${code(id)}: reached level "${level}" (${formatMoment(at)})`,
    ),
    listOf('Cannot be read:', status.damaged, ({ id, why }) => text`${code(id)}: ${why}`),
    listOf(
      'Unfinished (still running, or left by a run that was killed):',
      status.unfinished,
      ({ location, age, bytes }) =>
        text`${code(location)}: ${formatBytes(bytes)}, started ${formatAge(age)} ago`,
    ),
    listOf(
      'Safety backups, made before a restore (restore them by their id):',
      status.preRestore,
      ({ id, age, bytes }) => text`${code(id)}: ${formatBytes(bytes)}, ${formatAge(age)} old`,
    ),
  )
}

/** Every id, to choose one to restore from. */
export function allBackups(all: readonly ListedBackup[]): Details | undefined {
  if (all.length === 0) return undefined
  const verified = ({ level, provenAt }: ListedBackup): string =>
    provenAt === undefined
      ? (level ?? 'never verified')
      : `${symbols.pass} ${level ?? ''}, ${formatMoment(provenAt)}`
  const shown = (some: readonly ListedBackup[]): Block =>
    table(
      ['Backup', 'Age', 'Size', 'Verified to level', 'Kind'],
      some.map((each) => [
        text`${code(each.id)}`,
        formatAge(Date.now() - Date.parse(each.snapshotAt)),
        formatBytes(each.bytes),
        verified(each),
        each.kind,
      ]),
      ['left', 'right', 'right', 'left', 'left'],
    )
  return details(`All finished backups (${all.length})`, capped(all, shown, 'backup'))
}

function backupText(backup: BackupStatus): Text {
  const { rows, tables, locations } = backup
  const content =
    rows === undefined || tables === undefined
      ? 'not measured'
      : `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
  const encryption = backup.encrypted ? '' : ', not encrypted'
  const places = locations.length > 1 ? `, in ${locations.length} places` : ''
  return text`${formatAge(backup.age)} old: ${code(backup.id)}, as of
    ${formatMoment(backup.snapshotAt)}; ${formatBytes(backup.bytes)},
    ${content}${encryption}${places}`
}

function provenText(
  proven: NonNullable<LabelStatus['proven']>,
  newest: BackupStatus | undefined,
): Text {
  const { level, age, restore } = proven.proof
  const which = proven.id === newest?.id ? 'the same' : backupText(proven)
  const took = restore === undefined ? '' : `, restored in ${formatDuration(restore)}`
  return text`${which}; level ${level}, ${formatAge(age)} ago${took}`
}

function listOf<T>(title: string, items: readonly T[], show: (item: T) => Text): Report {
  if (items.length === 0) return []
  return blocks(
    paragraph(title),
    capped(items, (some) => list(some.map(show)), 'backup'),
  )
}
