import type { Readable } from 'node:stream'
import { messageOf, UserError } from '../../errors.ts'
import { compareRows } from '../../load/compare-rows.ts'
import { expectNone } from '../../load/load-rows.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import { mergePrints, measureParts, type TablePrint } from '../../postgres/fingerprint/content.ts'
import { splitWork } from '../../postgres/fingerprint/fingerprint.ts'
import { listTables, type Table, tableName } from '../../postgres/fingerprint/tables.ts'
import type { FailedEntry } from '../../postgres/pg-restore/errors.ts'
import { runPgRestore, runParallelPgRestore } from '../../postgres/pg-restore/pg-restore.ts'
import {
  type ArchiveEntry,
  listEntries,
  findByTocName,
  tocName,
} from '../../postgres/pg-restore/toc.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import { createDatabase } from '../../postgres/server/database.ts'
import {
  listCatalogTables,
  otherRelations,
  type CatalogTable,
  withPartitions,
} from '../../postgres/tables/partitions.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import type { StoredArchive } from '../../repository/manifest.ts'
import { dataArchivesOf, fetchArchive, baseOf, withArchive } from '../../repository/read.ts'
import { mapConcurrent } from '../../stream/map-concurrent.ts'
import { input, join, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { checkRestored } from '../errors.ts'
import { nearest, pickTables, readTableName } from './names.ts'

/** Tables of a backup, restored into a side database on the target's server. */
export interface TablesSideDatabase {
  connection: Connection
  /** The tables that the inputs name, with all their partitions. */
  chosen: CatalogTable[]
  /** Those of them that hold rows. */
  leaves: Table[]
  /** Their fingerprints, from the backup; without a fingerprint, from the side database. */
  expected: TablePrint[]
  /** How the tables are measured. */
  depth: 'content' | 'counts'
  /** The base archive's entries. */
  entries: ArchiveEntry[]
  /** The base archive's file. */
  base: string
  folder: string
  /** Returns the table that an entry is about, for entries of a table or its rows. */
  tableOf: (entry: ArchiveEntry) => CatalogTable | undefined
  /** Number of stored bytes that were read. */
  bytes: number
  /** Number of archives that were read. */
  archives: number
}

/** What `buildTablesSideDatabase` needs. */
export interface TablesSideDatabaseOptions {
  backup: FoundBackup
  identities: readonly string[]
  session: Session
  programs: { archive: Programs }
  connection: Connection
  wanted: { tables: readonly string[]; schemas: readonly string[] }
  rows: boolean
  jobs: number
  folder: string
}

/**
 * Creates the side database and restores into it all definitions of the backup, because the tables
 * can depend on any of them, and the rows of the wanted tables. Fetches only the archives that hold
 * these rows. Restores no owners or grants, so that no role is needed. Throws `restored-differs` if
 * the tables differ from the fingerprint.
 */
export async function buildTablesSideDatabase(
  options: TablesSideDatabaseOptions,
  work: Work,
): Promise<TablesSideDatabase> {
  const { backup, identities, programs, connection, wanted, folder } = options
  const base = `${folder}/base.dump`
  await fetchArchive(backup, baseOf(backup), identities, base, work)
  const entries = await listEntries(programs.archive, base, work)
  await createSideDatabase(options)
  work.log.info('Restoring all definitions into a database next to the target')
  expectNone(
    await runPgRestore(
      programs.archive,
      connection,
      base,
      { tablespaces: false, preData: true, owners: false },
      work,
    ),
    connection,
  )
  const inside = await connect(connection, work)
  try {
    const all = await listCatalogTables(inside)
    const chosen = await chooseTables(inside, all, wanted, backup)
    const tableOf = tableOfEntry(all)
    const tables = await listTables(inside)
    const leaves = tables.filter(({ oid }) => chosen.some((table) => table.oid === oid))
    checkHashPartitions(leaves, tables)
    const side: TablesSideDatabase = {
      connection,
      chosen,
      leaves,
      expected: [],
      depth: backup.manifest.fingerprint.kind === 'counts' ? 'counts' : 'content',
      entries,
      base,
      folder,
      tableOf,
      bytes: baseOf(backup).bytes,
      archives: 1,
    }
    if (!options.rows) return side
    await loadRows(options, side, work)
    await compareWithFingerprint(options, side, work)
    return side
  } finally {
    await inside.end()
  }
}

async function createSideDatabase({
  session,
  connection,
  backup,
}: TablesSideDatabaseOptions): Promise<void> {
  try {
    await createDatabase(session, connection.database, backup.manifest.source.locale)
  } catch (error) {
    if (!(error instanceof UserError && error.code === 'no-permission')) throw error
    const why = 'Tables are first restored into a side database, and compared there.'
    throw new UserError('no-permission', join([error.texts.message, why], ' '), error.texts.hint, {
      cause: error,
    })
  }
}

/**
 * In the side database: creates the chosen tables' indexes and keys, and sets their sequences.
 * Leaves out foreign keys, triggers, rules and policies.
 */
export async function createIndexes(
  { programs, jobs }: TablesSideDatabaseOptions,
  side: TablesSideDatabase,
  work: Work,
): Promise<void> {
  const chosen = new Set(side.chosen.map(({ oid }) => oid))
  const tables = new Map(
    side.entries
      .filter(({ kind }) => kind === 'TABLE')
      .map((entry) => [entry.id, side.tableOf(entry)]),
  )
  const ids: number[] = []
  const taken = new Set<number>()
  for (const { id, kind, restsOn } of side.entries) {
    const owners = restsOn.flatMap((other) => (tables.has(other) ? [tables.get(other)] : []))
    const ofChosen = owners.length > 0 && owners.every((table) => table && chosen.has(table.oid))
    const follows = restsOn.some((other) => taken.has(other))
    const wanted = /^(SEQUENCE|INDEX|CONSTRAINT|INDEX ATTACH|CHECK CONSTRAINT)$/.test(kind)
      ? ofChosen
      : /^(COMMENT|SEQUENCE SET)$/.test(kind) && follows
    if (!wanted) continue
    taken.add(id)
    if (kind !== 'SEQUENCE') ids.push(id) // sequences exist already
  }
  const loading = { tablespaces: false, owners: false, jobs, only: { ids, folder: side.folder } }
  if (ids.length)
    await runParallelPgRestore(programs.archive, side.connection, side.base, loading, work)
}

/** Finds the named tables, with all their partitions. */
async function chooseTables(
  inside: Session,
  all: CatalogTable[],
  wanted: TablesSideDatabaseOptions['wanted'],
  backup: FoundBackup,
): Promise<CatalogTable[]> {
  const where = `The backup ${backup.manifest.id}`
  let picked: CatalogTable[]
  try {
    picked = pickTables(wanted, all, where)
  } catch (error) {
    const others = await otherRelations(inside, wanted.tables.map(readTableName))
    const [first] = others
    if (!first) throw error
    const near = nearest(first[0], all.map(tableName))
    throw new UserError(
      'not-a-table',
      `${first[0]} is ${first[1]} in the backup; only tables have rows of their own.`,
      `Name the tables that it reads; the nearest names: ${near.join(', ')}.`,
      { cause: error },
    )
  }
  const ofExtension = picked.find(({ extension }) => extension !== undefined)
  if (ofExtension)
    throw new UserError(
      'extension-table',
      `${tableName(ofExtension)} belongs to the extension "${ofExtension.extension}", so the ` +
        'backup has no definition of it.',
      text`Leave it out. To see its rows, restore the whole database with ${input('mode', 'new')}.`,
    )
  return withPartitions(picked, all)
}

/**
 * Throws `partition-alone` for a single hash partition over an enum: another server puts its rows
 * into other partitions.
 */
function checkHashPartitions(leaves: readonly Table[], all: readonly Table[]): void {
  const own = new Set(leaves.map(({ oid }) => oid))
  const alone = leaves.find(
    ({ comparedAt }) =>
      comparedAt !== undefined &&
      all.some((other) => other.comparedAt === comparedAt && !own.has(other.oid)),
  )
  if (alone)
    throw new UserError(
      'partition-alone',
      `${tableName(alone)} is a hash partition of ${alone.comparedAt}, ` +
        'and its rows can belong to another partition on this server.',
      `Name the whole table: ${alone.comparedAt}`,
    )
}

/**
 * Returns a function that finds the table of an archive entry. An entry's text is schema, name and
 * owner, which can all contain spaces.
 */
function tableOfEntry(all: readonly CatalogTable[]): TablesSideDatabase['tableOf'] {
  const known = new Map<string, CatalogTable | undefined>()
  for (const table of all) known.set(tocName(tableName(table)), table)
  return ({ named }) => findByTocName(known, named)
}

/** Restores the rows of the chosen tables, from the archives that hold them. */
async function loadRows(
  options: TablesSideDatabaseOptions,
  side: TablesSideDatabase,
  work: Work,
): Promise<void> {
  const { backup, identities, programs, jobs } = options
  const { connection, leaves } = side
  const names = new Set(leaves.map(tableName))
  const all = dataArchivesOf(backup.manifest)
  const stored = all.filter(({ tables = [] }) => tables.some((table) => names.has(table)))
  const baseEntries = rowsInBase(side, stored)
  const selection = {
    schemas: leaves.map(({ schema }) => schema),
    names: leaves.map(({ name }) => name),
  }
  work.log.info(
    `Restoring ${leaves.length} ${leaves.length === 1 ? 'table' : 'tables'}` +
      (all.length === 0 ? '' : ` from ${stored.length + 1} of ${all.length + 1} archives`),
  )
  const loadArchive = async (archive: StoredArchive, own: Work): Promise<void> => {
    const use = (stream: Readable): Promise<FailedEntry[]> =>
      runPgRestore(
        programs.archive,
        connection,
        stream,
        { tablespaces: false, tables: selection },
        own,
      )
    expectNone(await withArchive(backup, archive, identities, use, own), connection)
  }
  const loadBase = async (own: Work): Promise<void> => {
    const only = { ids: baseEntries, folder: side.folder }
    const loading = { tablespaces: false, only }
    expectNone(
      await runPgRestore(programs.archive, connection, side.base, loading, own),
      connection,
    )
  }
  await mapConcurrent(
    [...stored, ...(baseEntries.length ? (['base'] as const) : [])],
    jobs,
    (archive, own) => (archive === 'base' ? loadBase(own) : loadArchive(archive, own)),
    work,
  )
  side.bytes += stored.reduce((sum, { bytes }) => sum + bytes, 0)
  side.archives += stored.length
}

/** Returns the ids of the chosen tables' rows in the base archive. */
function rowsInBase(
  { entries, leaves, tableOf }: TablesSideDatabase,
  stored: readonly StoredArchive[],
): number[] {
  const elsewhere = new Set(stored.flatMap(({ tables = [] }) => tables))
  const inBase = new Set(
    leaves
      .map(tableName)
      .filter((name) => !elsewhere.has(name))
      .map(tocName),
  )
  return entries.flatMap((entry) => {
    const table = entry.kind === 'TABLE DATA' ? tableOf(entry) : undefined
    return table && inBase.has(tocName(tableName(table))) ? [entry.id] : []
  })
}

async function compareWithFingerprint(
  { backup, jobs }: TablesSideDatabaseOptions,
  side: TablesSideDatabase,
  work: Work,
): Promise<void> {
  const { fingerprint } = backup.manifest
  const found = await measureTables(side.connection, side.leaves, side.depth, jobs, work)
  if (fingerprint.kind === 'none') {
    side.expected = found
    return
  }
  const names = new Set(side.leaves.map(tableName))
  side.expected = fingerprint.tables.filter(({ table }) => names.has(table))
  checkRestored(
    'What was restored',
    compareRows(side.expected, found),
    'The live database was not changed.',
  )
}

/** Measures tables with several sessions. Nothing may write to the tables meanwhile. */
export async function measureTables(
  connection: Connection,
  tables: readonly Table[],
  depth: 'content' | 'counts',
  jobs: number,
  work: Work,
): Promise<TablePrint[]> {
  const sessions = splitWork(tables, jobs)
  const prints = await mapConcurrent(
    sessions,
    jobs,
    async (parts, own) => {
      const session = await connect(connection, own)
      try {
        return await measureParts(session, parts, { inTransaction: false, depth })
      } finally {
        await session.end()
      }
    },
    work,
  )
  return mergePrints(prints.flat())
}

const kinds =
  'type|function|procedure|collation|schema|operator|extension|relation|sequence|role|' +
  'text search \\w+|language|access method|operator class'
const doesNotExist = new RegExp(`((?:${kinds}) .*?) does not exist`)

/**
 * Turns an error of the server about a missing object into `dependency-missing`, with the object's name.
 * Returns any other error unchanged.
 */
export function toMissingDependencyError(error: unknown, target: string): unknown {
  const missing = doesNotExist.exec(messageOf(error))?.[1]
  if (missing === undefined) return error
  return new UserError(
    'dependency-missing',
    `The tables need ${missing}, which "${target}" does not have. Nothing was changed there.`,
    undefined,
    { cause: error },
  )
}
