import { UserError } from '../../errors.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import { qualifiedName } from '../../postgres/tables/foreign-keys.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import { listLivePartitions, matchLiveTables } from '../../postgres/tables/live-tables.ts'
import { input, join, text } from '../../text.ts'
import { readTableName } from './names.ts'
import type { ReplacePlan } from './replacement.ts'
import type { TablesSideDatabase } from './side-database.ts'

/**
 * Throws `partitions-differ` if a live table has partitions that the backup lacks. To keep their
 * rows would mix them with the backup's, and to drop them would lose them.
 */
export async function checkPartitions(
  session: Session,
  { chosen }: TablesSideDatabase,
): Promise<void> {
  const known = new Set(chosen.map(tableName))
  const live = await listLivePartitions(
    session,
    chosen.filter(({ root }) => root),
  )
  const more = live.filter((name) => !known.has(name))
  if (more.length)
    throw new UserError(
      'partitions-differ',
      `The live database has partitions that the backup lacks: ${more.join(', ')}. ` +
        "Their rows would mix with the backup's. Nothing was replaced.",
      join(
        [
          'Detach or drop them first (ALTER TABLE … DETACH PARTITION),',
          text`or set ${input('tables')} to the single partitions to replace.`,
        ],
        ' ',
      ),
    )
}

/** Under the locks: throws `target-changed` if a table was dropped or created since the plan. */
export async function checkUnchanged(
  session: Session,
  plan: ReplacePlan,
  side: TablesSideDatabase,
  rows: boolean,
): Promise<void> {
  const now = (await matchLiveTables(session, side.leaves)).flatMap((match) =>
    match ? [match] : [],
  )
  const same =
    now.length === plan.existing.length && now.every(({ oid }, i) => oid === plan.existing[i]?.oid)
  if (!same)
    throw new UserError(
      'target-changed',
      'A table was dropped or created in the live database while the restore ran. ' +
        'Nothing was replaced.',
    )
  if (rows) await checkPartitions(session, side)
}

/**
 * Returns the roots of hash partitions whose hash differs between servers. Their rows are inserted
 * through the root.
 */
export function hashRoots(
  side: TablesSideDatabase,
  missing: ReadonlySet<CatalogTable>,
): { schema: string; name: string }[] {
  const missingNames = new Set([...missing].map(tableName))
  const roots = side.leaves.flatMap(({ comparedAt }) =>
    comparedAt === undefined || missingNames.has(comparedAt) ? [] : [comparedAt],
  )
  return [...new Set(roots)].map(readTableName)
}

/** Returns the oids of those tables that exist. */
export async function oidsOf(
  session: Session,
  tables: readonly { schema: string; name: string }[],
): Promise<number[]> {
  const rows = await session.query<{ oid: number }>(
    `SELECT x.oid::int8::float8 AS oid
     FROM (
       SELECT pg_catalog.to_regclass(name)::oid AS oid
       FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name) AS x
     WHERE x.oid IS NOT NULL`,
    [tables.map(qualifiedName)],
  )
  return rows.map(({ oid }) => oid)
}
