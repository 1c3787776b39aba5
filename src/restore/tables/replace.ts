import { messageOf, UserError } from '../../errors.ts'
import { compareRows } from '../../load/compare-rows.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { isServerError } from '../../postgres/connection/server-error.ts'
import { connect, quoteName, quoteText, type Session } from '../../postgres/connection/session.ts'
import { measureParts } from '../../postgres/fingerprint/content.ts'
import { type Table, tableName } from '../../postgres/fingerprint/tables.ts'
import { workForCleanUp } from '../../postgres/server/maintenance-session.ts'
import { newOwnName } from '../../postgres/server/own-names.ts'
import { advanceSequences } from '../../postgres/tables/advance-sequences.ts'
import { copyRows, storedColumns } from '../../postgres/tables/copy-between-databases.ts'
import { dropSchema } from '../../postgres/tables/drop-schema.ts'
import {
  addForeignKey,
  type ForeignKey,
  qualifiedName,
  restoreKeyTriggers,
  validatesRows,
} from '../../postgres/tables/foreign-keys.ts'
import { disableTriggersAndRules, readDependents } from '../../postgres/tables/live-tables.ts'
import { lockTables } from '../../postgres/tables/lock-tables.ts'
import { mapConcurrent } from '../../stream/map-concurrent.ts'
import { input, join, text } from '../../text.ts'
import type { Held, Work } from '../../work.ts'
import { checkRestored } from '../errors.ts'
import { checkUnchanged, hashRoots, oidsOf } from './live-checks.ts'
import { readTableName } from './names.ts'
import type { Replaced, ReplaceOptions, ReplacePlan } from './replacement.ts'
import { planReplacement } from './choose-replacements.ts'
import { completeTables, createTables, recreateKeysAndDependents } from './recreate.ts'
import { toMissingDependencyError } from './side-database.ts'

/**
 * Replaces live tables by those of a side database: all of them, or none.
 *
 * First copies the rows into a staging schema of the live database. Then one transaction locks the
 * tables, replaces their rows, re-creates what is missing, checks every foreign key, compares the
 * tables with the backup's fingerprint, and commits only if they match.
 */
export async function replaceLive(options: ReplaceOptions, work: Work): Promise<Replaced> {
  const { live, contents } = options
  const session = await connect(live, work)
  const staging = newOwnName('staging')
  const held = {
    kind: 'schema',
    database: live.database,
    name: staging,
    input: 'target-url',
  } as const
  try {
    const plan = await planReplacement(session, options)
    const result = beginReplaced(plan, contents)
    // Before the staging schema exists: a safety backup would contain its rows.
    await options.beforeChanges()
    if (contents !== 'schema') {
      work.hold(held)
      await copyToStaging(session, staging, plan, options, work)
    }
    await replaceInTransaction(session, staging, plan, options, result, work)
    work.release(held)
    await analyzeAndWarn(session, plan, result)
    return result
  } catch (error) {
    await session.end()
    await dropStaging(live, held, work)
    throw toReplaceError(error, live)
  } finally {
    await session.end()
  }
}

function beginReplaced(
  { existing, missing }: ReplacePlan,
  contents: ReplaceOptions['contents'],
): Replaced {
  const names = existing.map(({ table }) => tableName(table))
  const rows = contents !== 'schema'
  return {
    created: [...missing].map(tableName),
    replaced: rows ? names : [],
    untouched: rows ? [] : names,
    keys: [],
    warnings: existing
      .filter(({ extra }) => extra.length && rows)
      .map(
        ({ table, extra }) =>
          `The live ${tableName(table)} has columns that the backup lacks; ` +
          `they now have their default in every row: ${extra.join(', ')}.`,
      ),
    locked: 0,
    lockedAt: 0,
  }
}

/**
 * Copies the rows into the staging schema. This takes long, but locks no table in use. The staging
 * tables are unlogged, because they are soon dropped.
 */
