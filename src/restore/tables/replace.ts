import { randomBytes } from 'node:crypto'
import { messageOf, UserError } from '../../errors.ts'
import { compareRows } from '../../load/compare.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { connect, quoteName, quoteText, type Session } from '../../postgres/connection/session.ts'
import { measureParts } from '../../postgres/fingerprint/content.ts'
import { type Table, tableName } from '../../postgres/fingerprint/tables.ts'
import { advanceSequences } from '../../postgres/tables/advance-sequences.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import {
  addForeignKey,
  qualifiedName,
  restoreKeyTriggers,
  validatesRows,
} from '../../postgres/tables/foreign-keys.ts'
import { lockTables } from '../../postgres/tables/lock-tables.ts'
import {
  disableTriggersAndRules,
  matchLiveTables,
  readDependents,
} from '../../postgres/tables/replace.ts'
import { copyRows, dropSchema, storedColumns } from '../../postgres/tables/staging.ts'
import { mapConcurrent } from '../../stream/map-concurrent.ts'
import type { Held, Work } from '../../work.ts'
import { hashRoots, oidsOf, sameTrees, unchanged } from './live-checks.ts'
import { readTableName } from './names.ts'
import type { Replaced, ReplaceOptions, Task } from './options.ts'
import { recreatePlanOf } from './recreate-plan.ts'
import { makeAfter, makeBefore, makeTies } from './recreate.ts'
import { whyNotThere } from './side-database.ts'

/**
 * Puts the tables of a side database in the place of the live ones: all of them, or nothing. First
 * their rows come into a schema of ours in the live database, beside everything; then one
 * transaction locks, replaces, makes what is missing, checks every foreign key, measures what is
 * there now, and commits only if it is what the backup's fingerprint says.
 */
export async function replaceLive(options: ReplaceOptions, work: Work): Promise<Replaced> {
  const { live, contents } = options
  const session = await connect(live, work)
  const staging = `holdfast_part_${randomBytes(6).toString('hex')}`
  const held = {
    kind: 'schema',
    database: live.database,
    name: staging,
    input: 'target-url',
  } as const
  try {
    const task = await plan(session, options)
    const result: Replaced = {
      created: [...task.missing].map(tableName),
      replaced: contents === 'schema' ? [] : task.there.map(({ table }) => tableName(table)),
      untouched: contents === 'schema' ? task.there.map(({ table }) => tableName(table)) : [],
      keys: [],
      warnings: task.there
        .filter(({ extra }) => extra.length && contents !== 'schema')
        .map(
          ({ table, extra }) =>
            `The live ${tableName(table)} has columns that the backup does not know; in every row they have their default now: ${extra.join(', ')}.`,
        ),
      locked: 0,
      lockedAt: 0,
    }
    await options.before() // and not after the staging, whose rows would be in a safety backup too
    if (contents !== 'schema') {
      work.hold(held)
      await stage(session, staging, task, options, work)
    }
    await inOneTransaction(session, staging, task, options, result, work)
    work.release(held)
    await afterwards(session, task, result)
    return result
  } catch (error) {
    await session.end()
    await dropStaging(live, held, work)
    throw explained(error, live)
  } finally {
    await session.end()
  }
}

async function plan(session: Session, { side, contents }: ReplaceOptions): Promise<Task> {
  const matches = await matchLiveTables(session, side.leaves)
  const there = matches.flatMap((match) => (match ? [match] : []))
  const gone = side.leaves.filter((_table, i) => matches[i] === undefined)
  const [first] = gone
  if (first && contents === 'data')
    throw new UserError(
      'table-missing',
      `contents is "data", and the live database has no table ${tableName(first)}.`,
      'Leave contents out: a table that is missing is then made anew, with its indexes, keys and rows.',
    )
  if (contents !== 'schema') await sameTrees(session, side)
  const roots: CatalogTable[] = []
  for (const table of side.chosen.filter(({ root }) => root)) {
    const [row] = await session.query<{ oid: string | null }>(
      'SELECT pg_catalog.to_regclass($1)::pg_catalog.text AS oid',
      [qualifiedName(table)],
    )
    if (!row?.oid) roots.push(table)
  }
  const missing = new Set([
    ...roots,
    ...side.chosen.filter(({ oid }) => gone.some((table) => table.oid === oid)),
  ])
  return {
    there,
    missing,
    making: recreatePlanOf(side.entries, missing, side.tableOf),
    staged: new Map(),
  }
}

