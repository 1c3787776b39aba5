/**
 * Loads a backup into an empty database, measures the copy, and compares it with the fingerprint.
 * Opens the scratch databases that copies are made in.
 */
import { join } from 'node:path'
import { UserError } from '../errors.ts'
import { type TableOfContents, readTableOfContents } from '../postgres/pg-restore/toc.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { withArchiveFolder } from '../postgres/pg-restore/archive-folder.ts'
import { runPgRestore, runParallelPgRestore } from '../postgres/pg-restore/pg-restore.ts'
import { applyOwners } from '../postgres/pg-restore/owners.ts'
import { failedEntriesError } from '../postgres/pg-restore/errors.ts'
import type { Work } from '../work.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { archivesOf, fetchArchive, baseOf } from '../repository/read.ts'
import {
  expectNone,
  loadEntries,
  loadRows,
  loadingOptions,
  type LoadOptions,
  type RowsLoaded,
  type Target,
} from './load-rows.ts'

/**
 * Restores a backup into an empty database, in the order of one pg_restore of a whole archive:
 * types, tables and functions; rows, from all archives in parallel, and indexes of large tables as
 * soon as their rows are loaded; everything else that depends on rows; grants; materialized views.
 *
 * Streams archives of rows from the store. Only the base archive, which is read several times and
 * by several connections, becomes a file: decrypted, in a private folder, and checked before it is
 * read.
 *
 * Returns a sentence for each problem that was accepted. Throws `object-damaged`,
 * `object-missing`, `disk-full`, and the UserErrors of pg_restore.
 */
export async function loadBackup(
  backup: FoundBackup,
  identities: readonly string[],
  programs: Programs,
  connection: Connection,
  options: LoadOptions,
  work: Work,
): Promise<string[]> {
  return withArchiveFolder(work, async (folder) => {
    const base = join(folder, 'base.dump')
    await fetchArchive(backup, baseOf(backup), identities, base, work)
    const total = archivesOf(backup.manifest).reduce(
      (sum, { bytes, plain }) => sum + (plain?.bytes ?? bytes),
      0,
    )
    const loaded: Counter = { name: 'loaded', done: 0, total }
    const paths = { folder, base }
    const target = { ...options, ...paths, backup, identities, programs, connection, loaded }
    const contents = await readTableOfContents(programs, base, work)
    await loadDefinitions(target, work)
    const withRows = options.rows ?? true
    const { late, indexes } = withRows
      ? await loadAllRows(target, contents, work)
      : { late: [], indexes: new Set<number>() }
    await loadRest(target, contents, indexes, work)
    if (withRows) await computeViews(target, contents.views, work)
    if (late.length === 0) return []
    return [
      `Rows of ${late.join(', ')} were loaded in another pass, after the rest: a check ` +
        `constraint on them reads other tables. Stock pg_restore loads in the archive's order ` +
        `and may fail there; if it does, run it again for these tables.`,
    ]
  })
}

async function loadDefinitions(target: Target, work: Work): Promise<void> {
  const { programs, connection, base } = target
  work.log.info('Restoring types, tables and functions')
  const options = { ...loadingOptions(target), preData: true }
  expectNone(await runPgRestore(programs, connection, base, options, work), connection)
}

async function loadAllRows(
  target: Target,
  contents: TableOfContents,
  work: Work,
): Promise<RowsLoaded> {
  const count = archivesOf(target.backup.manifest).length
  const atOnce = Math.min(target.jobs, count)
  const how =
    count === 1 ? '' : `, ${atOnce === 1 ? 'one archive' : `up to ${atOnce} archives`} at a time`
  const rows = await work.log.group(`Restoring rows${how}`, async () => {
    const done = tellProgress(work.log, [target.loaded])
    return loadRows(target, contents, work).finally(done)
  })
  // archives of rows may have sequence values too, read at another time: those of the base count
  await loadEntries(target, contents.otherData, work)
  return rows
}

/** Loads what depends on rows, without the indexes that are there already; then grants, owners. */
async function loadRest(
  target: Target,
  { postData, grants }: TableOfContents,
  indexes: ReadonlySet<number>,
  work: Work,
): Promise<void> {
  const { programs, connection, base, folder, jobs, owner = 'keep' } = target
  work.log.info('Restoring indexes, constraints and grants')
  const ids = postData.filter((id) => !indexes.has(id))
  if (ids.length) {
    const options = { ...loadingOptions(target), jobs, only: { ids, folder } }
    await runParallelPgRestore(programs, connection, base, options, work)
  }
  await loadEntries(target, grants, work)
  if (owner !== 'keep' && owner !== 'drop')
    await applyOwners(programs, connection, base, owner, work)
}

/**
 * Computes materialized views, in parallel if that succeeds. A view whose function reads another
 * view may be computed too early and fail; it is then computed again after the others.
 */
async function computeViews(target: Target, views: readonly number[], work: Work): Promise<void> {
  const { programs, connection, base, folder, jobs } = target
  const options = loadingOptions(target)
  if (jobs > 1 && views.length > 1) {
    try {
      const parallel = { ...options, jobs, only: { ids: views, folder } }
      return await runParallelPgRestore(programs, connection, base, parallel, work)
    } catch (error) {
      if (!(error instanceof UserError && error.code === 'restore-failed')) throw error
      work.log.debug(
        `computing materialized views one by one, because in parallel it failed: ${error.message}`,
      )
    }
  }
  for (let ids = views; ids.length;) {
    const only = { ids, folder }
    const failed = await runPgRestore(programs, connection, base, { ...options, only }, work)
    if (failed.length >= ids.length) throw failedEntriesError(failed, connection)
    ids = failed.map(({ id }) => id)
  }
}
