import type { Readable } from 'node:stream'
import { messageOf, UserError } from '../errors.ts'
import { findByTocName, tocName, listDataTables } from '../postgres/pg-restore/toc.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import type { Level } from '../repository/level.ts'
import type { FoundBackup } from '../repository/listing.ts'
import type { Manifest, StoredArchive } from '../repository/manifest.ts'
import { archivesOf, asMissing, checkObject, withArchive, withHead } from '../repository/read.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'
import { mapConcurrent } from '../stream/map-concurrent.ts'
import { text } from '../text.ts'
import type { Work } from '../work.ts'

/** Codes of faults of the backup; other errors (of a key, a server) say nothing about it. */
const faultsOfTheBackup = ['object-damaged', 'object-missing', 'contents-differ', 'restore-failed']

/** Whether an error is a fault of the backup. */
export function isFault(error: unknown): error is UserError {
  return error instanceof UserError && faultsOfTheBackup.includes(error.code)
}

/**
 * Reads every object as it is stored, without a key, and checks its size and digest. Throws
 * `object-missing` and `object-damaged`.
 */
export async function checkStored(backup: FoundBackup, jobs: number, work: Work): Promise<void> {
  const { objects } = backup.manifest
  const checked: Counter = {
    name: 'checked',
    done: 0,
    total: objects.reduce((sum, { bytes }) => sum + bytes, 0),
  }
  await work.log.group(`Checking ${objects.length} stored objects`, async () => {
    const done = tellProgress(work.log, [checked])
    await mapConcurrent(
      objects,
      jobs,
      async (object, own) => {
        await checkObject(backup, object, own).catch(
          asMissing(`${backup.location}: ${object.name}`),
        )
        checked.done += object.bytes
      },
      work,
    ).finally(done)
  })
}

/** Checks the recovery guide, which a restore does not read. */
export async function checkRecoveryGuide(backup: FoundBackup, work: Work): Promise<void> {
  for (const object of backup.manifest.objects)
    if (object.kind === 'recovery-guide')
      await checkObject(backup, object, work).catch(asMissing(`${backup.location}: ${object.name}`))
}

export interface ReadOptions {
  identities: readonly string[]
  programs: Programs
  jobs: number
}

/**
 * Reads every archive to its end, decrypted and decompressed, with a pg_restore that restores
 * nothing, and compares its table of contents with the manifest. Throws `object-missing`,
 * `object-damaged`, `restore-failed` and `contents-differ`.
 */
export async function checkReadable(
  backup: FoundBackup,
  { identities, programs, jobs }: ReadOptions,
  work: Work,
): Promise<void> {
  const archives = archivesOf(backup.manifest)
  const read: Counter = {
    name: 'read',
    done: 0,
    total: archives.reduce((sum, { bytes, plain }) => sum + (plain?.bytes ?? bytes), 0),
  }
  await work.log.group(
    `Reading archives to their end, ${archives.length === 1 ? 'one archive' : `${archives.length} archives`}`,
    async () => {
      const done = tellProgress(work.log, [read])
      const look = async (object: StoredArchive, own: Work): Promise<void> => {
        const use = (archive: Readable): Promise<string[]> =>
          listDataTables(programs, archive, { whole: true }, own)
        const listed = await withArchive(
          backup,
          object,
          identities,
          use,
          own,
          (bytes) => (read.done += bytes),
        ).catch(namingObject(backup, object))
        expectContents(backup, object, listed)
      }
      await mapConcurrent(archives, jobs, look, work).finally(done)
    },
  )
}

/**
 * Compares only the tables of contents, for archives that a restore has read to their end. Fetches
 * only the beginning of each. Throws `contents-differ`.
 */
export async function checkContents(
  backup: FoundBackup,
  { identities, programs, jobs }: ReadOptions,
  work: Work,
): Promise<void> {
  await mapConcurrent(
    archivesOf(backup.manifest),
    jobs,
    async (object, own) => {
      const use = (archive: Readable): Promise<string[]> =>
        listDataTables(programs, archive, { whole: false }, own)
      expectContents(
        backup,
        object,
        await withHead(backup, object, identities, use, own).catch(namingObject(backup, object)),
      )
    },
    work,
  )
}

function expectContents(
  backup: FoundBackup,
  object: StoredArchive,
  listed: readonly string[],
): void {
  const difference = contentsDifference(
    listed,
    tablesOf(backup.manifest, object),
    backup.manifest.source.locale.encoding,
  )
  if (difference === undefined) return
  throw new UserError('contents-differ', `${backup.location}: ${object.name}: ${difference}`)
}

/** Adds the object's name to pg_restore's errors. */
function namingObject(backup: FoundBackup, object: StoredArchive): (error: unknown) => never {
  return (error) => {
    if (error instanceof UserError && error.code === 'restore-failed')
      throw new UserError(
        error.code,
        text`${backup.location}: ${object.name}: ${error.texts.message}`,
        error.texts.hint,
        { cause: error },
      )
    throw error
  }
}

/**
 * The tables whose rows an archive should have, named as in the fingerprint; undefined if unknown:
 * for the base archive with `fingerprint: none`.
 */
function tablesOf({ objects, fingerprint }: Manifest, object: StoredArchive): string[] | undefined {
  if (object.kind === 'rows') return object.tables
  if (object.kind === 'large-objects') return []
  if (fingerprint.kind === 'none') return undefined
  const elsewhere = new Set(objects.flatMap(({ tables }) => tables ?? []))
  return fingerprint.tables.map(({ table }) => table).filter((table) => !elsewhere.has(table))
}

/** Returns how a table of contents differs from the expected tables; undefined if it does not. */
function contentsDifference(
  listed: readonly string[],
  expected: readonly string[] | undefined,
  encoding: string,
): string | undefined {
  if (expected === undefined) return undefined
  // without an encoding, names with other than ASCII characters cannot be compared
  const known = (name: string): string =>
    encoding === 'SQL_ASCII' ? name.replace(/[^ -~]+/g, '?') : name
  const missing = new Map(expected.map((table) => [known(tocName(table)), table]))
  const all = new Map(missing)
  const others = listed.map(known).filter((entry) => {
    const table = findByTocName(all, entry)
    if (table !== undefined) missing.delete(known(tocName(table)))
    return table === undefined
  })
  const [lacks] = missing.values()
  if (lacks !== undefined)
    return (
      `its table of contents lacks the rows of ${lacks}${more(missing.size)}, ` +
      'which the manifest lists.'
    )
  const [other] = others
  return other === undefined
    ? undefined
    : `its table of contents has rows of ${other.replace(/ \S+$/, '').replace(' ', '.')}` +
        `${more(others.length)}, which the manifest does not list.`
}

function more(count: number): string {
  return count > 1 ? ` and ${count - 1} more` : ''
}

/**
 * Returns the level that a backup reaches by its objects and archives alone, after a later step has
 * failed, and the fault that was found, if any.
 */
export async function levelBelow(
  backup: FoundBackup,
  options: ReadOptions,
  work: Work,
): Promise<{ level: Extract<Level, 'none' | 'stored' | 'readable'>; stoppedBy?: string }> {
  let level: 'none' | 'stored' = 'none'
  try {
    await checkStored(backup, options.jobs, work)
    level = 'stored'
    await checkReadable(backup, options, work)
    return { level: 'readable' }
  } catch (error) {
    work.signal.throwIfAborted()
    if (isFault(error)) return { level, stoppedBy: error.message }
    work.log.debug(`levels above "${level}" could not be checked: ${messageOf(error)}`)
    return { level }
  }
}
