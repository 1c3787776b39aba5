import { UserError } from '../../errors.ts'
import { input, join, text } from '../../text.ts'
import { isServerError } from '../connection/server-error.ts'
import { quoteName, type Session } from '../connection/session.ts'
import { tableName } from '../fingerprint/tables.ts'

/** A trigger of a foreign key that a user disabled, or enabled for replicas or always. */
interface KeyTrigger {
  relation: number
  does: number
  other: number
  state: string
}

/** A foreign key from or to a table that is replaced, at the top of its partition tree. */
export interface ForeignKey {
  oid: number
  name: string
  /** The table that has it, quoted for SQL. */
  table: string
  /** `ONLY `, or empty for a partitioned table. */
  only: string
  definition: string
  comment: string | null
  /** Its triggers that are not in the default state. */
  triggers: KeyTrigger[]
}

/** The statement's words for each state of a trigger or rule (`tgenabled`, `ev_enabled`). */
export const triggerStates: Readonly<Record<string, string>> = {
  O: 'ENABLE',
  R: 'ENABLE REPLICA',
  A: 'ENABLE ALWAYS',
  D: 'DISABLE',
}

/** Returns `schema.table`, quoted for SQL. */
export const qualifiedName = (table: { schema: string; name: string }): string =>
  `${quoteName(table.schema)}.${quoteName(table.name)}`

/** A subquery of the oids of a constraint and of its copies in partitions. */
function treeOf(key: string): string {
  return `(
    WITH RECURSIVE down(oid) AS (
      SELECT ${key}
      UNION SELECT p.oid FROM down
        JOIN pg_catalog.pg_constraint p ON p.conparentid = down.oid
    )
    SELECT down.oid FROM down) AS tree`
}

/**
 * Returns the foreign keys from and to these tables. Of a key on a whole partition tree it returns
 * the key of the root.
 */
export async function foreignKeysOf(
  session: Session,
  oids: readonly number[],
): Promise<ForeignKey[]> {
  return session.query<ForeignKey & Record<string, unknown>>(
    `WITH RECURSIVE up(oid, parent) AS (
       SELECT k.oid, k.conparentid
       FROM pg_catalog.pg_constraint k
       WHERE k.contype = 'f'
         AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))
       UNION SELECT k.oid, k.conparentid
       FROM up JOIN pg_catalog.pg_constraint k ON k.oid = up.parent
     )
     SELECT k.oid::int8::float8 AS oid, k.conname AS name,
       pg_catalog.pg_get_constraintdef(k.oid) AS definition,
       pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS table,
       CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END AS only,
       coalesce((
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
           'relation', t.tgrelid::int8, 'does', t.tgfoid::int8,
           'other', t.tgconstrrelid::int8, 'state', t.tgenabled))
         FROM ${treeOf('k.oid')}
         JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid
         WHERE t.tgenabled <> 'O'), '[]') AS triggers
     FROM pg_catalog.pg_constraint k
     JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.oid IN (SELECT up.oid FROM up WHERE up.parent = 0)
     ORDER BY k.oid`,
    [oids],
  )
}

/** Returns the oids of the tables at both ends of these keys. */
export async function tablesOfKeys(
  session: Session,
  keys: readonly ForeignKey[],
): Promise<number[]> {
  const rows = await session.query<{ oid: number }>(
    `SELECT DISTINCT e.oid::int8::float8 AS oid
     FROM pg_catalog.pg_constraint k, LATERAL (VALUES (k.conrelid), (k.confrelid)) AS e(oid)
     WHERE k.oid = ANY ($1::oid[])`,
    [keys.map(({ oid }) => oid)],
  )
  return rows.map(({ oid }) => oid)
}

/**
 * Puts the triggers of a re-created key back into the states they had; only a superuser may.
 * Returns false if the role may not; throws every other error.
 */
