import type { Readable } from 'node:stream'
import { messageOf, UserError } from '../../errors.ts'
import { compareRows } from '../../load/compare.ts'
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
import type { Work } from '../../work.ts'
import { nearest, pickTables, readTableName } from './names.ts'

/** A part of a backup, restored into a database of its own on the target's server. */
export interface PartSide {
  connection: Connection
  /** The tables that were asked for, with all partitions below them. */
  chosen: CatalogTable[]
  /** Those among them that hold rows, as they are measured. */
  leaves: Table[]
  /**
   * What the backup's fingerprint says of these; where it says nothing, what the side database
   * holds.
   */
  expected: TablePrint[]
  /** How closely the tables are looked at. */
  depth: 'content' | 'counts'
  /** The base archive's entries, and its file. */
  entries: ArchiveEntry[]
  base: string
  folder: string
  /** The table that an entry of the kind TABLE (or of its rows) is about. */
  tableOf: (entry: ArchiveEntry) => CatalogTable | undefined
  /** Stored bytes that were read, and archives. */
  bytes: number
  archives: number
}

export interface PartSideOptions {
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
 * Makes the database: every definition of the backup, so that whatever the tables rest on is there,
 * and the rows of the wanted tables alone, from the archives that hold them; no other is fetched.
 * Compares these with the fingerprint; any difference throws `restored-differs`. Owners and grants
 * are left out: no role is needed.
 */
export async function buildPartSide(options: PartSideOptions, work: Work): Promise<PartSide> {
  const { backup, identities, session, programs, connection, wanted, folder } = options
  const base = `${folder}/base.dump`
  await fetchArchive(backup, baseOf(backup), identities, base, work)
  const entries = await listEntries(programs.archive, base, work)
  await createDatabase(session, connection.database, backup.manifest.source.locale).catch(
    (error: unknown) => {
      if (!(error instanceof UserError && error.code === 'no-permission')) throw error
      throw new UserError(
        'no-permission',
        `${error.message} A part of a backup is first restored into a database beside the target, and proven there.`,
        error.hint,
        { cause: error },
      )
    },
  )
  work.log.info('Restoring all definitions into a database beside the target')
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
    const chosen = await choose(inside, all, wanted, backup)
    const tableOf = tableOfEntry(all)
    const wholeSide = await listTables(inside)
    const leaves = wholeSide.filter(({ oid }) => chosen.some((table) => table.oid === oid))
    checkHashed(leaves, wholeSide)
    const side: PartSide = {
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
    await loadPartRows(options, side, work)
    await compare(options, side, work)
    return side
  } finally {
    await inside.end()
  }
}

/**
 * Indexes and keys of the chosen tables, and where their sequences stand: foreign keys, triggers,
 * rules and policies stay out.
 */
export async function makeIndexes(
  { programs, jobs }: PartSideOptions,
  side: PartSide,
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
    const own = restsOn.flatMap((other) => (tables.has(other) ? [tables.get(other)] : []))
    const ofChosen = own.length > 0 && own.every((table) => table && chosen.has(table.oid))
    const follows = restsOn.some((other) => taken.has(other))
    const itsOwn = /^(SEQUENCE|INDEX|CONSTRAINT|INDEX ATTACH|CHECK CONSTRAINT)$/.test(kind)
    if (!(itsOwn ? ofChosen : /^(COMMENT|SEQUENCE SET)$/.test(kind) && follows)) continue
    taken.add(id)
    if (kind !== 'SEQUENCE') ids.push(id) // that was made with the definitions
  }
  const loading = { tablespaces: false, owners: false, jobs, only: { ids, folder: side.folder } }
  if (ids.length)
    await runParallelPgRestore(programs.archive, side.connection, side.base, loading, work)
}

async function choose(
  inside: Session,
  all: CatalogTable[],
  wanted: PartSideOptions['wanted'],
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
    throw new UserError(
      'not-a-table',
      `${first[0]} is ${first[1]} in the backup, and only tables have rows of their own.`,
      `Name the tables that it reads; the nearest: ${nearest(first[0], all.map(tableName)).join(', ')}.`,
      { cause: error },
    )
  }
  const ofExtension = picked.find(({ extension }) => extension !== undefined)
  if (ofExtension)
    throw new UserError(
      'extension-table',
      `${tableName(ofExtension)} belongs to the extension "${ofExtension.extension}": a backup has no definition of it.`,
      'Leave it out, and restore the whole database with mode: new to look at its rows.',
    )
  return withPartitions(picked, all)
}

