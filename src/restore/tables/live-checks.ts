import { UserError } from '../../errors.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import { qualifiedName } from '../../postgres/tables/foreign-keys.ts'
import { listLivePartitions, matchLiveTables } from '../../postgres/tables/replace.ts'
import { readTableName } from './names.ts'
import type { Task } from './options.ts'
import type { PartSide } from './side-database.ts'

/**
 * Rows of a live partition that the backup lacks would stay among the backup's: nobody asked for
 * such a mixture, nor for their loss.
 */
export async function sameTrees(session: Session, { chosen }: PartSide): Promise<void> {
  const known = new Set(chosen.map(tableName))
  const more = (
    await listLivePartitions(
      session,
      chosen.filter(({ root }) => root),
    )
  ).filter((name) => !known.has(name))
  if (more.length)
    throw new UserError(
      'partitions-differ',
      `The live database has partitions that the backup does not know: ${more.join(', ')}. Their rows would stay among those of the backup. Nothing was replaced.`,
      'Detach or drop them first (ALTER TABLE … DETACH PARTITION), or name the single partitions to replace in tables.',
    )
}

/** Between the first look and the locks, somebody may have dropped, made or altered a table. */
export async function unchanged(
  session: Session,
  task: Task,
  side: PartSide,
  rows: boolean,
): Promise<void> {
  const now = (await matchLiveTables(session, side.leaves)).flatMap((match) =>
    match ? [match] : [],
  )
  const same =
    now.length === task.there.length && now.every(({ oid }, i) => oid === task.there[i]?.oid)
  if (same) return rows ? sameTrees(session, side) : undefined
  throw new UserError(
    'target-changed',
    'A table was dropped or made in the live database meanwhile. Nothing was replaced.',
    'Stop migrations while a restore runs, and run this again.',
  )
}

/**
 * Hash partitions over a type whose hash is another on each server: the rows go in by the table at
 * the top of them.
 */
export function hashRoots(
  side: PartSide,
  missing: ReadonlySet<CatalogTable>,
): { schema: string; name: string }[] {
  const gone = new Set([...missing].map(tableName))
  return [
    ...new Set(
      side.leaves.flatMap(({ comparedAt }) =>
        comparedAt === undefined || gone.has(comparedAt) ? [] : [comparedAt],
      ),
    ),
  ].map(readTableName)
}

export async function oidsOf(
  session: Session,
  tables: readonly { schema: string; name: string }[],
): Promise<number[]> {
  const rows = await session.query<{ oid: number }>(
    'SELECT x.oid::int8::float8 AS oid FROM (SELECT pg_catalog.to_regclass(name)::oid AS oid FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name) AS x WHERE x.oid IS NOT NULL',
    [tables.map(qualifiedName)],
  )
  return rows.map(({ oid }) => oid)
}
