import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '../errors.ts'
import { type Contents, readContents } from '../postgres/archive-entries.ts'
import type { Programs } from '../postgres/binaries.ts'
import type { Connection } from '../postgres/connection.ts'
import { load, loadAtOnce } from '../postgres/load.ts'
import { type Entry, whyStillFailed } from '../postgres/restore-errors.ts'
import type { Held, Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'
import { dataArchivesOf, fetchArchive, frameOf, withArchive } from './fetch.ts'
import type { StoredArchive } from './manifest.ts'
import { sideBySide } from './side-by-side.ts'

export interface RestoreInto {
  /** Put tables back into the tablespaces that they were in. */
  tablespaces: boolean
  /** How many connections and archives at once. */
  jobs: number
}

interface Target extends RestoreInto {
  backup: FoundBackup
  identities: readonly string[]
  programs: Programs
  connection: Connection
  /** A private folder, with the frame in it. */
  folder: string
  frame: string
}

/**
 * Restores a backup into an empty database, in the order in which one pg_restore of a whole archive would go: types, tables and functions; rows,
 * from all archives side by side; indexes and constraints; grants; materialized views. Archives of rows flow straight from the store; only the frame,
 * which is read several times and by several connections, is a file meanwhile: decrypted, in a folder of our own, and checked before anything reads it.
 *
 * Gives a sentence for each thing that was let pass. Throws `object-damaged`, `object-missing` and load's UserErrors.
 */
export async function restoreInto(
  backup: FoundBackup,
  identities: readonly string[],
  programs: Programs,
  connection: Connection,
  options: RestoreInto,
  work: Work,
): Promise<string[]> {
  return withFolder(work, async (folder) => {
    const frame = join(folder, 'frame.dump')
    await fetchArchive(backup, frameOf(backup), identities, frame, work)
    const target: Target = { ...options, backup, identities, programs, connection, folder, frame }
    const contents = await readContents(programs, frame, work)
    const { tablespaces, jobs } = options
    work.log.info('Restoring types, tables and functions')
    expectNone(await load(programs, connection, frame, { tablespaces, preData: true }, work), connection)
    const late = await loadRows(target, contents, work)
    // archives of rows may have values of sequences too, read at another time
    const { otherData } = contents
    if (otherData.length) expectNone(await load(programs, connection, frame, { tablespaces, only: { ids: otherData, folder } }, work), connection)
    work.log.info('Restoring indexes, constraints and grants')
    const made = await makeLargeIndexes(target, contents, work)
    const { postData, grants } = contents
    const rest = postData.filter((id) => !made.has(id))
    if (rest.length) await loadAtOnce(programs, connection, frame, { tablespaces, jobs, only: { ids: rest, folder } }, work)
    if (grants.length) expectNone(await load(programs, connection, frame, { tablespaces, only: { ids: grants, folder } }, work), connection)
    await computeViews(target, contents.views, work)
    if (late.length === 0) return []
    return [`Rows of ${late.join(', ')} were loaded in another pass, after the rest: a check of theirs reads other tables. Stock pg_restore goes by the archive's order, and may stop there; run it again for these tables.`]
  })
}

/** A folder that nobody else may look into, for as long as `body` runs. */
async function withFolder<T>(work: Work, body: (folder: string) => Promise<T>): Promise<T> {
  const directory = join(work.temporary, `holdfast-restore-${randomBytes(6).toString('hex')}`)
  const held: Held = { kind: 'folder', directory }
  work.hold(held)
  try {
    await mkdir(directory, { mode: 0o700 })
    return await body(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
    work.release(held)
  }
}

/** Some entries, or all, of an archive of the store or of the frame's file. */
interface Part {
  archive: StoredArchive | 'frame'
  only?: readonly number[]
  /** Stored bytes, about. */
  bytes: number
}

/**
 * Loads all rows and large objects. What fails because other rows were not there yet comes once more after the rest, as long as each pass
 * brings more in. Gives the tables that took another pass.
 */
async function loadRows(target: Target, contents: Contents, work: Work): Promise<string[]> {
  const others = dataArchivesOf(target.backup.manifest).map((archive): Part => ({ archive, bytes: archive.bytes }))
  let parts: Part[] = [...frameParts(target, contents), ...others].sort((a, b) => b.bytes - a.bytes)
  const late = new Set<string>()
  work.log.info(`Restoring rows, ${target.jobs === 1 ? 'one archive' : `up to ${target.jobs} archives`} at a time`)
  for (let before = Infinity; ; ) {
    const failed = await sideBySide(parts, target.jobs, (part, own) => loadPart(target, part, own), work)
    const entries = failed.flat()
    if (entries.length === 0) return [...late]
    if (entries.length >= before) throw whyStillFailed(entries, target.connection)
    before = entries.length
    for (const { what } of entries) late.add(what.replace(/^TABLE DATA /, ''))
    work.log.info(`Loading once more what came before what it rests on: ${entries.map(({ what }) => what).join(', ')}`)
    parts = parts.flatMap((part, i) => (failed[i]?.length ? [{ ...part, only: failed[i].map(({ id }) => id) }] : []))
  }
}

/**
 * The frame's own data, in parts of about the same size: each has a pg_restore of its own, since with several workers in one it could not
 * be told which table an error belongs to. A small frame is one part.
 */
function frameParts(target: Target, { rows }: Contents): Part[] {
  const { bytes } = frameOf(target.backup)
  const count = Math.max(1, Math.min(rows.length, 4 * target.jobs, Math.max(Math.floor(bytes / (4 * 1024 * 1024)), Math.floor(rows.length / 500))))
  const dealt = Array.from({ length: count }, (_, hand) => rows.filter((_id, i) => i % count === hand))
  return dealt.filter((only) => only.length > 0).map((only) => ({ archive: 'frame', only, bytes: bytes / count }))
}

async function loadPart(target: Target, part: Part, work: Work): Promise<Entry[]> {
  const { backup, identities, programs, connection, tablespaces, folder, frame } = target
  const loading = { tablespaces, ...(part.only ? { only: { ids: part.only, folder } } : {}) }
  if (part.archive === 'frame') return load(programs, connection, frame, loading, work)
  return withArchive(backup, part.archive, identities, (archive) => load(programs, connection, archive, loading, work), work)
}

/**
 * Makes indexes and keys of the tables whose rows have an archive of their own, the largest first: pg_restore knows the sizes of the tables in its own
 * file only, and would begin these last, when the small ones no longer fill the other connections. Gives the ids of what it made.
 */
async function makeLargeIndexes({ backup, programs, connection, frame, folder, tablespaces, jobs }: Target, { indexes }: Contents, work: Work): Promise<Set<number>> {
  const weights = weightsOf(backup)
  const large = indexes
    .map((index) => ({ ...index, weight: weightIn(weights, index.table) }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight || Number(b.alone) - Number(a.alone))
  const made = await sideBySide(
    large,
    jobs,
    async ({ id }, own) => {
      expectNone(await load(programs, connection, frame, { tablespaces, only: { ids: [id], folder } }, own), connection)
      return id
    },
    work,
    (one, running) => !running.some((other) => other.table === one.table && (other.alone || one.alone)),
  )
  return new Set(made)
}

/** Stored bytes, about, by schema and name with a space between: of tables that are at least a hundredth of all rows, so at most a hundred. */
function weightsOf({ manifest }: FoundBackup): Map<string, number> {
  const archives = manifest.objects.filter(({ tables }) => tables?.length)
  const total = archives.reduce((sum, { bytes }) => sum + bytes, 0)
  const tables = archives.flatMap(({ bytes, tables = [] }) => tables.map((table): [string, number] => [plainName(table), bytes / tables.length]))
  return new Map(tables.filter(([, bytes]) => bytes * 100 >= total))
}

/** As pg_restore lists it: names without quotes, line breaks as spaces. */
function plainName(table: string): string {
  return [...table.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(([, quoted, bare]) => (quoted === undefined ? bare : quoted.replaceAll('""', '"'))).join(' ').replace(/[\r\n]/g, ' ')
}

/** `table` is followed by its owner, and a name may have spaces: the longest beginning that is known counts. */
function weightIn(weights: ReadonlyMap<string, number>, table: string): number {
  for (let end = table.lastIndexOf(' '); end > 0; end = table.lastIndexOf(' ', end - 1)) {
    const weight = weights.get(table.slice(0, end))
    if (weight !== undefined) return weight
  }
  return 0
}

/**
 * Computes materialized views, side by side where that goes well. A view whose function reads another one may come too early;
 * computed again, after the others, it does not.
 */
async function computeViews({ programs, connection, frame, folder, tablespaces, jobs }: Target, views: readonly number[], work: Work): Promise<void> {
  if (jobs > 1 && views.length > 1) {
    try {
      return await loadAtOnce(programs, connection, frame, { tablespaces, jobs, only: { ids: views, folder } }, work)
    } catch (error) {
      if (!(error instanceof UserError && error.code === 'restore-failed')) throw error
      work.log.debug(`computing materialized views one after the other, since at once it failed: ${error.message}`)
    }
  }
  for (let ids = views; ids.length; ) {
    const failed = await load(programs, connection, frame, { tablespaces, only: { ids, folder } }, work)
    if (failed.length >= ids.length) throw whyStillFailed(failed, connection)
    ids = failed.map(({ id }) => id)
  }
}

function expectNone(failed: readonly Entry[], connection: Connection): void {
  if (failed.length) throw whyStillFailed(failed, connection)
}