/**
 * Copies the rows into a schema of ours in the live database: this takes long, and locks nothing
 * that is used. Not logged, for it is gone soon.
 */
async function stage(
  session: Session,
  staging: string,
  task: Task,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  const { side, live, programs, encoding, jobs } = options
  const copyOne = ([table, relation]: [Table, string], own: Work): Promise<void> =>
    copyRows(
      programs.server,
      { connection: side.connection, table },
      { connection: live, relation },
      encoding,
      own,
    )
  await session.query(`CREATE SCHEMA ${quoteName(staging)}`)
  for (const [i, table] of side.leaves.entries()) {
    const relation = `${quoteName(staging)}.t${i + 1}`
    const own = new Set(storedColumns(table))
    const columns = table.columns
      .filter(({ name }) => own.has(name))
      .map(({ name, type }) => `${quoteName(name)} ${type}`)
    await session.query(`CREATE UNLOGGED TABLE ${relation} (${columns.join(', ')})`)
    task.staged.set(table, relation)
  }
  work.log.info('Copying the rows beside the live tables')
  await mapConcurrent([...task.staged], jobs, copyOne, work)
}

async function inOneTransaction(
  session: Session,
  staging: string,
  task: Task,
  options: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<void> {
  const { side, contents, lockPatience } = options
  const rows = contents !== 'schema'
  const replaced = rows ? task.there.map(({ oid }) => oid) : []
  const hashed = rows ? hashRoots(side, task.missing) : []
  await session.query('BEGIN')
  try {
    const roots = await oidsOf(session, hashed)
    const keys = await lockTables(
      session,
      { replaced, others: [...(await oidsOf(session, task.making.others)), ...roots] },
      lockPatience,
      work,
    )
    const lockedAt = Date.now()
    const [clock] = await session.query<{ at: number }>(
      'SELECT (pg_catalog.date_part($1, pg_catalog.clock_timestamp()) * 1000)::float8 AS at',
      ['epoch'],
    )
    result.lockedAt = Math.round(clock?.at ?? lockedAt)
    await unchanged(session, task, side, rows)
    work.log.info('Replacing, in one transaction: the live tables are locked')
    const on = await disableTriggersAndRules(session, [...replaced, ...roots])
    await session.query('SET CONSTRAINTS ALL IMMEDIATE') // rows that a deferred check still has to see stand in the way of every ALTER
    for (const { table, only, name } of keys)
      await session.query(`ALTER TABLE ${only}${table} DROP CONSTRAINT ${quoteName(name)}`)
    if (replaced.length)
      await session.query(
        `TRUNCATE ${task.there.map(({ table }) => `ONLY ${qualifiedName(table)}`).join(', ')}`,
      )
    await makeBefore(session, task.making, options, work)
    if (rows)
      for (const table of side.leaves)
        await insertRows(session, table, task.staged.get(table) as string)
    await makeAfter(session, task.making, options, work)
    for (const key of keys) {
      const { table, only, name, definition, comment } = key
      await addForeignKey(
        session,
        name,
        `ALTER TABLE ${only}${table} ADD CONSTRAINT ${quoteName(name)} ${definition}`,
      )
      if (comment !== null)
        await session.query(
          `COMMENT ON CONSTRAINT ${quoteName(name)} ON ${table} IS ${quoteText(comment)}`,
        )
      if (!(await restoreKeyTriggers(session, key)))
        result.warnings.push(
          `The foreign key "${name}" of ${table} was switched off (DISABLE TRIGGER), and acts again now: only a superuser may switch it as it was.`,
        )
      if (validatesRows(definition)) result.keys.push(name)
    }
    await makeTies(session, task.making, options, result, work)
    for (const statement of on) await session.query(statement)
    if (rows) await prove(session, options)
    if (rows) {
      const { moved, warnings } = await advanceSequences(
        session,
        await oidsOf(session, side.chosen),
        options.sequences,
      )
      for (const each of moved) work.log.info(`Moved the sequence ${each}`)
      result.warnings.push(...warnings)
    }
    await session.query(`DROP SCHEMA IF EXISTS ${quoteName(staging)} CASCADE`)
    work.signal.throwIfAborted()
    await session.query('COMMIT')
    result.locked = Date.now() - lockedAt
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {})
    throw error
  }
}

