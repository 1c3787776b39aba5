import { UserError } from '../../errors.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import { qualifiedName } from '../../postgres/tables/foreign-keys.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import { matchLiveTables } from '../../postgres/tables/live-tables.ts'
import { input, text } from '../../text.ts'
import { checkPartitions } from './live-checks.ts'
import type { ReplaceOptions, ReplacePlan } from './replacement.ts'
import { planRecreation } from './recreate-plan.ts'

/** Finds the live tables. Throws if one cannot be replaced. */
export async function planReplacement(
  session: Session,
  { side, contents }: ReplaceOptions,
): Promise<ReplacePlan> {
  const matches = await matchLiveTables(session, side.leaves)
  const existing = matches.flatMap((match) => (match ? [match] : []))
  const missingLeaves = side.leaves.filter((_table, i) => matches[i] === undefined)
  const [first] = missingLeaves
  if (first && contents === 'data')
    throw new UserError(
      'table-missing',
      text`${input('contents')} is "data", but the live database has no table ${tableName(first)}.`,
    )
  if (contents !== 'schema') await checkPartitions(session, side)
  const missing = new Set([
    ...(await missingRoots(session, side.chosen)),
    ...side.chosen.filter(({ oid }) => missingLeaves.some((table) => table.oid === oid)),
  ])
  const recreate = planRecreation(side.entries, missing, side.tableOf)
  return { existing, missing, recreate, staged: new Map() }
}

async function missingRoots(
  session: Session,
  chosen: readonly CatalogTable[],
): Promise<CatalogTable[]> {
  const roots: CatalogTable[] = []
  for (const table of chosen.filter(({ root }) => root)) {
    const [row] = await session.query<{ oid: string | null }>(
      'SELECT pg_catalog.to_regclass($1)::pg_catalog.text AS oid',
      [qualifiedName(table)],
    )
    if (!row?.oid) roots.push(table)
  }
  return roots
}
