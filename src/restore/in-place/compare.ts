import { compareFingerprints } from '../../load/compare-fingerprints.ts'
import { quoteText, sessionSettings } from '../../postgres/connection/session.ts'
import { measureParts, type TablePrint } from '../../postgres/fingerprint/content.ts'
import {
  type Fingerprint,
  sortPrints,
  readSupplement,
} from '../../postgres/fingerprint/fingerprint.ts'
import { countLargeObjects, measureLargeObjects } from '../../postgres/fingerprint/large-objects.ts'
import { readSequences } from '../../postgres/fingerprint/sequences.ts'
import { listTables } from '../../postgres/fingerprint/tables.ts'
import type { Psql } from '../../postgres/pg-restore/psql.ts'
import type { Difference } from '../../repository/level.ts'
import type { FoundBackup } from '../../repository/listing.ts'

/**
 * Applies our session settings to a psql session, so that no setting of a role or database changes
 * how values are read, or sets a timeout.
 */
export async function applySessionSettings(psql: Psql): Promise<void> {
  const pairs = Object.entries(sessionSettings).map(
    ([name, value]) => `(${quoteText(name)}, ${quoteText(value)})`,
  )
  await psql.run(
    `SELECT pg_catalog.set_config(s.name, s.value, false)
     FROM (VALUES ${pairs.join(', ')}) AS s(name, value)
     WHERE s.name IN (SELECT pg_catalog.lower(g.name) FROM pg_catalog.pg_settings g)`,
  )
}

/**
 * Compares the target with the fingerprint before the commit, in the same session: everything but
 * the schema, which needs pg_dump. With `schema`, checks only that every table exists.
 */
export async function compareInTransaction(
  psql: Psql,
  { manifest }: FoundBackup,
  contents: 'all' | 'schema',
): Promise<Difference[]> {
  const { fingerprint } = manifest
  await applySessionSettings(psql)
  if (contents === 'schema') return findMissingTables(psql, fingerprint)
  const { session } = psql
  const { kind } = fingerprint
  const values = await readSequences(session)
  const found: Fingerprint = {
    kind,
    tables: [],
    schema: fingerprint.schema,
    sequences: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, { before: value, after: value }]),
    ),
    supplement: await readSupplement(session),
  }
  if (kind !== 'none') {
    found.tables = sortPrints(await measureAll(psql, kind))
    found.largeObjects =
      kind === 'content' ? await measureLargeObjects(session) : await countLargeObjects(session)
  }
  // The owners of large objects are part of the schema comparison, not of this one.
  return compareFingerprints(fingerprint, found, true, { owners: false })
}

async function findMissingTables(psql: Psql, fingerprint: Fingerprint): Promise<Difference[]> {
  if (fingerprint.kind === 'none') return []
  const found = new Set((await measureAll(psql, 'counts')).map(({ table }) => table))
  return fingerprint.tables
    .filter(({ table }) => !found.has(table))
    .map(({ table }) => ({
      kind: 'rows',
      object: table,
      expected: 'a table',
      found: 'no such table',
    }))
}

async function measureAll(psql: Psql, depth: 'content' | 'counts'): Promise<TablePrint[]> {
  const tables = await listTables(psql.session)
  return measureParts(
    psql.session,
    tables.map((table) => ({ table, bytes: table.bytes })),
    { inTransaction: true, depth },
  )
}
