import {
  compareCounts,
  compareFingerprints,
  isOtherVersion,
  levelOf,
} from '../load/compare-fingerprints.ts'
import { measure } from '../load/measure.ts'
import type { Scratch } from '../load/scratch.ts'
import type { Depth } from '../postgres/fingerprint/fingerprint.ts'
import type { Difference, Level } from '../repository/level.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { Manifest } from '../repository/manifest.ts'
import type { Work } from '../work.ts'
import type { VerifyResult } from './result.ts'

type Comparison = Pick<VerifyResult, 'level' | 'stoppedBy' | 'limit' | 'partial' | 'differences'>

/**
 * Compares a restored copy with the fingerprint, as far as the requested level needs. Returns the
 * level that the copy reached, and what could not be compared. Sets `timings.compare`.
 */
export async function compareCopy(
  backup: FoundBackup,
  scratch: Scratch,
  asked: Level,
  { jobs, timings }: { jobs: number; timings: Pick<VerifyResult['timings'], 'compare'> },
  work: Work,
): Promise<Comparison> {
  const { fingerprint, source } = backup.manifest
  if (asked === 'restored') return { level: 'restored', differences: [] }
  const from = Date.now()
  const counting = asked === 'counted'
  const depth = counting && fingerprint.kind === 'content' ? 'counts' : fingerprint.kind
  const sameMajor = scratch.programs.server.major === source.major
  const found = await measure(scratch, backup.manifest, work, jobs, depth)
  const all = counting
    ? compareCounts(fingerprint, found)
    : compareFingerprints(fingerprint, found, sameMajor)
  timings.compare = Date.now() - from
  const differences = all.filter((each) => !isOtherVersion(each))
  const level = levelOf(all, depth)
  const known = counting && fingerprint.kind !== 'none' ? undefined : limits[fingerprint.kind]
  const unlike =
    counting || fingerprint.kind === 'none'
      ? []
      : unlikeSource(source, scratch.server.version, sameMajor, all.filter(isOtherVersion))
  const [first] = differences
  // the depth's limit describes a backup without a fault
  const sentences = [...(known && !first ? [known] : []), ...unlike]
  const limit = sentences.length ? { limit: sentences.join(' ') } : {}
  if (first) {
    const count = differences.length === 1 ? 'One difference' : `${differences.length} differences`
    const stoppedBy =
      `${count} from the fingerprint, the first: ` +
      `${first.object}: expected ${first.expected}, found ${first.found}.`
    return { level, differences, ...limit, stoppedBy }
  }
  return unlike.length
    ? { level: 'counted', differences, ...limit, partial: true }
    : { level, differences, ...limit }
}

/**
 * A sentence for each thing that cannot be compared on this scratch server, with what would allow
 * it. Empty if the server is like that of the backup.
 */
function unlikeSource(
  source: Manifest['source'],
  server: string,
  sameMajor: boolean,
  versions: readonly Difference[],
): string[] {
  const sentences: string[] = []
  if (!sameMajor)
    sentences.push(
      `Definitions were not compared: the scratch server is PostgreSQL ${server}, the backup is ` +
        `of ${source.server}, and pg_dump writes the same definitions differently in two majors. ` +
        `To compare them, verify on a scratch server of PostgreSQL ${source.major}, ` +
        `or without scratch-url.`,
    )
  const [first] = versions
  if (first) {
    const others = versions.length > 1 ? ` (and ${versions.length - 1} more)` : ''
    sentences.push(
      `The scratch server installed another version of the extension ${first.object}${others} ` +
        `than the database had (${first.expected}; here ${first.found}), so this was not ` +
        `compared. To compare it, verify on a scratch server that has that version.`,
    )
  }
  return sentences
}

/** What a fingerprint of each depth does not show. */
const limits: Record<Depth, string | undefined> = {
  content: undefined,
  counts:
    'Every table has its rows, and the schema is the same. The content of the rows was not ' +
    'compared, because the backup was taken with fingerprint: counts.',
  none:
    'It restores without an error. Whether all rows are there was not compared, because the ' +
    'backup was taken with fingerprint: none.',
}
