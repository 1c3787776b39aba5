import { randomInt } from 'node:crypto'
import { messageOf, UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import { isId, timeOf } from './ids.ts'
import {
  type FoundBackup,
  backupNotFound,
  openBackup,
  openBackupIndex,
  type BackupIndex,
} from './listing.ts'
import { newestProof, newestProofs } from './newest-proof.ts'

/** Which backups are meant, as it is typed. Ids sort by time, so "newest" is the greatest. */
export type BackupSelector =
  | { kind: 'latest' }
  | { kind: 'latest-proven' }
  | { kind: 'id'; id: string }
  /** The newest whose snapshot is not later. */
  | { kind: 'before'; at: Date }
  | { kind: 'all' }
  /**
   * Those that no proof speaks of, all or the oldest: verified one by one, all are in time. One
   * whose newest proof is bad is known, and not among them.
   */
  | { kind: 'unproven' }
  | { kind: 'oldest-unproven' }
  /** So many, each as likely as the others; the newest is not among them unless chance says so. */
  | { kind: 'sample'; count: number }
  /** A file that another tool made, on this machine or in a storage. */
  | { kind: 'file'; name: string }
  | { kind: 'store'; name: string }

/** What names one backup, and throws if there is none. */
export type SingleSelector = Extract<
  BackupSelector,
  { kind: 'latest' | 'latest-proven' | 'id' | 'before' }
>

/** What may name several, or none. */
export type BatchSelector = Extract<
  BackupSelector,
  { kind: 'all' | 'unproven' | 'oldest-unproven' | 'sample' }
>

/** Reads what was typed. Throws a UserError `bad-backup-id`. */
export function parseSelector(typed: string): BackupSelector {
  const text = typed.trim()
  if (
    text === 'latest' ||
    text === 'latest-proven' ||
    text === 'all' ||
    text === 'unproven' ||
    text === 'oldest-unproven'
  )
    return { kind: text }
  const [, kind, rest = ''] = /^(before|sample|file|store):\s*(\S.*)$/s.exec(text) ?? []
  if (kind === 'file' || kind === 'store') return { kind, name: rest }
  if (kind === 'sample' && /^[1-9]\d{0,5}$/.test(rest)) return { kind, count: Number(rest) }
  if (kind === 'before') return { kind, at: readMoment(rest) }
  if (isId(text)) return { kind: 'id', id: text }
  throw new UserError(
    'bad-backup-id',
    `backup is "${text.slice(0, 80)}", which is neither "latest" nor the id of a backup.`,
    'An id looks like 20261121T031500Z-ab12cd; the backup action gives it as its output backup-id. Or write latest-proven, or before: 2026-11-20T03:00:00Z.',
  )
}

export function isSingle(selector: BackupSelector): selector is SingleSelector {
  return ['latest', 'latest-proven', 'id', 'before'].includes(selector.kind)
}

/**
 * ISO 8601, with a space or a T; without a zone it is UTC, and without a time the day's beginning.
 */
function readMoment(text: string): Date {
  const [, day = '', time = '00:00', zone = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s?(Z|UTC|[+-]\d\d:?\d\d)?)?$/i.exec(
      text,
    ) ?? []
  const at = new Date(
    `${day}T${time}${/^[+-]/.test(zone) ? zone.replace(/^(...)(\d\d)$/, '$1:$2') : 'Z'}`,
  )
  // JavaScript takes the 31st of a shorter month for the next month's first
  const real =
    Number(day.slice(8)) <=
    new Date(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 0)).getUTCDate()
  if (!Number.isNaN(at.getTime()) && real) return at
  throw new UserError(
    'bad-backup-id',
    `backup is "before: ${text.slice(0, 60)}", which is no time.`,
    'Write it as before: 2026-11-20T03:00:00Z; without a zone it is UTC, and a day alone is its first moment.',
  )
}

/**
 * Finds one backup in several sources; one that cannot be read is warned of if another has the
 * backup. Throws UserErrors, among them `unknown-backup`, `no-backup` and `no-proven-backup`.
 */
