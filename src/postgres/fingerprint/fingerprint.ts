/**
 * What a database holds, measured by its server: rows, hashes, schema entries, sequences, large
 * objects. Two databases with equal fingerprints hold the same.
 */
import type { Work } from '../../work.ts'
import type { Programs } from '../programs/find-programs.ts'
import type { Connection } from '../connection/connection.ts'
import { mergePrints, measureParts, type Part, type TablePrint } from './content.ts'
import { countLargeObjects, type LargeObjectsPrint, measureLargeObjects } from './large-objects.ts'
import { listTables, splitThreshold, inUserSchema, type Table } from './tables.ts'
import { printSchema, type SchemaPrint } from './schema.ts'
import { readSequences, type SequenceValue } from './sequences.ts'
import { connect, type Session } from '../connection/session.ts'
import { mapConcurrent } from '../../stream/map-concurrent.ts'

/** Shows whether a copy holds the same as its source, without holding a row of it. */
export interface Fingerprint {
  /** `counts`: no hashes of rows. `none`: no tables, large objects or schema. */
  kind: Depth
  tables: TablePrint[]
  schema: SchemaPrint
  /** By `schema.name`: a dump's value lies between the two readings. */
  sequences: Record<string, { before: SequenceValue; after: SequenceValue }>
  largeObjects?: { count: number } & Partial<LargeObjectsPrint>
  supplement: Supplement
}

/** How much of a database is measured. */
export type Depth = 'content' | 'counts' | 'none'

/** Properties that pg_dump's text does not show. */
export interface Supplement {
  /** Version and schema, by name. */
  extensions: Record<string, string>
  /** Whether each materialized view is populated; a restore recomputes its rows. */
  matviews: Record<string, boolean>
  /** Invalid indexes: pg_dump leaves them out, or writes those of partitioned tables as valid. */
  invalidIndexes: string[]
  /**
   * Keys that are not enforced, because their own triggers are disabled; pg_dump writes them like
   * all others. Absent if there are none.
   */
  idleKeys?: string[]
}

/** Reads the properties that pg_dump's text does not show. */
export async function readSupplement(session: Session): Promise<Supplement> {
  const extensions = await session.query<{ name: string; text: string }>(
    `SELECT e.extname AS name, e.extversion || ' in ' || n.nspname AS text
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
     ORDER BY 1`,
  )
  const relations = await session.query<{ name: string; kind: string; populated: boolean }>(`
    SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
      c.relkind AS kind, c.relkind = 'm' AND c.relispopulated AS populated
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    WHERE ${inUserSchema} AND (c.relkind = 'm' OR (c.relkind = 'i' AND NOT i.indisvalid)
      -- with a foreign table among the partitions, no restore makes the index valid; that is harmless
      OR (c.relkind = 'I' AND NOT i.indisvalid AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_partition_tree(i.indrelid) p
          JOIN pg_catalog.pg_class f ON f.oid = p.relid
        WHERE f.relkind = 'f')))
    ORDER BY 1`)
  const idle = await session.query<{ name: string }>(`
    SELECT DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
      || ' ' || pg_catalog.quote_ident(k.conname) AS name
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${inUserSchema} AND t.tgisinternal AND t.tgenabled <> 'O' AND k.contype <> 't'
    ORDER BY 1`)
  return {
    extensions: Object.fromEntries(extensions.map(({ name, text }) => [name, text])),
    matviews: Object.fromEntries(
      relations.filter(({ kind }) => kind === 'm').map(({ name, populated }) => [name, populated]),
    ),
    invalidIndexes: relations.filter(({ kind }) => kind !== 'm').map(({ name }) => name),
    ...(idle.length ? { idleKeys: idle.map(({ name }) => name) } : {}),
  }
}

/** Bytes of a table that one query reads at most, so that progress shows. */
const maxPartBytes = 512 * 1024 * 1024

/**
 * Splits the reading of tables among at most `readers` sessions of similar size. Large tables are
 * split into ranges of blocks.
 */
