import type { Readable } from 'node:stream'
import type { Connection } from '../../postgres/connection/connection.ts'
import type { Psql } from '../../postgres/pg-restore/psql.ts'
import { restoreText, type TextOptions } from '../../postgres/pg-restore/to-script.ts'
import { type ArchiveEntry, readContents } from '../../postgres/pg-restore/toc.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { DropPlan } from '../../postgres/tables/empty-database.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { dataArchivesOf, withArchive } from '../../repository/read.ts'
import type { Work } from '../../work.ts'
import type { RestoreOptions } from '../options.ts'

/** The base archive, as a file, and its entries. */
export interface BaseArchive {
  folder: string
  file: string
  entries: ArchiveEntry[]
}

interface LoadOptions {
  backup: FoundBackup
  options: RestoreOptions
  connection: Connection
  programs: { archive: Programs }
  drops: DropPlan
  contents: 'all' | 'schema'
}

/**
 * Restores a backup through an open psql session, in its transaction: definitions, rows, indexes
 * and constraints, grants, and the contents of materialized views.
 */
export async function loadInTransaction(
  { backup, options, connection, programs, drops, contents }: LoadOptions,
  psql: Psql,
  { folder, file, entries }: BaseArchive,
  work: Work,
): Promise<void> {
  const toc = await readContents(programs.archive, file, work)
  // With owner: drop, pg_restore leaves out the grants.
  const common = { folder, owners: options.owner !== 'drop', connection }
  const run = (
    archive: string | Readable,
    more: Pick<TextOptions, 'only' | 'largeObjects'>,
  ): Promise<void> => restoreText(programs.archive, psql, archive, { ...common, ...more }, work)
  const kept = new Set(
    entries.filter(({ kind, named }) => isKept(kind, named, drops)).map(({ id }) => id),
  )
  const runBase = (ids: readonly number[], largeObjects = false): Promise<void> =>
    run(file, { only: ids.filter((id) => !kept.has(id)), largeObjects })
  const rows = contents === 'all'
  work.log.info('Restoring types, tables and functions')
  await runBase(toc.preData)
  if (rows) {
    work.log.info('Restoring rows')
    await runBase(toc.rows)
    for (const archive of dataArchivesOf(backup.manifest)) {
      const more = { largeObjects: archive.kind === 'large-objects' }
      const use = (stream: Readable): Promise<void> => run(stream, more)
      await withArchive(backup, archive, options.identities, use, work)
    }
    const blobs = new Set(entries.filter(({ kind }) => kind === 'BLOBS').map(({ id }) => id))
    await runBase(toc.otherData.filter((id) => !blobs.has(id)))
    await runBase(
      toc.otherData.filter((id) => blobs.has(id)),
      true,
    )
  }
  work.log.info('Restoring indexes, constraints and grants')
  await runBase(toc.postData)
  await runBase(toc.grants) // and event triggers
  if (rows) await runBase(toc.views)
}

/**
 * Whether an entry belongs to an extension that was not dropped: its schema exists already, and
 * only the extension's owner can set its comment.
 */
function isKept(kind: string, named: string, { kept, schemas }: DropPlan): boolean {
  if (kind === 'SCHEMA')
    return schemas.some((name) => named.startsWith(`- ${name.replace(/[\r\n]/g, ' ')} `))
  return (
    kind === 'COMMENT' &&
    kept.some((name) => named.startsWith(`- EXTENSION ${name} `) || named === `- EXTENSION ${name}`)
  )
}
