import { measureParts } from '../../postgres/fingerprint/content.ts'
import {
  type Fingerprint,
  sortPrints,
  readSupplement,
} from '../../postgres/fingerprint/fingerprint.ts'
import { countLargeObjects, measureLargeObjects } from '../../postgres/fingerprint/large-objects.ts'
import type { Psql } from '../../postgres/pg-restore/psql.ts'
import { listTables } from '../../postgres/fingerprint/tables.ts'
import { readSequences } from '../../postgres/fingerprint/sequences.ts'
import { quoteText, sessionSettings } from '../../postgres/connection/session.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { compareFingerprints } from '../../load/compare.ts'
import type { Difference } from '../../repository/level.ts'

/**
 * Settings that no role or database may have otherwise while this runs: for what is read, and
 * against timeouts.
 */
export async function pin(psql: Psql): Promise<void> {
  const pairs = Object.entries(sessionSettings).map(
    ([name, value]) => `(${quoteText(name)}, ${quoteText(value)})`,
  )
  await psql.run(
    `SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES ${pairs.join(', ')}) AS s(name, value) WHERE s.name IN (SELECT pg_catalog.lower(g.name) FROM pg_catalog.pg_settings g)`,
  )
}

/**
 * The comparison that must hold before the commit: all that the same session can see. pg_dump's
 * text of the schema comes after it.
 */
export async function compareInside(
  psql: Psql,
  { manifest }: FoundBackup,
  contents: 'all' | 'schema',
): Promise<Difference[]> {
  const { fingerprint } = manifest
  const { kind } = fingerprint
  await pin(psql)
  const { session } = psql
  const tables = await listTables(session)
  if (contents === 'schema') {
    const found = new Set(
      (kind === 'none'
        ? []
        : await measureParts(
            session,
            tables.map((table) => ({ table, bytes: table.bytes })),
            { inTransaction: true, depth: 'counts' },
          )
      ).map(({ table }) => table),
    )
    return kind === 'none'
      ? []
      : fingerprint.tables
          .filter(({ table }) => !found.has(table))
          .map(({ table }): Difference => ({
            kind: 'rows',
            object: table,
            expected: 'there',
            found: 'no such table',
          }))
  }
  const values = await readSequences(session)
  const sequences = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, { before: value, after: value }]),
  )
  const supplement = await readSupplement(session)
  const measured: Partial<Fingerprint> = {}
  if (kind !== 'none') {
    measured.tables = sortPrints(
      await measureParts(
        session,
        tables.map((table) => ({ table, bytes: table.bytes })),
        { inTransaction: true, depth: kind },
      ),
    )
    measured.largeObjects =
      kind === 'content' ? await measureLargeObjects(session) : await countLargeObjects(session)
  }
  // who owns a large object is another thing than what it holds
  return compareFingerprints(
    fingerprint,
    { kind, tables: [], schema: fingerprint.schema, sequences, supplement, ...measured },
    true,
    { owners: false },
  )
}
