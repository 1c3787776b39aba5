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

/**
 * What a database held: enough to tell whether a copy holds the same, without a row of it. Measured
 * by the server itself, not by the path the dump takes.
 */
export interface Fingerprint {
  /**
   * `counts`: rows were counted and not hashed. `none`: neither tables nor large objects were
   * looked at, nor the schema.
   */
  kind: Depth
  tables: TablePrint[]
  schema: SchemaPrint
  /** By `schema.name`: a dump's value lies between the two readings. */
  sequences: Record<string, { before: SequenceValue; after: SequenceValue }>
  largeObjects?: { count: number } & Partial<LargeObjectsPrint>
  supplement: Supplement
}

/** How closely a database is looked at. */
export type Depth = 'content' | 'counts' | 'none'

/** What pg_dump's text does not say. */
export interface Supplement {
  /** Version and schema, by name. */
  extensions: Record<string, string>
  /** Whether each materialized view is populated; its rows are computed anew at a restore. */
  matviews: Record<string, boolean>
  /**
   * Indexes that are not valid: pg_dump leaves them out, or, of a partitioned table, writes them
   * like valid ones.
   */
  invalidIndexes: string[]
  /**
   * Keys that are there and not kept to, since triggers of their own are disabled: pg_dump writes
   * them like any other. Left out where there are none.
   */
  idleKeys?: string[]
}

/** Reads what pg_dump's text does not say. */
export async function readSupplement(session: Session): Promise<Supplement> {
  const extensions = await session.query<{ name: string; text: string }>(
    `SELECT e.extname AS name, e.extversion || ' in ' || n.nspname AS text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1`,
  )
  const relations = await session.query<{ name: string; kind: string; fine: boolean }>(`
    SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name, c.relkind AS kind, CASE c.relkind WHEN 'm' THEN c.relispopulated ELSE false END AS fine
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    WHERE ${inUserSchema} AND (c.relkind = 'm' OR (c.relkind = 'i' AND NOT i.indisvalid)
      -- with a foreign table among its partitions it is never valid after a restore, and no use is lost by it
      OR (c.relkind = 'I' AND NOT i.indisvalid AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree(i.indrelid) p JOIN pg_catalog.pg_class f ON f.oid = p.relid WHERE f.relkind = 'f')))
    ORDER BY 1`)
  const idle = await session.query<{ name: string }>(`
    SELECT DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) || ' ' || pg_catalog.quote_ident(k.conname) AS name
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${inUserSchema} AND t.tgisinternal AND t.tgenabled <> 'O' AND k.contype <> 't' ORDER BY 1`)
  return {
    extensions: Object.fromEntries(extensions.map(({ name, text }) => [name, text])),
    matviews: Object.fromEntries(
      relations.filter(({ kind }) => kind === 'm').map(({ name, fine }) => [name, fine]),
    ),
    invalidIndexes: relations.filter(({ kind }) => kind !== 'm').map(({ name }) => name),
    ...(idle.length ? { idleKeys: idle.map(({ name }) => name) } : {}),
  }
}

/** The most that one query reads of a table, bytes: so that progress is seen. */
const longest = 512 * 1024 * 1024

/**
 * Deals tables out by size, large ones in ranges of blocks, so that each reader has about as much
 * to read.
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
      : Math.min(blocks, Math.max(readers, Math.ceil(bytes / longest)))
  if (count <= 1) return [{ table, bytes }]
  return Array.from({ length: count }, (_, i) => ({
    table,
    bytes: bytes / count,
    ...(i === 0 ? {} : { from: Math.floor((blocks * i) / count) }),
    ...(i === count - 1 ? {} : { to: Math.floor((blocks * (i + 1)) / count) }),
  }))
}

/** Measures a database that nobody else writes to: a scratch copy, or one beside the target. */
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

/** Prints in the order of their tables' names, by code unit. */
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
