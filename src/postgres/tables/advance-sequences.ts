import { quoteName, type Session } from '../connection/session.ts'
import type { SequenceValue } from '../fingerprint/sequences.ts'
import { tableName } from '../fingerprint/tables.ts'

/** A sequence that a column takes its values from. */
interface UsedSequence {
  schema: string
  name: string
  table: string
  column: string
  /**
   * The column owns it: its values are the column's. Otherwise the default only names it, and may
   * derive another value from it.
   */
  owned: boolean
  /** Whether the column is of a numeric type. */
  number: boolean
  increment: string
  low: string
  high: string
  /** Whether the role may read and set it. */
  may: boolean
}

export interface AdvancedSequences {
  /** Sequences that moved, as `schema.name to VALUE`. */
  moved: string[]
  /** Sentences about sequences that could not be checked. */
  warnings: string[]
}

/**
 * Moves the sequences of these tables forward, never back: a sequence that a column owns beyond the
 * column's largest value, one that a default only names to its value in the backup. The statement
 * that sets a sequence also reads it, because it may already be ahead.
 */
export async function advanceSequences(
  session: Session,
  oids: readonly number[],
  backup: Readonly<Record<string, SequenceValue>>,
): Promise<AdvancedSequences> {
  const result: AdvancedSequences = { moved: [], warnings: [] }
  for (const sequence of await listSequences(session, oids)) {
    const name = tableName(sequence)
    const to = sequence.owned ? await lastColumnValue(session, sequence) : backup[name]
    const check = 'Check that its next value is beyond the values in use.'
    if (!to && !sequence.owned)
      result.warnings.push(
        `${sequence.table} takes values from the sequence ${name}, which no column owns, and ` +
          `the backup has no value of it. ${check}`,
      )
    if (!to) continue
    if (!sequence.may)
      result.warnings.push(
        `The role may not read or set the sequence ${name}, which ${sequence.table} takes values ` +
          `from. ${check}`,
      )
    else if (await moveForward(session, sequence, to)) result.moved.push(`${name} to ${to.last}`)
  }
  return result
}

async function listSequences(session: Session, oids: readonly number[]): Promise<UsedSequence[]> {
  return session.query<UsedSequence & Record<string, unknown>>(
    `WITH used AS (
       SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::int4 AS attribute,
         true AS owned
       FROM pg_catalog.pg_depend d
       WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
       UNION ALL
       SELECT d.refobjid, f.adrelid, f.adnum::int4, false
       FROM pg_catalog.pg_depend d
       JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
       WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend o
           WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
             AND o.objid = d.refobjid
             AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
             AND o.deptype IN ('a', 'i') AND o.refobjsubid > 0)
     )
     SELECT sn.nspname AS schema, sc.relname AS name,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column, used.owned,
       a.atttypid IN (
         'int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
         'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype) AS number,
       s.seqincrement::pg_catalog.text AS increment,
       s.seqmin::pg_catalog.text AS low, s.seqmax::pg_catalog.text AS high,
       pg_catalog.has_sequence_privilege(sc.oid, 'SELECT')
         AND pg_catalog.has_sequence_privilege(sc.oid, 'UPDATE')
         AND pg_catalog.has_schema_privilege(sn.oid, 'USAGE') AS may
     FROM used
     JOIN pg_catalog.pg_sequence s ON s.seqrelid = used.sequence
     JOIN pg_catalog.pg_class sc ON sc.oid = s.seqrelid
     JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
     JOIN pg_catalog.pg_class c ON c.oid = used.relation
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = used.attribute
     WHERE used.relation = ANY ($1::oid[])
     ORDER BY 1, 2, 3, 4`,
    [oids],
  )
}

/** The largest value of the column, or the smallest where the sequence counts down. */
async function lastColumnValue(
  session: Session,
  { table, column, number, increment }: UsedSequence,
): Promise<SequenceValue | undefined> {
  if (!number) return undefined
  const extreme = increment.startsWith('-') ? 'min' : 'max'
  const [row] = await session.query<{ value: string | null }>(
    `SELECT pg_catalog.trunc(pg_catalog.${extreme}(${quoteName(column)})::numeric)
       ::pg_catalog.text AS value
     FROM ${table}`,
  )
  return row?.value ? { last: row.value, called: true } : undefined
}

/** Compares the next values, as numbers without a limit. Returns whether the sequence moved. */
async function moveForward(
  session: Session,
  { schema, name, increment, low, high }: UsedSequence,
  { last, called }: SequenceValue,
): Promise<boolean> {
  if (BigInt(last) < BigInt(low) || BigInt(last) > BigInt(high)) return false
  const next = BigInt(last) + (called ? BigInt(increment) : 0n)
  const relation = `${quoteName(schema)}.${quoteName(name)}`
  const beyond = increment.startsWith('-') ? '<' : '>'
  const set = await session.query(
    `SELECT pg_catalog.setval($1::pg_catalog.regclass, $2::int8, $3::bool)
     FROM ${relation}
     WHERE $4::numeric ${beyond}
       last_value::numeric + CASE WHEN is_called THEN $5::numeric ELSE 0 END`,
    [relation, last, called, next.toString(), increment],
  )
  return set.length > 0
}
