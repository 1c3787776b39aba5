import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { type Table, tableName } from '../fingerprint/tables.ts'
import { quoteName, type Session } from '../connection/session.ts'

/** A live table whose rows are to be replaced. */
export interface LiveTable {
  oid: number
  /** As the backup knows it. */
  table: Table
  /** Columns that only the live table has. */
  extra: string[]
}

/** A trigger of a key that does not act in the ordinary way: somebody has switched it. */
interface KeyTrigger {
  relation: number
  does: number
  other: number
  state: string
}

/**
 * A foreign key that stands in the way of a table's replacement, at the top of its partition tree.
 */
export interface ForeignKey {
  oid: number
  name: string
  /** The table that has it, for SQL; and all of it, or only that table (inheritance). */
  table: string
  only: string
  definition: string
  comment: string | null
  triggers: KeyTrigger[]
}

export const qualifiedName = (table: { schema: string; name: string }): string =>
  `${quoteName(table.schema)}.${quoteName(table.name)}`

/**
 * Finds the live tables of the same names, and how their columns match. Throws `columns-differ`,
 * with the names: for columns that only the backup has, and for those that are computed on one side
 * and stored on the other. Gives undefined for a table that is not there.
 */
export async function matchLiveTables(
  live: Session,
  tables: readonly Table[],
): Promise<(LiveTable | undefined)[]> {
  const found: (LiveTable | undefined)[] = []
  for (const table of tables) {
    const [row] = await live.query<{
      oid: number
      kind: string
      columns: [string, string][] | null
    }>(
      `SELECT c.oid::int8::float8 AS oid, c.relkind AS kind, (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.attgenerated)) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
      [table.schema, table.name],
    )
    if (row && row.kind !== 'r')
      throw new UserError(
        'not-a-table',
        `${tableName(table)} is a table with rows in the backup, and something else in the live database.`,
        'Restore it into a schema of its own (without replace), and move the rows by hand.',
      )
    if (!row) {
      found.push(undefined)
      continue
    }
    const there = new Map(row.columns ?? [])
    const wrong = table.columns.filter(
      ({ name, generated }) =>
        there.get(name) === undefined || (generated === 'no') !== (there.get(name) === ''),
    )
    const [first] = wrong
    if (first) {
      const missing = wrong.filter(({ name }) => !there.has(name)).map(({ name }) => name)
      const how = missing.length
        ? `the backup has columns that the live table lacks: ${missing.join(', ')}`
        : `columns are computed in one of the two only: ${wrong.map(({ name }) => name).join(', ')}`
      throw new UserError(
        'columns-differ',
        `${tableName(table)} cannot be replaced: ${how}.`,
        'Add or change the columns in the live table first (ALTER TABLE), or restore it into a schema of its own (without replace) and take the rows from there.',
      )
    }
    const own = new Set(table.columns.map(({ name }) => name))
    found.push({ oid: row.oid, table, extra: [...there.keys()].filter((name) => !own.has(name)) })
  }
  return found
}

/** A key and those that partitions have of it. */
function treeOf(key: string): string {
  return `(WITH RECURSIVE down(oid) AS (SELECT ${key} UNION SELECT p.oid FROM down JOIN pg_catalog.pg_constraint p ON p.conparentid = down.oid) SELECT down.oid FROM down) AS tree`
}

/**
 * Foreign keys from and to these tables; where one was made for a whole partition tree, that one.
 */
export async function foreignKeysOf(
  session: Session,
  oids: readonly number[],
): Promise<ForeignKey[]> {
  return session.query<ForeignKey & Record<string, unknown>>(
    `WITH RECURSIVE up(oid, parent) AS (
       SELECT k.oid, k.conparentid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))
       UNION SELECT k.oid, k.conparentid FROM up JOIN pg_catalog.pg_constraint k ON k.oid = up.parent
     )
     SELECT k.oid::int8::float8 AS oid, k.conname AS name, pg_catalog.pg_get_constraintdef(k.oid) AS definition, pg_catalog.obj_description(k.oid, 'pg_constraint') AS comment,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END AS only,
       coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('relation', t.tgrelid::int8, 'does', t.tgfoid::int8, 'other', t.tgconstrrelid::int8, 'state', t.tgenabled))
         FROM ${treeOf('k.oid')} JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid WHERE t.tgenabled <> 'O'), '[]') AS triggers
     FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.oid IN (SELECT up.oid FROM up WHERE up.parent = 0) ORDER BY k.oid`,
    [oids],
  )
}

/** By oid: tables that are replaced, and what else the transaction will have to alter. */
interface ToLock {
  replaced: readonly number[]
  others: readonly number[]
}

/** Milliseconds: below the server's deadlock_timeout, so that nobody waits behind us for long. */
const lockWait = 700

/**
 * Takes all locks that the replacement needs, or none: tries for `patience` milliseconds, and lets
 * go in between, so that the application goes on. Then throws `target-busy`, which names who holds
 * the tables. In a transaction; foreign keys bring the tables at their other end.
 */
export async function lockTables(
  session: Session,
  tables: ToLock,
  timeout: number,
  work: Work,
): Promise<ForeignKey[]> {
  const until = Date.now() + timeout
  const oids = [...tables.replaced, ...tables.others]
  await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
  await session.query('SAVEPOINT locks')
  for (let attempt = 1; ; attempt++) {
    work.signal.throwIfAborted()
    try {
      const first = await namesToLock(session, oids)
      if (first.length)
        await session.query(`LOCK TABLE ${first.join(', ')} IN ACCESS EXCLUSIVE MODE`)
      const keys = await foreignKeysOf(session, tables.replaced)
      const others = await namesToLock(session, await endsOf(session, keys))
      if (others.length)
        await session.query(`LOCK TABLE ${others.join(', ')} IN ACCESS EXCLUSIVE MODE`)
      return keys
    } catch (error) {
      const { code } = error as { code?: string }
      if (code !== '55P03' && code !== '40P01') throw error
      if (Date.now() > until) {
        const holders = await whoHolds(session, oids)
        throw new UserError(
          'target-busy',
          `The tables could not be locked within ${Math.round(timeout / 1000)} s${holders.length ? `: they are in use by ${holders.join('; ')}` : ''}. Nothing was replaced.`,
          'End the long transactions that use them, or stop the application for a moment, and run this again.',
          { cause: error },
        )
      }
      await session.query('ROLLBACK TO SAVEPOINT locks')
      await sleep(100 + Math.random() * 400 * Math.min(attempt, 5), undefined, {
        signal: work.signal,
      })
    }
  }
}

async function namesToLock(session: Session, oids: readonly number[]): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || pg_catalog.format('%I.%I', n.nspname, c.relname) AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[]) ORDER BY c.oid`,
    [oids],
  )
  return rows.map(({ name }) => name)
}

