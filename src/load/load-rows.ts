import type { Connection } from '../postgres/connection/connection.ts'
import { type FailedEntry, failedEntriesError } from '../postgres/pg-restore/errors.ts'
import type { OwnerRule } from '../postgres/pg-restore/owners.ts'
import { runPgRestore, type PgRestoreOptions } from '../postgres/pg-restore/pg-restore.ts'
import {
  type TableOfContents,
  findByTocName,
  tocName,
  type TableIndex,
} from '../postgres/pg-restore/toc.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { StoredArchive } from '../repository/manifest.ts'
import { dataArchivesOf, baseOf, withArchive } from '../repository/read.ts'
import type { Counter } from '../stream/progress.ts'
import { mapConcurrent } from '../stream/map-concurrent.ts'
import type { Work } from '../work.ts'

export interface RestoreInto {
  /** Put tables back into the tablespaces that they were in. */
  tablespaces: boolean
  /** Whose everything is; undefined: as in the backup, with its grants. */
  owner?: OwnerRule
  /** False: definitions alone. Default: true. */
  rows?: boolean
  /** How many connections and archives at once. */
  jobs: number
}

/** A restore in progress. */
export interface Target extends RestoreInto {
  backup: FoundBackup
  identities: readonly string[]
  programs: Programs
  connection: Connection
  /** A private folder, with the base archive in it. */
  folder: string
  base: string
  /** Bytes of archives that were loaded, compressed as pg_dump wrote them. */
  loaded: Counter
}

/** Some entries, or all, of an archive of the store or of the base archive's file. */
interface Part {
  archive: StoredArchive | 'base'
  only?: readonly number[]
}

/** An index of a table whose rows are in an archive of their own. */
interface LargeIndex extends TableIndex {
  /** The name of that archive. */
  rowsIn: string
}

/** `bytes`: stored ones, about. */
type Step = { bytes: number } & (
  { part: Part; index?: never } | { part?: never; index: LargeIndex }
)

/**
 * Loads all rows and large objects, the largest archives first, and makes the indexes and keys of
 * large tables as soon as their rows are there: pg_restore knows the sizes of the tables in its own
 * file only, and would begin just these last, one after the other when nothing is left for other
 * connections.
 *
 * Rows that are refused because others were not there yet come once more after the rest, as long as
 * each pass brings more in. Gives the tables that took another pass, and the ids of the indexes.
 */
export async function loadRows(
  target: Target,
  contents: TableOfContents,
  work: Work,
): Promise<{ late: string[]; indexes: ReadonlySet<number> }> {
  const { backup, connection, jobs } = target
  const others = dataArchivesOf(backup.manifest).map((archive): Step => ({
    part: { archive },
    bytes: archive.bytes,
  }))
  const steps = [...baseParts(target, contents), ...others, ...largeIndexes(backup, contents)].sort(
    inOrder,
  )
  const loaded = new Set<string>()
  const tried = new Set<string>()
  const indexes = new Set<number>()
  const take = async ({ part, index, bytes }: Step, own: Work): Promise<FailedEntry[]> => {
    if (index) {
      if (!loaded.has(index.rowsIn)) return [] // rows were refused: it is made with all others, after they are in
      await makeIndex(target, index, own)
      indexes.add(index.id)
      return []
    }
    const failed = await loadPart(target, part, own)
    if (part.archive === 'base') target.loaded.done += bytes
    if (part.archive === 'base') return failed
    tried.add(part.archive.name)
    if (failed.length === 0) loaded.add(part.archive.name)
    return failed
  }
  const mayJoin = ({ index }: Step, running: readonly Step[]): boolean =>
    !index ||
    (tried.has(index.rowsIn) &&
      !running.some(
        (other) => other.index?.table === index.table && (other.index.alone || index.alone),
      ))
  let failed = await mapConcurrent(steps, jobs, take, work, mayJoin)
  let parts = steps
  const late = new Set<string>()
  for (;;) {
    const entries = failed.flat()
    if (entries.length === 0) return { late: [...late], indexes }
    for (const { what } of entries) late.add(what.replace(/^TABLE DATA /, ''))
    work.log.info(
      `Loading once more what came before what it rests on: ${entries.map(({ what }) => what).join(', ')}`,
    )
    parts = parts.flatMap((step, i) =>
      step.part && failed[i]?.length
        ? [{ ...step, part: { ...step.part, only: failed[i].map(({ id }) => id) } }]
        : [],
    )
    failed = await mapConcurrent(parts, jobs, take, work)
    if (failed.flat().length >= entries.length) throw failedEntriesError(failed.flat(), connection)
  }
}

