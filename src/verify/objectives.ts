import { timeOf } from '../repository/ids.ts'
import { openBackup, type BackupIndex } from '../repository/listing.ts'
import { type Manifest, totalsOf } from '../repository/manifest.ts'
import type { Work } from '../work.ts'

/** What the user expects of backups. */
export interface Objectives {
  /** Milliseconds. */
  maxAge?: number
  /** Milliseconds. */
  maxRestoreTime?: number
  /** A share: 0.5 allows a change by half, up or down. */
  maxSizeChange?: number
}

/** One objective that was set, and what was measured. */
export type ObjectiveResult =
  /** Milliseconds. For the label's newest backup, whether or not it was verified. */
  | { name: 'max-age'; limit: number; found: number; met: boolean; newest: string }
  /**
   * Milliseconds; without `found`, nothing was restored. `fills`: the database size in bytes whose
   * restore would take exactly the limit, at the speed measured on `bytes`.
   */
  | {
      name: 'max-restore-time'
      limit: number
      found?: number
      met?: boolean
      bytes?: number
      fills?: number
    }
  /** Shares; without `found`, there was nothing to compare with. */
  | { name: 'max-size-change'; limit: number; found?: number; met?: boolean; changes: SizeChange[] }

/** A figure, and the median of the backups before. */
export interface SizeChange {
  of: 'bytes' | 'rows'
  now: number
  median: number
  /** How many backups the median is of. */
  before: number
}

/** Number of older backups to compare with. */
const comparedBackups = 7
/** Without an objective, a decrease by more than this share is a warning. */
const warningShare = 0.5

interface Figures {
  snapshotAt: string
  bytes: number
  rows?: number
}

/** Figures that were already read, by index and id. */
const known = new WeakMap<BackupIndex, Map<string, Promise<Figures | undefined>>>()

/** The figures of one backup; undefined if its manifest cannot be read. */
async function figuresOf(index: BackupIndex, id: string, work: Work): Promise<Figures | undefined> {
  const read = known.get(index) ?? new Map<string, Promise<Figures | undefined>>()
  known.set(index, read)
  const found =
    read.get(id) ??
    openBackup(index, id, work).then(
      ({ manifest }) => figuresIn(manifest),
      () => undefined,
    )
  read.set(id, found)
  const figures = await found
  work.signal.throwIfAborted()
  return figures
}

function figuresIn(manifest: Manifest): Figures {
  const { bytes, rows } = totalsOf(manifest)
  return {
    snapshotAt: manifest.snapshot.at,
    bytes,
    ...(manifest.fingerprint.kind === 'none' ? {} : { rows }),
  }
}

/** Judges `max-age`: whether the label's newest backup is new enough. */
export async function judgeAge(
  index: BackupIndex,
  { maxAge }: Objectives,
  work: Work,
): Promise<ObjectiveResult[]> {
  const newest = index.ids.at(-1)
  if (maxAge === undefined || newest === undefined) return []
  const at = (await figuresOf(index, newest, work))?.snapshotAt ?? timeOf(newest)
  const found = Date.now() - Date.parse(at)
  return [{ name: 'max-age', limit: maxAge, found, met: found <= maxAge, newest }]
}

/**
 * Judges `max-restore-time`.
 *
 * @param took milliseconds that the restore took; undefined if nothing was restored
 */
export function judgeRestoreTime(
  manifest: Pick<Manifest, 'source'>,
  took: number | undefined,
  { maxRestoreTime }: Objectives,
): ObjectiveResult[] {
  if (maxRestoreTime === undefined) return []
  if (took === undefined) return [{ name: 'max-restore-time', limit: maxRestoreTime }]
  const { bytes } = manifest.source
  return [
    {
      name: 'max-restore-time',
      limit: maxRestoreTime,
      found: took,
      met: took <= maxRestoreTime,
      bytes,
      fills: Math.round((bytes / Math.max(1, took)) * maxRestoreTime),
    },
  ]
}

/**
 * Judges `max-size-change`: compares stored bytes and rows with the median of up to seven backups
 * before. A backup without rows never meets the objective if those before had some. Without an
 * objective, returns decreases by more than half as `fallen`.
 */
export async function judgeSize(
  index: BackupIndex,
  manifest: Manifest,
  { maxSizeChange }: Objectives,
  work: Work,
): Promise<{ results: ObjectiveResult[]; fallen: SizeChange[] }> {
  const earlier = index.ids.filter((id) => id < manifest.id).slice(-comparedBackups)
  const others: Figures[] = []
  for (const id of earlier) others.push(...[(await figuresOf(index, id, work)) ?? []].flat())
  const own = figuresIn(manifest)
  const changes = (['bytes', 'rows'] as const).flatMap((of): SizeChange[] => {
    const values = others.flatMap((figures) => figures[of] ?? [])
    const now = own[of]
    const median = medianOf(values)
    // a change from 0 has no share
    return now === undefined || !median ? [] : [{ of, now, median, before: values.length }]
  })
  if (maxSizeChange === undefined)
    return { results: [], fallen: changes.filter((change) => shareOf(change) < -warningShare) }
  if (changes.length === 0)
    return { results: [{ name: 'max-size-change', limit: maxSizeChange, changes }], fallen: [] }
  const found = Math.max(...changes.map((change) => Math.abs(shareOf(change))))
  const met = found <= maxSizeChange && !changes.some(({ of, now }) => of === 'rows' && now === 0)
  return {
    results: [{ name: 'max-size-change', limit: maxSizeChange, found, met, changes }],
    fallen: [],
  }
}

function shareOf({ now, median }: SizeChange): number {
  return now / median - 1
}

function medianOf(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[middle - 1], sorted[middle]]
  return sorted.length % 2 === 1 || low === undefined || high === undefined
    ? high
    : (low + high) / 2
}
