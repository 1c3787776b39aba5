import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { isServerError } from '../connection/server-error.ts'
import { findReplaced, replacedError } from '../fingerprint/replaced.ts'
import type { Session } from '../connection/session.ts'
import { lockWait } from '../connection/locks.ts'
import { type ForeignKey, foreignKeysOf, tablesOfKeys } from './foreign-keys.ts'

/** Oids of the tables that are replaced, and of others that the transaction will alter. */
interface TablesToLock {
  replaced: readonly number[]
  others: readonly number[]
}

/**
 * Takes ACCESS EXCLUSIVE locks on the tables and on those at the other end of their foreign keys:
 * all locks or none. Between attempts it holds none, so that the application goes on. `session` is
 * in a transaction; `timeout` is in milliseconds. Returns the foreign keys. Throws `target-busy`,
 * which names the processes that use the tables.
 */
export async function lockTables(
  session: Session,
  tables: TablesToLock,
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
      await lockExclusively(session, oids)
      const keys = await foreignKeysOf(session, tables.replaced)
      await lockExclusively(session, await tablesOfKeys(session, keys))
      return keys
    } catch (error) {
      if (!isServerError(error, '55P03', '40P01')) throw error
      await session.query('ROLLBACK TO SAVEPOINT locks')
      if (Date.now() > until) throw await busyError(session, oids, timeout, error)
      await sleep(100 + Math.random() * 400 * Math.min(attempt, 5), undefined, {
        signal: work.signal,
      })
    }
  }
}

/** Throws `relation-replaced` if a name stands for another object once it is locked. */
async function lockExclusively(session: Session, oids: readonly number[]): Promise<void> {
  const rows = await session.query<{ oid: number; relation: string; name: string }>(
    `SELECT c.oid::int8::float8 AS oid,
       pg_catalog.format('%I.%I', n.nspname, c.relname) AS relation,
       CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END
         || pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
     FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::oid[])
     ORDER BY c.oid`,
    [oids],
  )
  if (rows.length === 0) return
  const names = rows.map(({ name }) => name)
  await session.query(`LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE`)
  const [replaced] = await findReplaced(session, rows, ({ relation }) => relation)
  if (replaced) throw replacedError([replaced.relation])
}

async function busyError(
  session: Session,
  oids: readonly number[],
  timeout: number,
  cause: unknown,
): Promise<UserError> {
  const holders = await listLockHolders(session, oids)
  const used = holders.length ? `: they are in use by ${holders.join('; ')}` : ''
  return new UserError(
    'target-busy',
    `The tables could not be locked within ${Math.round(timeout / 1000)} s${used}. ` +
      'Nothing was replaced.',
    'End the long transactions that use them, or stop the application. Then run this again.',
    { cause },
  )
}

async function listLockHolders(session: Session, oids: readonly number[]): Promise<string[]> {
  const rows = await session.query<{
    pid: number
    user: string | null
    application: string | null
    state: string | null
  }>(
    `SELECT DISTINCT a.pid, a.usename AS user, a.application_name AS application, a.state
     FROM pg_catalog.pg_locks l
     JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.relation = ANY ($1::oid[]) AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
     ORDER BY a.pid LIMIT 5`,
    [oids],
  )
  return rows.map(
    ({ pid, user, application, state }) =>
      `process ${pid} (${[user, application, state].filter(Boolean).join(', ')})`,
  )
}