async function copyToStaging(
  session: Session,
  staging: string,
  plan: ReplacePlan,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  const { side, live, programs, encoding, jobs } = options
  const copyTable = ([table, relation]: [Table, string], own: Work): Promise<void> =>
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
    const stored = new Set(storedColumns(table))
    const columns = table.columns
      .filter(({ name }) => stored.has(name))
      .map(({ name, type }) => `${quoteName(name)} ${type}`)
    await session.query(`CREATE UNLOGGED TABLE ${relation} (${columns.join(', ')})`)
    plan.staged.set(table, relation)
  }
  work.log.info('Copying the rows next to the live tables')
  await mapConcurrent([...plan.staged], jobs, copyTable, work)
}

async function replaceInTransaction(
  session: Session,
  staging: string,
  plan: ReplacePlan,
  options: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<void> {
  const { side, contents } = options
  const rows = contents !== 'schema'
  await session.query('BEGIN')
  try {
    const { keys, targets } = await lockAll(session, plan, options, work)
    const lockedAt = Date.now()
    result.lockedAt = await serverTime(session)
    await checkUnchanged(session, plan, side, rows)
    work.log.info('Replacing, in one transaction: the live tables are locked')
    const switchOn = await disableTriggersAndRules(session, targets)
    await emptyTables(session, plan, keys, rows)
    await createTables(session, plan.recreate, options, work)
    if (rows)
      for (const table of side.leaves)
        await insertRows(session, table, plan.staged.get(table) as string)
    await completeTables(session, plan.recreate, options, work)
    for (const key of keys) await restoreKey(session, key, result)
    await recreateKeysAndDependents(session, plan.recreate, options, result, work)
    for (const statement of switchOn) await session.query(statement)
    if (rows) {
      await compareBeforeCommit(session, options)
      await moveSequences(session, options, result, work)
    }
    await session.query(`DROP SCHEMA IF EXISTS ${quoteName(staging)} CASCADE`)
    work.signal.throwIfAborted()
    options.known?.({ progress: 'changing' })
    await session.query('COMMIT')
    options.known?.({ progress: 'done' })
    result.locked = Date.now() - lockedAt
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/**
 * Locks the tables, and those that their foreign keys join. Returns these keys, and the oids of the
 * tables that rows are inserted into.
 */
async function lockAll(
  session: Session,
  plan: ReplacePlan,
  { side, contents, lockTimeout }: ReplaceOptions,
  work: Work,
): Promise<{ keys: ForeignKey[]; targets: number[] }> {
  const rows = contents !== 'schema'
  const replaced = rows ? plan.existing.map(({ oid }) => oid) : []
  const roots = await oidsOf(session, rows ? hashRoots(side, plan.missing) : [])
  const related = await oidsOf(session, plan.recreate.related)
  const keys = await lockTables(
    session,
    { replaced, others: [...related, ...roots] },
    lockTimeout,
    work,
  )
  return { keys, targets: [...replaced, ...roots] }
}

/** Returns the server's clock in milliseconds since 1970. */
async function serverTime(session: Session): Promise<number> {
  const [clock] = await session.query<{ at: number }>(
    'SELECT (pg_catalog.date_part($1, pg_catalog.clock_timestamp()) * 1000)::float8 AS at',
    ['epoch'],
  )
  return Math.round(clock?.at ?? Date.now())
}

/** Drops the foreign keys from and to the tables, and truncates the tables. */
async function emptyTables(
  session: Session,
  { existing }: ReplacePlan,
  keys: readonly ForeignKey[],
  rows: boolean,
): Promise<void> {
  // ALTER TABLE fails while rows wait for a deferred check.
  await session.query('SET CONSTRAINTS ALL IMMEDIATE')
  for (const { table, only, name } of keys)
    await session.query(`ALTER TABLE ${only}${table} DROP CONSTRAINT ${quoteName(name)}`)
  if (rows && existing.length)
    await session.query(
      `TRUNCATE ${existing.map(({ table }) => `ONLY ${qualifiedName(table)}`).join(', ')}`,
    )
}

/** Re-creates a dropped foreign key, which checks the rows, with its comment and trigger states. */
async function restoreKey(session: Session, key: ForeignKey, result: Replaced): Promise<void> {
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
      `The foreign key "${name}" of ${table} was switched off (DISABLE TRIGGER) and is now ` +
        'enforced: only a superuser can switch it off again.',
    )
  if (validatesRows(definition)) result.keys.push(name)
}

async function insertRows(session: Session, table: Table, relation: string): Promise<void> {
  const columns = storedColumns(table).map(quoteName).join(', ')
  const into =
    table.comparedAt === undefined
      ? qualifiedName(table)
      : qualifiedName(readTableName(table.comparedAt))
  if (columns) {
    await session.query(
      `INSERT INTO ${into} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${relation}`,
    )
    return
  }
  // A table without columns: one INSERT per row.
  const [row] = await session.query<{ count: string }>(
    `SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${relation}`,
  )
  for (let left = Number(row?.count ?? 0); left > 0; left--)
    await session.query(`INSERT INTO ${into} DEFAULT VALUES`)
}

/**
 * Inside the transaction: measures the tables by the backup's columns, and throws
 * `restored-differs` if they differ from the fingerprint. Skips generated columns, because the live
 * table can compute them differently.
 */
async function compareBeforeCommit(session: Session, { side }: ReplaceOptions): Promise<void> {
  const parts = side.leaves.map((table) => ({
    table: { ...table, columns: table.columns.filter(({ generated }) => generated === 'no') },
    bytes: table.bytes,
  }))
  const found = await measureParts(session, parts, { inTransaction: true, depth: side.depth })
  const expected = side.expected.map((print) => {
    const stored = { ...print }
    delete stored.generated
    return stored
  })
  checkRestored(
    'What the live tables would hold',
    compareRows(expected, found),
    'Nothing was replaced.',
    join(
      [
        'Columns of the live tables can have other types, which change values.',
        text`Leave out ${input('replace')} to copy the tables into a schema of their own,`,
        'and compare them there.',
      ],
      ' ',
    ),
  )
}

async function moveSequences(
  session: Session,
  { side, sequences }: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<void> {
  const oids = await oidsOf(session, side.chosen)
  const { moved, warnings } = await advanceSequences(session, oids, sequences)
  for (const sequence of moved) work.log.info(`Moved the sequence ${sequence}`)
  result.warnings.push(...warnings)
}

/** After the commit: runs ANALYZE, and warns about objects that show or publish the old rows. */
async function analyzeAndWarn(
  session: Session,
  { existing }: ReplacePlan,
  result: Replaced,
): Promise<void> {
  for (const name of [...result.created, ...result.replaced])
    await session.query(`ANALYZE ${qualifiedName(readTableName(name))}`)
  if (result.replaced.length === 0) return
  const { views, publications } = await readDependents(
    session,
    existing.map(({ oid }) => oid),
  )
  if (views.length)
    result.warnings.push(
      'Materialized views still show the old rows. Run: ' +
        views.map((view) => `REFRESH MATERIALIZED VIEW ${view};`).join(' '),
    )
  if (publications.length)
    result.warnings.push(
      `The tables are published (${publications.join(', ')}): subscribers received a TRUNCATE ` +
        'and new rows. Check them too.',
    )
}

async function dropStaging(
  live: Connection,
  held: Extract<Held, { kind: 'schema' }>,
  work: Work,
): Promise<void> {
  try {
    await dropSchema(live, held.name, workForCleanUp(work))
    work.release(held)
  } catch (error) {
    work.log.warning(
      `The staging schema "${held.name}" in "${live.database}" could not be dropped: ` +
        messageOf(error),
    )
  }
}

/** Turns an error of the server into a UserError. By then, everything is rolled back. */
function toReplaceError(error: unknown, live: Connection): unknown {
  if (!isServerError(error)) return error
  if (error.code === '42501')
    return new UserError(
      'no-permission',
      `"${live.user}" lacks a permission in "${live.database}": ${messageOf(error)}. ` +
        'Nothing was replaced.',
      'Connect as the owner of the tables and of those that their foreign keys join, ' +
        'or as a superuser.',
      { cause: error },
    )
  const missing = toMissingDependencyError(error, live.database)
  if (missing !== error) return missing
  return new UserError(
    'replace-refused',
    `The live database refused a change: ${messageOf(error)}. Nothing was replaced.`,
    undefined,
    { cause: error },
  )
}