/**
 * Rows of hash partitions over an enum lie in other leaves on another server: one leaf alone cannot
 * be put back.
 */
function checkHashed(leaves: readonly Table[], all: readonly Table[]): void {
  const own = new Set(leaves.map(({ oid }) => oid))
  const half = leaves.find(
    ({ comparedAt }) =>
      comparedAt !== undefined &&
      all.some((other) => other.comparedAt === comparedAt && !own.has(other.oid)),
  )
  if (half)
    throw new UserError(
      'partition-alone',
      `${tableName(half)} is one of the hash partitions of ${half.comparedAt}, and its rows may belong into another one of them elsewhere.`,
      `Name the whole table: ${half.comparedAt}`,
    )
}

/**
 * Which table an entry is about: it begins with schema and name, and ends with an owner, and all of
 * these may hold spaces.
 */
function tableOfEntry(all: readonly CatalogTable[]): PartSide['tableOf'] {
  const known = new Map<string, CatalogTable | undefined>()
  for (const table of all) {
    const plain = tocName(tableName(table))
    known.set(plain, table)
  }
  return ({ named }) => findByTocName(known, named)
}

async function loadPartRows(
  { backup, identities, programs, jobs }: PartSideOptions,
  side: PartSide,
  work: Work,
): Promise<void> {
  const { connection, base, folder, leaves, tableOf } = side
  const own = new Set(leaves.map(tableName))
  const stored = dataArchivesOf(backup.manifest).filter(({ tables = [] }) =>
    tables.some((table) => own.has(table)),
  )
  const elsewhere = new Set(stored.flatMap(({ tables = [] }) => tables))
  const plain = new Set(
    leaves
      .filter((table) => !elsewhere.has(tableName(table)))
      .map((table) => tocName(tableName(table))),
  )
  const ids = side.entries.flatMap((entry) => {
    const table = entry.kind === 'TABLE DATA' ? tableOf(entry) : undefined
    return table && plain.has(tocName(tableName(table))) ? [entry.id] : []
  })
  const selection = {
    schemas: leaves.map(({ schema }) => schema),
    names: leaves.map(({ name }) => name),
  }
  work.log.info(
    `Restoring rows of ${leaves.length} ${leaves.length === 1 ? 'table' : 'tables'} from ${stored.length + 1} of ${dataArchivesOf(backup.manifest).length + 1} archives`,
  )
  const fromStore = async (archive: StoredArchive, own: Work): Promise<void> => {
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
  const fromBase = async (own: Work): Promise<void> => {
    expectNone(
      await runPgRestore(
        programs.archive,
        connection,
        base,
        { tablespaces: false, only: { ids, folder } },
        own,
      ),
      connection,
    )
  }
  const archives = [...stored, ...(ids.length ? (['base'] as const) : [])]
  await mapConcurrent(
    archives,
    jobs,
    (archive, own) => (archive === 'base' ? fromBase(own) : fromStore(archive, own)),
    work,
  )
  side.bytes += stored.reduce((sum, { bytes }) => sum + bytes, 0)
  side.archives += stored.length
}

async function compare(
  { backup, jobs }: PartSideOptions,
  side: PartSide,
  work: Work,
): Promise<void> {
  const { fingerprint } = backup.manifest
  const found = await measureTables(side.connection, side.leaves, side.depth, jobs, work)
  if (fingerprint.kind === 'none') {
    side.expected = found
    return
  }
  const own = new Set(side.leaves.map(tableName))
  side.expected = fingerprint.tables.filter(({ table }) => own.has(table))
  const differences = compareRows(side.expected, found)
  const [first] = differences
  if (first)
    throw new UserError(
      'restored-differs',
      `What was restored is not what the backup's fingerprint says (${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}; the first: ${first.object}: expected ${first.expected}, found ${first.found}). The live database was not touched.`,
      'Verify the backup to see all differences, or restore from another one.',
    )
}

/** Measures tables that nobody writes to, several at once. */
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

/**
 * What the server said of something that the live database lacks, as an error with its name; any
 * other error comes back as it is.
 */
export function whyNotThere(error: unknown, target: string): unknown {
  const missing =
    /((?:type|function|procedure|collation|schema|operator|extension|relation|sequence|role|text search \w+|language|access method|operator class) .*?) does not exist/.exec(
      messageOf(error),
    )?.[1]
  if (missing === undefined) return error
  return new UserError(
    'part-needs',
    `The tables need what "${target}" does not have: ${missing}. Nothing was changed there.`,
    'Make it in the live database first (its definition is in the backup), or restore the whole database beside it with mode: new.',
    { cause: error },
  )
}
