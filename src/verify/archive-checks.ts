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
import type { Work } from '../work.ts'

/**
 * What the backup itself is to blame for; anything else (a key, a scratch server, a missing
 * extension) says nothing of the backup.
 */
const faultsOfTheBackup = ['object-damaged', 'object-missing', 'contents-differ', 'restore-failed']

export function isFault(error: unknown): error is UserError {
  return error instanceof UserError && faultsOfTheBackup.includes(error.code)
}

/**
 * Reads every object as it is stored, without a key. Throws `object-missing` or `object-damaged`
 * unless each has the size and digest of the manifest.
 */
export async function checkStored(backup: FoundBackup, jobs: number, work: Work): Promise<void> {
  const { objects } = backup.manifest
  const checked: Counter = {
    name: 'checked',
    done: 0,
    total: objects.reduce((sum, { bytes }) => sum + bytes, 0),
  }
  await work.log.group(`Checking what is stored, ${objects.length} objects`, async () => {
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

/** Checks the recovery guide, which no restore reads. */
export async function checkRecoveryGuide(backup: FoundBackup, work: Work): Promise<void> {
  for (const object of backup.manifest.objects)
    if (object.kind === 'recovery-guide')
      await checkObject(backup, object, work).catch(asMissing(`${backup.location}: ${object.name}`))
}

interface Reading {
  identities: readonly string[]
  programs: Programs
  jobs: number
}

/**
 * Reads every archive to its end, decrypted and decompressed, by a pg_restore that restores
 * nothing, and compares its table of contents with the manifest. Throws `object-missing`,
 * `object-damaged`, `restore-failed` and `contents-differ`.
 */
export async function checkReadable(
  backup: FoundBackup,
  { identities, programs, jobs }: Reading,
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
 * Compares the tables of contents alone, of archives that a restore has read to their ends: only
 * their heads are fetched. Throws `contents-differ`.
 */
export async function checkContents(
  backup: FoundBackup,
  { identities, programs, jobs }: Reading,
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
  const why = whatDiffers(
    listed,
    tablesOf(backup.manifest, object),
    backup.manifest.source.locale.encoding,
  )
  if (why === undefined) return
  const hint =
    'The archive is not the one that the manifest was written for. Read the backup from another destination, or take another backup.'
  throw new UserError('contents-differ', `${backup.location}: ${object.name}: ${why}`, hint)
}

function namingObject(backup: FoundBackup, object: StoredArchive): (error: unknown) => never {
  return (error) => {
    if (error instanceof UserError && error.code === 'restore-failed')
      throw new UserError(
        error.code,
        `${backup.location}: ${object.name}: ${error.message}`,
        error.hint,
        { cause: error },
      )
    throw error
  }
}

/**
 * The tables whose rows an archive should have, as in the fingerprint; undefined where it does not
 * tell (`fingerprint: none`: of the base archive).
 */
function tablesOf({ objects, fingerprint }: Manifest, object: StoredArchive): string[] | undefined {
  if (object.kind === 'rows') return object.tables
  if (object.kind === 'large-objects') return []
  if (fingerprint.kind === 'none') return undefined
  const elsewhere = new Set(objects.flatMap(({ tables }) => tables ?? []))
  return fingerprint.tables.map(({ table }) => table).filter((table) => !elsewhere.has(table))
}

/** How a table of contents differs from what is expected, as a sentence. */
function whatDiffers(
  listed: readonly string[],
  expected: readonly string[] | undefined,
  encoding: string,
): string | undefined {
  if (expected === undefined) return undefined
  // of a text without an encoding, nobody knows how a name beyond ASCII comes out
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
    return `its table of contents lacks the rows of ${lacks}${missing.size > 1 ? ` and ${missing.size - 1} more` : ''}, which the manifest says it has.`
  const [other] = others
  return other === undefined
    ? undefined
    : `its table of contents has rows of ${other.replace(/ \S+$/, '').replace(' ', '.')}${others.length > 1 ? ` and ${others.length - 1} more` : ''}, of which the manifest says nothing.`
}

/**
 * The level of a backup of which a later step failed: are its objects what was stored, and is every
 * archive whole? And which of these stopped it.
 */
export async function levelBelow(
  backup: FoundBackup,
  options: Reading,
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
    work.log.debug(`beyond "${level}" it could not be looked at: ${messageOf(error)}`)
    return { level }
  }
}
