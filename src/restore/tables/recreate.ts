import { UserError } from '../../errors.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { type ArchiveEntry, entriesSql } from '../../postgres/pg-restore/toc.ts'
import { addForeignKey, validatesRows } from '../../postgres/tables/foreign-keys.ts'
import type { Work } from '../../work.ts'
import type { Replaced, ReplaceOptions } from './options.ts'
import type { RecreatePlan } from './recreate-plan.ts'

/**
 * What rested on a lost table and can be tried again without a row of its own; all else is only
 * named.
 */
const tried = /^(VIEW|FUNCTION|PROCEDURE|POLICY|RULE|TRIGGER|PUBLICATION TABLE|COMMENT|ACL)$/
/** Not named apart: they go with what they stand beside. */
const minor = /^(COMMENT|ACL|SECURITY LABEL|INDEX|STATISTICS)$/

/** Makes missing tables, empty: with their schema, where that is missing too. */
export async function makeBefore(
  session: Session,
  making: RecreatePlan,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  for (const { id, name } of making.schemas) {
    const there = await session.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [
      name,
    ])
    if (there.length === 0) await run(session, [id], options, work)
  }
  await run(session, making.before, options, work)
}

/** When the rows are in: indexes, keys, triggers, policies, comments, grants. */
export async function makeAfter(
  session: Session,
  making: RecreatePlan,
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  await run(session, making.after, options, work)
}

/**
 * Ties missing tables to what is there: foreign keys, which are checked (rows that break one are
 * the end of everything), and what was lost with them by a CASCADE. What cannot be made again is
 * named.
 */
export async function makeTies(
  session: Session,
  { keys, dependents }: RecreatePlan,
  options: ReplaceOptions,
  result: Replaced,
  work: Work,
): Promise<void> {
  const lost: string[] = []
  for (const entry of keys) {
    const name = shown(entry)
    try {
      const sql = statementOf(await sqlOf([entry.id], options, work))
      await attempt(session, () => addForeignKey(session, keyName(sql), sql))
      if (validatesRows(sql)) result.keys.push(name)
    } catch (error) {
      const violated = error instanceof UserError && error.code === 'foreign-key-violated'
      if ((violated && options.contents !== 'schema') || !(violated || isRefusal(error)))
        throw error
      lost.push(`the foreign key ${name} (${(error as Error).message})`)
    }
  }
  for (const entry of dependents) {
    const name = `${entry.kind} ${shown(entry)}`
    if (!tried.test(entry.kind)) {
      if (!minor.test(entry.kind)) lost.push(name)
      continue
    }
    try {
      await attempt(session, () => run(session, [entry.id], options, work))
    } catch (error) {
      if (!isRefusal(error)) throw error
      if (!minor.test(entry.kind)) lost.push(`${name} (${(error as Error).message})`)
    }
  }
  if (lost.length)
    result.warnings.push(`Not made again, though the backup has it: ${lost.join('; ')}.`)
}

async function run(
  session: Session,
  ids: readonly number[],
  options: ReplaceOptions,
  work: Work,
): Promise<void> {
  const sql = await sqlOf(ids, options, work)
  if (sql === '') return
  await session.query(sql)
  await session.query('SET LOCAL lock_timeout = 700') // pg_restore's text sets it to wait for ever
}

function sqlOf(
  ids: readonly number[],
  { side, programs, withOwners }: ReplaceOptions,
  work: Work,
): Promise<string> {
  return entriesSql(programs.archive, side.base, ids, { folder: side.folder, withOwners }, work)
}

async function attempt(session: Session, body: () => Promise<void>): Promise<void> {
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
 * The server understood, and refused: something is not there, or is there already. Not that a lock
 * was not to be had.
 */
function isRefusal(error: unknown): boolean {
  return /^(42|3F|0A|2BP|55000)/.test((error as { code?: string }).code ?? '')
}

/** `schema name`, without the owner at its end. */
function shown({ named }: ArchiveEntry): string {
  return named.replace(/ \S+$/, '').replace(/^- /, '').replace(' ', '.')
}

/** The one statement in pg_restore's text: without settings and comments. */
function statementOf(text: string): string {
  return text.slice(text.indexOf('\nALTER TABLE ') + 1, text.lastIndexOf(';'))
}

/** The name of the constraint that an ALTER TABLE adds. */
function keyName(sql: string): string {
  const [, quoted, bare] = /ADD CONSTRAINT (?:"((?:[^"]|"")+)"|(\S+)) FOREIGN KEY/.exec(sql) ?? []
  return quoted === undefined ? (bare ?? '') : quoted.replaceAll('""', '"')
}