export async function findBackup(
  sources: readonly Storage[],
  label: string | undefined,
  typed: string,
  work: Work,
): Promise<FoundBackup> {
  const selector = parseSelector(typed)
  if (selector.kind === 'file' || selector.kind === 'store') throw foreign(typed)
  if (!isSingle(selector))
    throw new UserError(
      'bad-backup-id',
      `backup is "${typed}", which may be several backups; here it is one.`,
      'Write latest, latest-proven, an id, or before: 2026-11-20T03:00:00Z.',
    )
  const index = await openBackupIndex(sources, label, work)
  const backup = await findInIndex(index, selector, work)
  for (const failure of index.failures)
    work.log.warning(`One destination could not be read: ${messageOf(failure)}`)
  return backup
}

/** The same, on a shelf. */
export async function findInIndex(
  index: BackupIndex,
  selector: SingleSelector,
  work: Work,
): Promise<FoundBackup> {
  const { ids, stored } = index
  const latest = ids.at(-1)
  switch (selector.kind) {
    case 'latest':
      if (latest === undefined) throw await backupNotFound(index, 'latest', work)
      return openBackup(index, latest, work)
    case 'id':
      if (!stored.has(selector.id)) throw await backupNotFound(index, selector.id, work)
      return openBackup(index, selector.id, work)
    case 'latest-proven':
      if (latest === undefined) throw await backupNotFound(index, 'latest-proven', work)
      for (const id of ids.toReversed())
        if ((await newestProof(id, stored.get(id) ?? [], work))?.proven)
          return openBackup(index, id, work)
      throw new UserError(
        'no-proven-backup',
        `None of the ${ids.length} backups of "${index.label}" in ${index.sources.map(({ url }) => url).join(' and ')} is proven.`,
        `Run verify first, with backup: all or backup: latest (${latest}). To take one that is not proven, name it.`,
      )
    case 'before': {
      const time = selector.at.toISOString()
      if (latest === undefined) throw await backupNotFound(index, `before ${time}`, work)
      // an id's time is when the backup was begun; its snapshot may have had to wait
      for (const id of ids
        .filter((one) => Date.parse(timeOf(one)) <= selector.at.getTime())
        .reverse()) {
        const backup = await openBackup(index, id, work)
        if (Date.parse(backup.manifest.snapshot.at) <= selector.at.getTime()) return backup
      }
      if (index.failures.length) throw index.failures[0]
      throw new UserError(
        'unknown-backup',
        `There is no backup of "${index.label}" from before ${time}.`,
        `The oldest is ${ids[0]}, the newest ${latest}.`,
      )
    }
  }
}

/** The ids that are meant, newest first; for `unproven` and `oldest-unproven` maybe none. */
export async function selectIds(
  index: BackupIndex,
  selector: BatchSelector,
  work: Work,
): Promise<string[]> {
  if (index.ids.length === 0) throw await backupNotFound(index, selector.kind, work)
  const newestFirst = index.ids.toReversed()
  switch (selector.kind) {
    case 'all':
      return newestFirst
    case 'sample':
      return drawn(newestFirst, selector.count).sort().reverse()
    case 'unproven':
    case 'oldest-unproven': {
      const proofs = await newestProofs(
        newestFirst.map((id) => ({ id, at: index.stored.get(id) ?? [] })),
        work,
      )
      const open = newestFirst.filter((id) => isOpen(proofs.get(id)))
      return selector.kind === 'unproven' ? open : open.slice(-1)
    }
  }
}

/**
 * Whether it is still to be found out if a backup is good: no proof speaks of it, or one that ended
 * early, as was asked or for its scratch server's sake.
 */
export function isOpen(
  proof: { asked?: string; stoppedBy?: string; partial?: boolean; proven: boolean } | undefined,
): boolean {
  if (proof === undefined) return true
  const early =
    proof.partial ?? ['stored', 'readable', 'restored', 'counted'].includes(proof.asked ?? '')
  return !proof.proven && proof.stoppedBy === undefined && early
}

/** So many of them by chance, none twice. */
function drawn(from: readonly string[], count: number): string[] {
  const left = [...from]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(randomInt(left.length), 1)[0] as string,
  )
}

/** Files of other tools have no manifest, and are read by other code. */
export function foreign(typed: string): UserError {
  return new UserError(
    'foreign-backup',
    `backup is "${typed.slice(0, 80)}", a file that another tool made, and this command cannot read it.`,
    'Write latest, latest-proven, an id, or before: 2026-11-20T03:00:00Z.',
  )
}
