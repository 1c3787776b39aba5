import { UserError } from '../../errors.ts'
import { isServerError } from '../connection/server-error.ts'
import { quoteName, type Session } from '../connection/session.ts'
import { replacedError } from './replaced.ts'
import { inUserSchema, tableName } from './tables.ts'

/** A sequence's position: the arguments of `setval`. `last` is decimal, it can exceed a number. */
export interface SequenceValue {
  last: string
  called: boolean
}

interface Sequence {
  oid: number
  schema: string
  name: string
  readable: boolean
}

/** Sequences per statement. */
const perQuery = 200

/**
 * Reads every sequence that a dump holds, by `schema.name`. No snapshot covers sequences: a dump's
 * value lies between a reading before it and one after it.
 *
 * Throws `relation-replaced` if another object has a sequence's name by the time it is read, and
 * `no-permission`.
 */
export async function readSequences(session: Session): Promise<Record<string, SequenceValue>> {
  const sequences = await session.query<Sequence>(`
    SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
      pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AS readable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${inUserSchema}
      AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
          AND d.deptype = 'e' AND c.oid <> ALL (coalesce(e.extconfig, '{}')))
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`)
  const refused = sequences.find(({ readable }) => !readable)
  if (refused)
    throw new UserError(
      'no-permission',
      `"${session.connection.user}" may not read the sequence ${tableName(refused)}.`,
      `Run on the server: GRANT pg_read_all_data TO ${quoteName(session.connection.user)};`,
    )
  const read = session.major >= 18 ? readByOid : readByName
  const values: Record<string, SequenceValue> = {}
  for (let at = 0; at < sequences.length; at += perQuery) {
    const some = sequences.slice(at, at + perQuery)
    const rows = await read(session, some)
    for (const [i, sequence] of some.entries()) {
      const row = rows.find((each) => each.i === i)
      if (!row?.same || row.last === null) throw replacedError([tableName(sequence)])
      values[tableName(sequence)] = { last: row.last, called: row.called }
    }
  }
  return values
}

interface Row {
  /** Index of the sequence. */
  i: number
  /** Whether it is still the object that was listed. */
  same: boolean
  last: string | null
  called: boolean
}

/** Names nothing, so there is nothing to replace. PostgreSQL 18 and newer. */
function readByOid(session: Session, sequences: readonly Sequence[]): Promise<Row[]> {
  return session.query<Row>(
    `SELECT (s.i - 1)::int4 AS i, true AS same, d.last_value::pg_catalog.text AS last,
       d.is_called AS called
     FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS s(oid, i),
       LATERAL pg_catalog.pg_get_sequence_data(s.oid::pg_catalog.regclass) d`,
    [`{${sequences.map(({ oid }) => oid).join()}}`],
  )
}

/**
 * Of a table that took the place of a sequence, this runs no code: it uses no cast and no operator
 * on its columns. A view is refused by `connectToRead`.
 */
async function readByName(session: Session, sequences: readonly Sequence[]): Promise<Row[]> {
  const selects = sequences.map(
    ({ oid, schema, name }, i) =>
      `SELECT ${i} AS i, tableoid = ${oid} AS same, pg_catalog.concat(last_value) AS last,
         pg_catalog.concat(is_called) = 't' AS called
       FROM ONLY ${quoteName(schema)}.${quoteName(name)}`,
  )
  try {
    return await session.query<Row>(selects.join(' UNION ALL '))
  } catch (error) {
    // object_not_in_prerequisite_state: a view, which the session refuses; undefined_table and
    // undefined_column: something else, or nothing
    if (!isServerError(error, '55000', '42P01', '42703', '3F000')) throw error
    throw replacedError(sequences.map(tableName), error)
  }
}