export function splitWork(tables: readonly Table[], readers: number): Part[][] {
  const parts = tables.flatMap((table) => partsOf(table, readers))
  const buckets = Array.from({ length: Math.max(1, Math.min(readers, parts.length)) }, () => ({
    parts: [] as Part[],
    bytes: 0,
  }))
  for (const part of parts.sort((a, b) => b.bytes - a.bytes)) {
    const lightest = buckets.reduce((least, bucket) =>
      bucket.bytes < least.bytes ? bucket : least,
    )
    lightest.parts.push(part)
    lightest.bytes += part.bytes + 8192
  }
  return buckets.map((bucket) => bucket.parts)
}

function partsOf(table: Table, readers: number): Part[] {
  const { blocks = 0, bytes } = table
  const count =
    table.condition || bytes <= splitThreshold
      ? 1
      : Math.min(blocks, Math.max(readers, Math.ceil(bytes / maxPartBytes)))
  if (count <= 1) return [{ table, bytes }]
  return Array.from({ length: count }, (_, i) => ({
    table,
    bytes: bytes / count,
    ...(i === 0 ? {} : { from: Math.floor((blocks * i) / count) }),
    ...(i === count - 1 ? {} : { to: Math.floor((blocks * (i + 1)) / count) }),
  }))
}

/**
 * Measures a database without other writers: a scratch copy or a side database. `onRead` gets the
 * bytes of each query, and the size of all tables.
 */
export async function measureCopy(
  programs: Programs,
  connection: Connection,
  options: {
    encoding: string
    readers: number
    depth: Depth
    onRead?: (bytes: number, total: number) => void
  },
  work: Work,
): Promise<Fingerprint> {
  const { encoding, readers, depth } = options
  const first = await connect(connection, work)
  try {
    const tables = await listTables(first)
    const values = await readSequences(first)
    const supplement = await readSupplement(first)
    const sequences = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, { before: value, after: value }]),
    )
    if (depth === 'none') return { kind: depth, tables: [], schema: {}, sequences, supplement }
    const total = tables.reduce((sum, { bytes }) => sum + bytes, 0)
    const onRead = (bytes: number): void => options.onRead?.(bytes, total)
    const prints: TablePrint[] = []
    const copy: Pick<Fingerprint, 'largeObjects' | 'schema'> = { schema: {} }
    const steps = [
      ...splitWork(tables, readers).map((bucket) => async (own: Work): Promise<void> => {
        prints.push(...(await measureBucket(bucket, connection, depth, onRead, own)))
      }),
      async (): Promise<unknown> =>
        (copy.largeObjects = await inTransaction(first, () =>
          depth === 'content' ? measureLargeObjects(first) : countLargeObjects(first),
        )),
      async (own: Work): Promise<unknown> =>
        (copy.schema = await printSchema(programs, connection, { encoding }, own)),
    ]
    await mapConcurrent(steps, steps.length, (step, own) => step(own), work)
    return {
      kind: depth,
      tables: sortPrints(mergePrints(prints)),
      ...copy,
      sequences,
      supplement,
    }
  } finally {
    await first.end()
  }
}

/** Returns the prints by their tables' names, in the order of code units. */
export function sortPrints(prints: readonly TablePrint[]): TablePrint[] {
  return [...prints].sort((a, b) => (a.table < b.table ? -1 : 1))
}

async function measureBucket(
  parts: readonly Part[],
  connection: Connection,
  depth: 'content' | 'counts',
  onRead: (bytes: number) => void,
  work: Work,
): Promise<TablePrint[]> {
  const session = await connect(connection, work)
  try {
    return await measureParts(session, parts, { inTransaction: false, depth, onRead })
  } finally {
    await session.end()
  }
}

async function inTransaction<T>(session: Session, body: () => Promise<T>): Promise<T> {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  try {
    return await body()
  } finally {
    await session.query('ROLLBACK')
  }
}
