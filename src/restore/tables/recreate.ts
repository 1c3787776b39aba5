import { UserError } from '../../errors.ts'
import { lockWait } from '../../postgres/connection/locks.ts'
import { isServerError } from '../../postgres/connection/server-error.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { type ArchiveEntry, entriesSql } from '../../postgres/pg-restore/toc.ts'
import { addForeignKey, validatesRows } from '../../postgres/tables/foreign-keys.ts'
import type { Work } from '../../work.ts'
import type { Replaced, ReplaceOptions } from './replacement.ts'
import type { RecreatePlan } from './recreate-plan.ts'

/** Kinds of dependents that can be re-created without rows. All others are only listed. */
const recreatable = /^(VIEW|FUNCTION|PROCEDURE|POLICY|RULE|TRIGGER|PUBLICATION TABLE|COMMENT|ACL)$/
/** Kinds that are not listed: they belong to another object. */
const unlisted = /^(COMMENT|ACL|SECURITY LABEL|INDEX|STATISTICS)$/

/** Creates missing tables without rows, and their schemas if those are missing too. */
export async function createTables(
  session: Session,
  plan: RecreatePlan,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  for (const { id, name } of plan.schemas) {
    const existing = await session.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [
      name,
    ])
    if (existing.length === 0) await runEntries(session, [id], options, work)
  }
  await runEntries(session, plan.beforeRows, options, work)
}

/** After the rows: creates indexes, keys, triggers, policies, comments and grants. */
export async function completeTables(
  session: Session,
  plan: RecreatePlan,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  await runEntries(session, plan.afterRows, options, work)
}

/**
 * Re-creates the foreign keys from and to missing tables, and the objects that CASCADE dropped with
 * them. Throws `foreign-key-violated` if rows break a key. Adds a warning that lists what could not
 * be re-created.
 */
export async function recreateKeysAndDependents(
  session: Session,
  { keys, dependents }: RecreatePlan,
  options: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<void> {
  const lost: string[] = []
  for (const entry of keys) {
    const why = await recreateKey(session, entry, options, result, work)
    if (why !== undefined) lost.push(`the foreign key ${displayName(entry)} (${why})`)
  }
  for (const entry of dependents) {
    const why = recreatable.test(entry.kind)
      ? await recreateDependent(session, entry, options, work)
      : ''
    if (why !== undefined && !unlisted.test(entry.kind))
      lost.push(`${entry.kind} ${displayName(entry)}${why && ` (${why})`}`)
  }
  if (lost.length) result.warnings.push(`In the backup, but not re-created: ${lost.join('; ')}.`)
}

/** Returns why a foreign key could not be re-created; undefined if it was. */
async function recreateKey(
  session: Session,
  entry: ArchiveEntry,
  options: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<string | undefined> {
  try {
    const sql = statementOf(await sqlOf([entry.id], options, work))
    await withSavepoint(session, () => addForeignKey(session, keyName(sql), sql))
    if (validatesRows(sql)) result.keys.push(displayName(entry))
    return undefined
  } catch (error) {
    const violated = error instanceof UserError && error.code === 'foreign-key-violated'
    if (violated ? options.contents !== 'schema' : !isRefusal(error)) throw error
    return (error as Error).message
  }
}

/** Returns why a dependent could not be re-created; undefined if it was. */
async function recreateDependent(
  session: Session,
  entry: ArchiveEntry,
  options: ReplaceOptions,
  work: Work,
): Promise<string | undefined> {
  try {
    await withSavepoint(session, () => runEntries(session, [entry.id], options, work))
    return undefined
  } catch (error) {
    if (!isRefusal(error)) throw error
    return (error as Error).message
  }
}

async function runEntries(
  session: Session,
  ids: readonly number[],
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  const sql = await sqlOf(ids, options, work)
  if (sql === '') return
  await session.query(sql)
  // pg_restore's SQL sets lock_timeout to 0.
  await session.query(`SET LOCAL lock_timeout = ${lockWait}`)
}

function sqlOf(
  ids: readonly number[],
  { side, programs, withOwners }: ReplaceOptions,
  work: Work,
): Promise<string> {
  return entriesSql(programs.archive, side.base, ids, { folder: side.folder, withOwners }, work)
}

async function withSavepoint(session: Session, body: () => Promise<void>): Promise<void> {
  await session.query('SAVEPOINT attempt')
  try {
    await body()
    await session.query('RELEASE SAVEPOINT attempt')
  } catch (error) {
    await session.query('ROLLBACK TO SAVEPOINT attempt').catch(() => {})
    throw error
  }
}

/**
 * Whether the server refused the statement, because something is missing or exists already. A lock
 * timeout is not a refusal.
 */
function isRefusal(error: unknown): boolean {
  return isServerError(error) && /^(42|3F|0A|2BP|55000)/.test(error.code)
}

/** `schema.name`, without the owner at the end. */
function displayName({ named }: ArchiveEntry): string {
  return named.replace(/ \S+$/, '').replace(/^- /, '').replace(' ', '.')
}

/** The one statement in pg_restore's SQL, without settings and comments. */
function statementOf(sql: string): string {
  return sql.slice(sql.indexOf('\nALTER TABLE ') + 1, sql.lastIndexOf(';'))
}

/** The name of the constraint that an ALTER TABLE adds. */
function keyName(sql: string): string {
  const [, quoted, bare] = /ADD CONSTRAINT (?:"((?:[^"]|"")+)"|(\S+)) FOREIGN KEY/.exec(sql) ?? []
  return quoted === undefined ? (bare ?? '') : quoted.replaceAll('""', '"')
}
