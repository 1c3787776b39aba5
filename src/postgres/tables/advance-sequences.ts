import { tableName } from '../fingerprint/tables.ts'
import type { SequenceValue } from '../fingerprint/sequences.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** A sequence that a column takes its values from. */
interface Used {
  schema: string
  name: string
  table: string
  column: string
  /**
   * The column owns it: its values are the column's. Otherwise its default only names it, and may
   * make something else of a value.
   */
  owned: boolean
  number: boolean
  increment: string
  low: string
  high: string
  /** Whether the role may read and set it. */
  may: boolean
}

/** Sentences: of sequences that moved, and of those that could not be seen to. */
export interface AdvancedSequence {
  moved: string[]
  warnings: string[]
}

/**
 * Moves the sequences of these tables forward, never back: those that a column owns beyond the
 * column's largest value, those that a default merely names to where the backup has them. Where a
 * sequence stands is read from itself, in the statement that sets it: it may be ahead without ever
 * having given a value.
 */
export async function advanceSequences(
  session: Session,
  oids: readonly number[],
  backup: Readonly<Record<string, SequenceValue>>,
): Promise<AdvancedSequence> {
  const result: AdvancedSequence = { moved: [], warnings: [] }
  for (const used of await sequencesOf(session, oids)) {
    const name = tableName(used)
    const to = used.owned ? await lastOf(session, used) : backup[name]
    if (!to && !used.owned)
      result.warnings.push(
        `${used.table} takes values from the sequence ${name}, which no column owns, and the backup does not say where it stood: see that it is beyond the values in use.`,
      )
    if (!to) continue
    if (!used.may)
      result.warnings.push(
        `The sequence ${name}, which ${used.table} takes values from, could not be looked at or moved by this role: see that it is beyond the values in use.`,
      )
    else if (await forward(session, used, to)) result.moved.push(`${name} to ${to.last}`)
  }
  return result
}

async function sequencesOf(session: Session, oids: readonly number[]): Promise<Used[]> {
  return session.query<Used & Record<string, unknown>>(
    `WITH used AS (
       SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::int4 AS attribute, true AS owned FROM pg_catalog.pg_depend d
       WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
       UNION ALL
       SELECT d.refobjid, f.adrelid, f.adnum::int4, false FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
       WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o
         WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.objid = d.refobjid AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND o.deptype IN ('a', 'i') AND o.refobjsubid > 0)
     )
     SELECT sn.nspname AS schema, sc.relname AS name, pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column, used.owned,
       a.atttypid IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype, 'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype) AS number,
       s.seqincrement::pg_catalog.text AS increment, s.seqmin::pg_catalog.text AS low, s.seqmax::pg_catalog.text AS high,
       pg_catalog.has_sequence_privilege(sc.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(sc.oid, 'UPDATE') AND pg_catalog.has_schema_privilege(sn.oid, 'USAGE') AS may
     FROM used JOIN pg_catalog.pg_sequence s ON s.seqrelid = used.sequence JOIN pg_catalog.pg_class sc ON sc.oid = s.seqrelid JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
       JOIN pg_catalog.pg_class c ON c.oid = used.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = used.attribute
     WHERE used.relation = ANY ($1::oid[]) ORDER BY 1, 2, 3, 4`,
    [oids],
  )
}

/** The largest value of the column, or the smallest where the sequence counts down. */
async function lastOf(
  session: Session,
  { table, column, number, increment }: Used,
): Promise<SequenceValue | undefined> {
  if (!number) return undefined
  const [row] = await session.query<{ value: string | null }>(
    `SELECT pg_catalog.trunc(pg_catalog.${increment.startsWith('-') ? 'min' : 'max'}(${quoteName(column)})::numeric)::pg_catalog.text AS value FROM ${table}`,
  )
  return row?.value ? { last: row.value, called: true } : undefined
}

/** Compares what either would give next, in numbers without a limit. */
async function forward(
  session: Session,
  { schema, name, increment, low, high }: Used,
  { last, called }: SequenceValue,
): Promise<boolean> {
  if (BigInt(last) < BigInt(low) || BigInt(last) > BigInt(high)) return false
  const next = BigInt(last) + (called ? BigInt(increment) : 0n)
  const relation = `${quoteName(schema)}.${quoteName(name)}`
  const set = await session.query(
    `SELECT pg_catalog.setval($1::pg_catalog.regclass, $2::int8, $3::bool) FROM ${relation} WHERE $4::numeric ${increment.startsWith('-') ? '<' : '>'} last_value::numeric + CASE WHEN is_called THEN $5::numeric ELSE 0 END`,
    [relation, last, called, next.toString(), increment],
  )
  return set.length > 0
}