export async function restoreKeyTriggers(
  session: Session,
  { name, table, triggers }: ForeignKey,
): Promise<boolean> {
  if (triggers.length === 0) return true
  const current = await session.query<
    KeyTrigger & { table: string; trigger: string } & Record<string, unknown>
  >(
    `SELECT t.tgrelid::int8::float8 AS relation, t.tgfoid::int8::float8 AS does,
       t.tgconstrrelid::int8::float8 AS other,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS table,
       pg_catalog.quote_ident(t.tgname) AS trigger
     FROM pg_catalog.pg_constraint k
     CROSS JOIN LATERAL ${treeOf('k.oid')}
     JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid
     JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.conname = $1 AND k.conrelid = $2::pg_catalog.regclass AND k.contype = 'f'`,
    [name, table],
  )
  await session.query('SAVEPOINT switching')
  try {
    for (const { relation, does, other, state } of triggers) {
      const same = current.find(
        (each) => each.relation === relation && each.does === does && each.other === other,
      )
      if (same)
        await session.query(
          `ALTER TABLE ONLY ${same.table} ` +
            `${triggerStates[state] ?? 'ENABLE'} TRIGGER ${same.trigger}`,
        )
    }
    await session.query('RELEASE SAVEPOINT switching')
    return true
  } catch (error) {
    if (!isServerError(error, '42501')) throw error
    await session.query('ROLLBACK TO SAVEPOINT switching')
    return false
  }
}

/** Whether adding a constraint with this definition checks the rows in the table. */
export function validatesRows(definition: string): boolean {
  return !/ NOT (VALID|ENFORCED)\s*;?\s*$/.test(definition)
}

/**
 * Adds a foreign key inside the caller's transaction; the server checks every row. Throws
 * `foreign-key-violated`, with the key's name and the number of rows, if rows break it.
 */
export async function addForeignKey(
  session: Session,
  name: string,
  statement: string,
): Promise<void> {
  await session.query('SAVEPOINT key')
  try {
    await session.query(statement)
    await session.query('RELEASE SAVEPOINT key')
  } catch (error) {
    if (!isServerError(error, '23503')) throw error
    const table = { schema: error.schema ?? '', name: error.table ?? '' }
    await session.query('ROLLBACK TO SAVEPOINT key')
    const count = await countViolations(session, name, table, statement).catch(() => undefined)
    const rows =
      count === undefined
        ? 'rows'
        : `${count.toLocaleString('en-US')} ${count === 1 ? 'row' : 'rows'}`
    throw new UserError(
      'foreign-key-violated',
      `${tableName(table)} would break its foreign key "${name}": ${rows} would have no ` +
        `matching row. The first: ${error.detail ?? error.message} Nothing was replaced.`,
      join(
        [
          text`Restore the table at the other end of the key too: name both in ${input('tables')}.`,
          text`Or leave out ${input('replace')}: the tables then go into a schema of their own.`,
          'Copy the rows that fit from there.',
        ],
        ' ',
      ),
      { cause: error },
    )
  }
}

/**
 * Counts the rows that break a foreign key: adds it unchecked, reads its columns from the
 * catalogue, and rolls back.
 */
async function countViolations(
  session: Session,
  name: string,
  table: { schema: string; name: string },
  statement: string,
): Promise<number | undefined> {
  await session.query('SAVEPOINT counting')
  try {
    await session.query(statement.replace(/( NOT VALID)?;?\s*$/, ' NOT VALID'))
    const [key] = await session.query<{ other: string; own: string[]; theirs: string[] }>(
      `SELECT k.confrelid::pg_catalog.regclass::pg_catalog.text AS other,
         (SELECT pg_catalog.json_agg(a.attname ORDER BY u.i)
          FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u(n, i)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n) AS own,
         (SELECT pg_catalog.json_agg(a.attname ORDER BY u.i)
          FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u(n, i)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n) AS theirs
       FROM pg_catalog.pg_constraint k
       JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE k.conname = $1 AND c.relname = $2 AND n.nspname = $3`,
      [name, table.name, table.schema],
    )
    if (!key) return undefined
    const filled = key.own.map((column) => `r.${quoteName(column)} IS NOT NULL`)
    const equal = key.own.map(
      (column, i) => `p.${quoteName(key.theirs[i] as string)} = r.${quoteName(column)}`,
    )
    const [row] = await session.query<{ count: number }>(
      `SELECT pg_catalog.count(*)::float8 AS count
       FROM ${qualifiedName(table)} r
       WHERE ${filled.join(' AND ')}
         AND NOT EXISTS (SELECT FROM ${key.other} p WHERE ${equal.join(' AND ')})`,
    )
    return row?.count
  } finally {
    await session.query('ROLLBACK TO SAVEPOINT counting')
  }
}