async function endsOf(session: Session, keys: readonly ForeignKey[]): Promise<number[]> {
  const rows = await session.query<{ oid: number }>(
    'SELECT DISTINCT e.oid::int8::float8 AS oid FROM pg_catalog.pg_constraint k, LATERAL (VALUES (k.conrelid), (k.confrelid)) AS e(oid) WHERE k.oid = ANY ($1::oid[])',
    [keys.map(({ oid }) => oid)],
  )
  return rows.map(({ oid }) => oid)
}

async function whoHolds(session: Session, oids: readonly number[]): Promise<string[]> {
  await session.query('ROLLBACK TO SAVEPOINT locks')
  const rows = await session.query<{
    pid: number
    user: string | null
    application: string | null
    state: string | null
  }>(
    `SELECT DISTINCT a.pid, a.usename AS user, a.application_name AS application, a.state FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.relation = ANY ($1::oid[]) AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY a.pid LIMIT 5`,
    [oids],
  )
  return rows.map(
    ({ pid, user, application, state }) =>
      `process ${pid} (${[user, application, state].filter(Boolean).join(', ')})`,
  )
}

const states: Record<string, string> = {
  O: 'ENABLE',
  R: 'ENABLE REPLICA',
  A: 'ENABLE ALWAYS',
  D: 'DISABLE',
}

/**
 * A key that was made again acts in the ordinary way: switches its triggers as they were, which
 * only a superuser may. Gives false where the role may not; what else the server says is thrown.
 */
export async function restoreKeyTriggers(
  session: Session,
  { name, table, triggers: switched }: ForeignKey,
): Promise<boolean> {
  if (switched.length === 0) return true
  const now = await session.query<
    KeyTrigger & { table: string; trigger: string } & Record<string, unknown>
  >(
    `SELECT t.tgrelid::int8::float8 AS relation, t.tgfoid::int8::float8 AS does, t.tgconstrrelid::int8::float8 AS other, pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, pg_catalog.quote_ident(t.tgname) AS trigger
     FROM pg_catalog.pg_constraint k CROSS JOIN LATERAL ${treeOf('k.oid')} JOIN pg_catalog.pg_trigger t ON t.tgconstraint = tree.oid JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.conname = $1 AND k.conrelid = $2::pg_catalog.regclass AND k.contype = 'f'`,
    [name, table],
  )
  await session.query('SAVEPOINT switching')
  try {
    for (const { relation, does, other, state } of switched) {
      const again = now.find(
        (each) => each.relation === relation && each.does === does && each.other === other,
      )
      if (again)
        await session.query(
          `ALTER TABLE ONLY ${again.table} ${states[state] ?? 'ENABLE'} TRIGGER ${again.trigger}`,
        )
    }
    await session.query('RELEASE SAVEPOINT switching')
    return true
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error
    await session.query('ROLLBACK TO SAVEPOINT switching')
    return false
  }
}

/** Whether adding it checks the rows that are there. */
export function validatesRows(definition: string): boolean {
  return !/ NOT (VALID|ENFORCED)\s*;?\s*$/.test(definition)
}

