import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '../errors.ts'
import { readTableOfContents } from '../postgres/pg-restore/toc.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { runPgRestore, runParallelPgRestore } from '../postgres/pg-restore/pg-restore.ts'
import { applyOwners } from '../postgres/pg-restore/owners.ts'
import { failedEntriesError } from '../postgres/pg-restore/errors.ts'
import type { Held, Work } from '../work.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { archivesOf, fetchArchive, baseOf } from '../repository/read.ts'
import { expectNone, loadRows, rowOptions, type RestoreInto, type Target } from './load-rows.ts'

/**
 * Restores a backup into an empty database, in the order in which one pg_restore of a whole archive
 * would go: types, tables and functions; rows, from all archives side by side, and indexes of large
 * tables as soon as their rows are there; all else that rests on rows; grants; materialized views.
 * Archives of rows flow straight from the store; only the base archive, which is read several times
 * and by several connections, is a file meanwhile: decrypted, in a folder of our own, and checked
 * before anything reads it.
 *
 * Gives a sentence for each thing that was let pass. Throws `object-damaged`, `object-missing` and
 * load's UserErrors.
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
    const base = join(folder, 'base.dump')
    await fetchArchive(backup, baseOf(backup), identities, base, work)
    const total = archivesOf(backup.manifest).reduce(
      (sum, { bytes, plain }) => sum + (plain?.bytes ?? bytes),
      0,
    )
    const loaded: Counter = { name: 'loaded', done: 0, total }
    const target: Target = {
      ...options,
      backup,
      identities,
      programs,
      connection,
      folder,
      base,
      loaded,
    }
    const contents = await readTableOfContents(programs, base, work)
    const { otherData, postData, grants, views } = contents
    const { jobs, owner = 'keep', rows: withRows = true } = options
    const how = rowOptions(options)
    work.log.info('Restoring types, tables and functions')
    expectNone(
      await runPgRestore(programs, connection, base, { ...how, preData: true }, work),
      connection,
    )
    const nothing: Awaited<ReturnType<typeof loadRows>> = { late: [], indexes: new Set() }
    const rows = !withRows
      ? nothing
      : await work.log.group(
          `Restoring rows, ${jobs === 1 ? 'one archive' : `up to ${jobs} archives`} at a time`,
          async () => {
            const done = tellProgress(work.log, [loaded])
            return loadRows(target, contents, work).finally(done)
          },
        )
    // archives of rows may have values of sequences too, read at another time
    if (withRows && otherData.length)
      expectNone(
        await runPgRestore(
          programs,
          connection,
          base,
          { ...how, only: { ids: otherData, folder } },
          work,
        ),
        connection,
      )
    work.log.info('Restoring indexes, constraints and grants')
    const rest = postData.filter((id) => !rows.indexes.has(id))
    if (rest.length)
      await runParallelPgRestore(
        programs,
        connection,
        base,
        { ...how, jobs, only: { ids: rest, folder } },
        work,
      )
    if (grants.length)
      expectNone(
        await runPgRestore(
          programs,
          connection,
          base,
          { ...how, only: { ids: grants, folder } },
          work,
        ),
        connection,
      )
    if (owner !== 'keep' && owner !== 'drop')
      await applyOwners(programs, connection, base, owner, work)
    if (withRows) await computeViews(target, views, work)
    if (rows.late.length === 0) return []
    return [
      `Rows of ${rows.late.join(', ')} were loaded in another pass, after the rest: a check of theirs reads other tables. Stock pg_restore goes by the archive's order, and may stop there; run it again for these tables.`,
    ]
  })
}

/** A folder that nobody else may look into, for as long as `body` runs. */
export async function withFolder<T>(work: Work, body: (folder: string) => Promise<T>): Promise<T> {
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

/**
 * Computes materialized views, side by side where that goes well. A view whose function reads
 * another one may come too early; computed again, after the others, it does not.
 */
async function computeViews(target: Target, views: readonly number[], work: Work): Promise<void> {
  const { programs, connection, base, folder, jobs } = target
  const how = rowOptions(target)
  if (jobs > 1 && views.length > 1) {
    try {
      return await runParallelPgRestore(
        programs,
        connection,
        base,
        { ...how, jobs, only: { ids: views, folder } },
        work,
      )
    } catch (error) {
      if (!(error instanceof UserError && error.code === 'restore-failed')) throw error
      work.log.debug(
        `computing materialized views one after the other, since at once it failed: ${error.message}`,
      )
    }
  }
  for (let ids = views; ids.length;) {
    const failed = await runPgRestore(
      programs,
      connection,
      base,
      { ...how, only: { ids, folder } },
      work,
    )
    if (failed.length >= ids.length) throw failedEntriesError(failed, connection)
    ids = failed.map(({ id }) => id)
  }
}