async function insertRows(session: Session, table: Table, relation: string): Promise<void> {
  const columns = storedColumns(table).map(quoteName).join(', ')
  const into =
    table.comparedAt === undefined
      ? qualifiedName(table)
      : qualifiedName(readTableName(table.comparedAt))
  if (columns)
    await session.query(
      `INSERT INTO ${into} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${relation}`,
    )
  else {
    const [row] = await session.query<{ count: string }>(
      `SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${relation}`,
    )
    for (let left = Number(row?.count ?? 0); left > 0; left--)
      await session.query(`INSERT INTO ${into} DEFAULT VALUES`)
  }
}

/**
 * Measures what the tables hold now, by the columns that the backup knows, in the transaction that
 * has not been committed yet.
 */
async function prove(session: Session, { side }: ReplaceOptions): Promise<void> {
  const own = side.leaves.map((table) => ({
    ...table,
    columns: table.columns.filter(({ generated }) => generated === 'no'),
  }))
  const found = await measureParts(
    session,
    own.map((table) => ({ table, bytes: table.bytes })),
    { inTransaction: true, depth: side.depth },
  )
  const expected = side.expected.map((print) => {
    const plain = { ...print }
    delete plain.generated // computed anew, perhaps otherwise in the live table
    return plain
  })
  const [first] = compareRows(expected, found)
  if (first)
    throw new UserError(
      'restored-differs',
      `The live tables would not hold what the backup's fingerprint says (${first.object}: expected ${first.expected}, found ${first.found}). Nothing was replaced.`,
      'Columns may have other types in the live table, which write values otherwise. Restore the part into a schema of its own (without replace), and look there.',
    )
}

async function afterwards(session: Session, { there }: Task, result: Replaced): Promise<void> {
  const oids = [...there.map(({ oid }) => oid)]
  for (const name of [...result.created, ...result.replaced])
    await session.query(`ANALYZE ${qualifiedName(readTableName(name))}`)
  if (result.replaced.length === 0) return
  const { views, publications } = await readDependents(session, oids)
  if (views.length)
    result.warnings.push(
      `Materialized views still show what was there before: ${views.map((view) => `REFRESH MATERIALIZED VIEW ${view};`).join(' ')}`,
    )
  if (publications.length)
    result.warnings.push(
      `The tables are published (${publications.join(', ')}): subscribers got the change as a TRUNCATE and new rows. Look at them, too.`,
    )
}

async function dropStaging(
  live: Connection,
  held: Extract<Held, { kind: 'schema' }>,
  work: Work,
): Promise<void> {
  try {
    await dropSchema(live, held.name, {
      ...work,
      signal: AbortSignal.timeout(work.signal.aborted ? 6000 : 600_000),
    })
    work.release(held)
  } catch (error) {
    work.log.warning(
      `The schema "${held.name}" in "${live.database}", which this run made, could not be dropped: ${messageOf(error)}`,
    )
  }
}

/** What the server said, as somebody can mend it: by then, everything was rolled back. */
function explained(error: unknown, live: Connection): unknown {
  const { code, message } = error as { code?: string; message: string }
  if (error instanceof UserError || code === undefined || !/^[0-9A-Z]{5}$/.test(code)) return error
  if (code === '42501')
    return new UserError(
      'no-permission',
      `"${live.user}" may not do this in "${live.database}": ${message}. Nothing was replaced.`,
      'Restore as the owner of the tables and of those that their foreign keys join, or as a superuser.',
      { cause: error },
    )
  const needs = whyNotThere(error, live.database)
  if (needs !== error) return needs
  return new UserError(
    'replace-refused',
    `The live database refused: ${message}. Nothing was replaced.`,
    'Mend what the server names (a constraint, a NOT NULL column that is new, an event trigger), or restore the part into a schema of its own (without replace).',
    { cause: error },
  )
}
