import { inUserSchema, tableName } from './tables.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** A sequence's position: the arguments of `setval`. `last` is decimal, it can exceed a number. */
export interface SequenceValue {
  last: string
  called: boolean
}

/** Sequences per statement. */
const perQuery = 200

/**
 * Reads every sequence that a dump holds, by `schema.name`. No snapshot covers sequences: a dump's
 * value lies between a reading before it and one after it.
 */
export async function readSequences(session: Session): Promise<Record<string, SequenceValue>> {
  const sequences = await session.query<{ schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${inUserSchema}
      AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
          AND d.deptype = 'e' AND c.oid <> ALL (coalesce(e.extconfig, '{}')))
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`)
  const values: Record<string, SequenceValue> = {}
  for (let at = 0; at < sequences.length; at += perQuery) {
    const some = sequences.slice(at, at + perQuery)
    const selects = some.map(
      ({ schema, name }, i) =>
        `SELECT ${i} AS i, last_value::pg_catalog.text AS last, is_called AS called
         FROM ${quoteName(schema)}.${quoteName(name)}`,
    )
    const rows = await session.query<{ i: number } & SequenceValue>(selects.join(' UNION ALL '))
    for (const { i, last, called } of rows)
      values[tableName(some[i] as { schema: string; name: string })] = { last, called }
  }
  return values
}
