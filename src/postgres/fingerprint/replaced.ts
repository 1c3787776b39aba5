import { UserError } from '../../errors.ts'
import type { Session } from '../connection/session.ts'

/** The error of a name that stood for another object when it was read than when it was listed. */
export function replacedError(names: readonly string[], cause?: unknown): UserError {
  const [first = '', ...others] = names
  const which = others.length === 0 ? first : `One of ${first} and ${others.length} more`
  return new UserError(
    'relation-replaced',
    `${which} was renamed, dropped or replaced by another object in the meantime.`,
    undefined,
    { cause },
  )
}

/** Returns those of the listed relations whose name (quoted for SQL) now stands for another object. */
export async function findReplaced<T extends { oid: number }>(
  session: Session,
  listed: readonly T[],
  nameOf: (relation: T) => string,
): Promise<T[]> {
  const rows = await session.query<{ i: number }>(
    `SELECT (t.i - 1)::int4 AS i
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.text[]))
       WITH ORDINALITY AS t(oid, name, i)
     WHERE pg_catalog.to_regclass(t.name)::pg_catalog.oid IS DISTINCT FROM t.oid
     ORDER BY t.i`,
    [listed.map(({ oid }) => oid), listed.map(nameOf)],
  )
  return rows.map(({ i }) => listed[i] as T)
}