/** Partitions with rows below these tables, by `schema.name`. */
export async function listLivePartitions(
  session: Session,
  roots: readonly { schema: string; name: string }[],
): Promise<string[]> {
  const rows = await session.query<{ schema: string; name: string }>(
    `SELECT DISTINCT n.nspname AS schema, c.relname AS name FROM pg_catalog.unnest($1::pg_catalog.text[]) AS given(name), pg_catalog.pg_partition_tree(pg_catalog.to_regclass(given.name)) AS tree
       JOIN pg_catalog.pg_class c ON c.oid = tree.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' ORDER BY 1, 2`,
    [roots.map(qualifiedName)],
  )
  return rows.map(tableName)
}

/**
 * Switches off what would act on each row, and gives the statements that switch on again what was
 * on, each in its own way.
 */
export async function disableTriggersAndRules(
  session: Session,
  oids: readonly number[],
): Promise<string[]> {
  const rows = await session.query<{ table: string; name: string; what: string; state: string }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, pg_catalog.quote_ident(x.name) AS name, x.what, x.state
     FROM (SELECT tgrelid AS relation, tgname AS name, 'TRIGGER' AS what, tgenabled AS state FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
       UNION ALL SELECT ev_class, rulename, 'RULE', ev_enabled FROM pg_catalog.pg_rewrite WHERE ev_type <> '1') AS x
     JOIN pg_catalog.pg_class c ON c.oid = x.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::oid[]) AND x.state <> 'D' ORDER BY c.oid, x.name`,
    [oids],
  )
  const only = (what: string): string => (what === 'TRIGGER' ? 'ONLY ' : '')
  for (const { table, name, what } of rows)
    await session.query(`ALTER TABLE ${only(what)}${table} DISABLE ${what} ${name}`)
  return rows.map(
    ({ table, name, what, state }) =>
      `ALTER TABLE ${only(what)}${table} ${states[state] ?? 'ENABLE'} ${what} ${name}`,
  )
}

/**
 * Adds a foreign key, which checks every row there is. Where rows break it, throws
 * `foreign-key-violated` with its name and their number; the transaction is the caller's to roll
 * back.
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
    const {
      code,
      table = '',
      schema = '',
    } = error as { code?: string; table?: string; schema?: string }
    if (code !== '23503') throw error
    await session.query('ROLLBACK TO SAVEPOINT key')
    const count = await countViolations(session, name, { schema, name: table }, statement).catch(
      () => undefined,
    )
    const rows =
      count === undefined
        ? 'rows of it'
        : `${count.toLocaleString('en-US')} ${count === 1 ? 'row of it' : 'rows of it'}`
    const detail = (error as { detail?: string }).detail ?? messageOf(error)
    throw new UserError(
      'foreign-key-violated',
      `The foreign key "${name}" of ${tableName({ schema, name: table })} would not hold: ${rows} point to nothing. The first: ${detail} Nothing was replaced.`,
      'Put back the table at its other end, too (name both in tables), or restore into a schema of its own (without replace) and take the rows that fit.',
      { cause: error },
    )
  }
}

/**
 * How many rows break a foreign key: it is added unchecked, and its columns are read from the
 * catalogue.
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
         (SELECT pg_catalog.json_agg(a.attname ORDER BY u.i) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n) AS own,
         (SELECT pg_catalog.json_agg(a.attname ORDER BY u.i) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u(n, i) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n) AS theirs
       FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.conname = $1 AND c.relname = $2 AND n.nspname = $3`,
      [name, table.name, table.schema],
    )
    if (!key) return undefined
    const filled = key.own.map((column) => `r.${quoteName(column)} IS NOT NULL`)
    const equal = key.own.map(
      (column, i) => `p.${quoteName(key.theirs[i] as string)} = r.${quoteName(column)}`,
    )
    const [row] = await session.query<{ count: number }>(
      `SELECT pg_catalog.count(*)::float8 AS count FROM ${qualifiedName(table)} r WHERE ${filled.join(' AND ')} AND NOT EXISTS (SELECT FROM ${key.other} p WHERE ${equal.join(' AND ')})`,
    )
    return row?.count
  } finally {
    await session.query('ROLLBACK TO SAVEPOINT counting')
  }
}

/**
 * What else should be known of tables whose rows were replaced: materialized views that read them,
 * publications that carry them.
 */
export async function readDependents(
  session: Session,
  oids: readonly number[],
): Promise<{ views: string[]; publications: string[] }> {
  const views = await session.query<{ name: string }>(
    `WITH RECURSIVE reads(oid) AS (
       SELECT pg_catalog.unnest($1::oid[])
       UNION SELECT r.ev_class FROM reads JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = reads.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
         JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
     )
     SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.oid AND c.relkind = 'm' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 1`,
    [oids],
  )
  const publications = await session.query<{ name: string }>(
    'SELECT DISTINCT p.pubname AS name FROM pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_class c ON c.relname = p.tablename JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = p.schemaname WHERE c.oid = ANY ($1::oid[]) ORDER BY 1',
    [oids],
  )
  return {
    views: views.map(({ name }) => name),
    publications: publications.map(({ name }) => name),
  }
}
