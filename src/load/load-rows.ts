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

export interface LoadOptions {
  /** Whether tables go into the tablespaces that they were in. */
  tablespaces: boolean
  /** Who owns the restored objects. Undefined: the owners of the backup, with its grants. */
  owner?: OwnerRule
  /** False restores definitions only. Default: true. */
  rows?: boolean
  /** Number of connections, and of archives read at a time. */
  jobs: number
}

/** A restore in progress. */
export interface Target extends LoadOptions {
  backup: FoundBackup
  identities: readonly string[]
  programs: Programs
  connection: Connection
  /** A private folder, with the base archive in it. */
  folder: string
  base: string
  /** Bytes of archives loaded so far, compressed as pg_dump wrote them. */
  loaded: Counter
}

/** What `loadRows` did. */
export interface RowsLoaded {
  /** Tables that took another loader. */
  late: string[]
  /** Ids of the indexes that were created. */
  indexes: ReadonlySet<number>
}

/** All entries, or some, of a stored archive or of the base archive's file. */
interface Part {
  archive: StoredArchive | 'base'
  only?: readonly number[]
}

/** An index of a table whose rows are in an archive of their own. */
interface LargeIndex extends TableIndex {
  /** The name of that archive. */
  rowsIn: string
}

/** `bytes`: roughly, as stored. */
type Step = { bytes: number } & (
  { part: Part; index?: never } | { part?: never; index: LargeIndex }
)

/**
 * Loads all rows and large objects, the largest archives first, and creates the indexes and keys of
 * large tables as soon as their rows are loaded. pg_restore could not do that: it knows only the
 * sizes of the tables in its own file, and would create these indexes last, one by one.
 *
 * Rows that were refused because other rows were missing are loaded again after the rest, for as
 * long as each pass loads more. Throws `restore-failed` for those that still fail.
 */
export async function loadRows(
  target: Target,
  contents: TableOfContents,
  work: Work,
): Promise<RowsLoaded> {
  const { backup, connection, jobs } = target
  const archives = dataArchivesOf(backup.manifest).map((archive): Step => ({
    part: { archive },
    bytes: archive.bytes,
  }))
  const indexes = largeIndexes(backup, contents)
  const steps = [...baseParts(target, contents), ...archives, ...indexes].sort(largestFirst)
  const loader = new RowLoader(target)
  let failed = await mapConcurrent(
    steps,
    jobs,
    (step, own) => loader.run(step, own),
    work,
    (step, running) => loader.mayStart(step, running),
  )
  let parts = steps
  const late = new Set<string>()
  for (;;) {
    const entries = failed.flat()
    if (entries.length === 0) return { late: [...late], indexes: loader.indexes }
    for (const { what } of entries) late.add(what.replace(/^TABLE DATA /, ''))
    work.log.info(
      'Loading again what came before the rows that it depends on: ' +
        entries.map(({ what }) => what).join(', '),
    )
    parts = parts.flatMap((step, i) =>
      step.part && failed[i]?.length
        ? [{ ...step, part: { ...step.part, only: failed[i].map(({ id }) => id) } }]
        : [],
    )
    failed = await mapConcurrent(parts, jobs, (step, own) => loader.run(step, own), work)
    if (failed.flat().length >= entries.length) throw failedEntriesError(failed.flat(), connection)
  }
}

/** Runs the steps, and knows which archives are loaded. */
class RowLoader {
  readonly indexes = new Set<number>()
  /** Archives that were read, by name; and those of them without a refused row. */
  readonly #read = new Set<string>()
  readonly #loaded = new Set<string>()
  readonly #target: Target

  constructor(target: Target) {
    this.#target = target
  }

  /** Loads rows or creates an index; returns the entries that were refused. */
  async run({ part, index, bytes }: Step, work: Work): Promise<FailedEntry[]> {
    if (index) {
      // rows of the table were refused: the index is created with all others, after they are loaded
      if (!this.#loaded.has(index.rowsIn)) return []
      await loadEntries(this.#target, [index.id], work)
      this.indexes.add(index.id)
      return []
    }
    const failed = await loadPart(this.#target, part, work)
    if (part.archive === 'base') {
      this.#target.loaded.done += bytes
      return failed
    }
    this.#read.add(part.archive.name)
    if (failed.length === 0) this.#loaded.add(part.archive.name)
    return failed
  }

  /** An index waits for its table's rows, and for indexes that cannot be created in parallel. */
  mayStart({ index }: Step, running: readonly Step[]): boolean {
    if (!index) return true
    const conflicts = ({ index: other }: Step): boolean | undefined =>
      other?.table === index.table && (other.alone || index.alone)
    return this.#read.has(index.rowsIn) && !running.some(conflicts)
  }
}

/** The largest first; of one table: its rows, then its keys, then its indexes. */
function largestFirst(a: Step, b: Step): number {
  const rank = ({ index }: Step): number => (index ? (index.alone ? 1 : 2) : 0)
  return b.bytes - a.bytes || rank(a) - rank(b)
}

/**
 * The base archive's own rows, in parts of about the same size. Each part has a pg_restore of its
 * own, because one with several workers does not say which table an error belongs to. A small base
 * archive is one part.
 */
function baseParts(target: Target, { rows }: TableOfContents): Step[] {
  const { bytes } = baseOf(target.backup)
  const bySize = Math.max(Math.floor(bytes / (4 * 1024 * 1024)), Math.floor(rows.length / 500))
  const count = Math.max(1, Math.min(rows.length, 4 * target.jobs, bySize))
  return Array.from({ length: count }, (_, n) => rows.filter((_id, i) => i % count === n))
    .filter((only) => only.length > 0)
    .map((only) => ({ part: { archive: 'base', only }, bytes: bytes / count }))
}

async function loadPart(target: Target, part: Part, work: Work): Promise<FailedEntry[]> {
  const { backup, identities, programs, connection, folder, base } = target
  const loading = {
    ...loadingOptions(target),
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

/** Loads some entries of the base archive. Throws `restore-failed` if one is refused. */
export async function loadEntries(
  target: Target,
  ids: readonly number[],
  work: Work,
): Promise<void> {
  if (ids.length === 0) return
  const { programs, connection, base, folder } = target
  const options = { ...loadingOptions(target), only: { ids, folder } }
  expectNone(await runPgRestore(programs, connection, base, options, work), connection)
}

/** What applies to each pg_restore of a restore. */
export function loadingOptions({
  tablespaces,
  owner = 'keep',
}: LoadOptions): Pick<PgRestoreOptions, 'tablespaces' | 'owners'> {
  return { tablespaces, owners: owner === 'keep' }
}

/** Throws `restore-failed` if entries were refused. */
export function expectNone(failed: readonly FailedEntry[], connection: Connection): void {
  if (failed.length) throw failedEntriesError(failed, connection)
}

/**
 * Indexes of tables that have at least a hundredth of the bytes in archives of rows: so of at most
 * a hundred tables.
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
    all.filter(({ bytes }) => bytes * 100 >= total).map((entry) => [entry.table, entry]),
  )
  return indexes.flatMap((index) => {
    const found = findByTocName(large, index.table)
    return found ? [{ index: { ...index, rowsIn: found.rowsIn }, bytes: found.bytes }] : []
  })
}