/** The largest first; of a table, its rows before its keys, and these before its indexes. */
function inOrder(a: Step, b: Step): number {
  const rank = ({ index }: Step): number => (index ? (index.alone ? 1 : 2) : 0)
  return b.bytes - a.bytes || rank(a) - rank(b)
}

/**
 * The base archive's own rows, in parts of about the same size: each has a pg_restore of its own,
 * since with several workers in one it could not be told which table an error belongs to. A small
 * base archive is one part.
 */
function baseParts(target: Target, { rows }: TableOfContents): Step[] {
  const { bytes } = baseOf(target.backup)
  const count = Math.max(
    1,
    Math.min(
      rows.length,
      4 * target.jobs,
      Math.max(Math.floor(bytes / (4 * 1024 * 1024)), Math.floor(rows.length / 500)),
    ),
  )
  const dealt = Array.from({ length: count }, (_, hand) =>
    rows.filter((_id, i) => i % count === hand),
  )
  return dealt
    .filter((only) => only.length > 0)
    .map((only) => ({ part: { archive: 'base', only }, bytes: bytes / count }))
}

async function loadPart(target: Target, part: Part, work: Work): Promise<FailedEntry[]> {
  const { backup, identities, programs, connection, folder, base } = target
  const loading = {
    ...rowOptions(target),
    ...(part.only ? { only: { ids: part.only, folder } } : {}),
  }
  if (part.archive === 'base') return runPgRestore(programs, connection, base, loading, work)
  const count = (bytes: number): void => void (target.loaded.done += bytes)
  return withArchive(
    backup,
    part.archive,
    identities,
    (archive) => runPgRestore(programs, connection, archive, loading, work),
    work,
    count,
  )
}

async function makeIndex(target: Target, { id }: LargeIndex, work: Work): Promise<void> {
  const { programs, connection, base, folder } = target
  expectNone(
    await runPgRestore(
      programs,
      connection,
      base,
      { ...rowOptions(target), only: { ids: [id], folder } },
      work,
    ),
    connection,
  )
}

/** What holds for each pg_restore of a restore. */
export function rowOptions({
  tablespaces,
  owner = 'keep',
}: RestoreInto): Pick<PgRestoreOptions, 'tablespaces' | 'owners'> {
  return { tablespaces, owners: owner === 'keep' }
}

export function expectNone(failed: readonly FailedEntry[], connection: Connection): void {
  if (failed.length) throw failedEntriesError(failed, connection)
}

/**
 * Indexes of tables that are at least a hundredth of what archives of rows hold: so of at most a
 * hundred tables.
 */
function largeIndexes({ manifest }: FoundBackup, { indexes }: TableOfContents): Step[] {
  const archives = manifest.objects.filter(({ tables }) => tables?.length)
  const total = archives.reduce((sum, { bytes }) => sum + bytes, 0)
  const all = archives.flatMap(({ name, bytes, tables = [] }) =>
    tables.map((table) => ({
      table: tocName(table),
      rowsIn: name,
      bytes: bytes / tables.length,
    })),
  )
  const large = new Map(
    all.filter(({ bytes }) => bytes * 100 >= total).map((one) => [one.table, one]),
  )
  return indexes.flatMap((index) => {
    const found = findByTocName(large, index.table)
    return found ? [{ index: { ...index, rowsIn: found.rowsIn }, bytes: found.bytes }] : []
  })
}
