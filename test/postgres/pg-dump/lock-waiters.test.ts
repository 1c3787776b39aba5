import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { withUniqueApplicationName } from '../../../src/postgres/connection/client.ts'
import type { Connection } from '../../../src/postgres/connection/connection.ts'
import { connect, type Session } from '../../../src/postgres/connection/session.ts'
import { statementKind } from '../../../src/postgres/pg-dump/statement-kind.ts'
import { watchWaiters, type Waiter } from '../../../src/postgres/pg-dump/lock-waiters.ts'
import type { Work } from '../../../src/work.ts'
import { until } from '../../support/clock.ts'
import { newestAndOldestMajor, startOwnServer } from '../../support/own-server.ts'
import { quietWork } from '../../support/start-servers.ts'

/** Work that records its log as `level: text`. */
function recording(): { work: Work; said: string[] } {
  const said: string[] = []
  const say =
    (level: string) =>
    (text: string): void =>
      void said.push(`${level}: ${text}`)
  return {
    said,
    work: {
      ...quietWork(),
      log: {
        info: say('info'),
        debug: say('debug'),
        warning: say('warning'),
        group: (_title, body) => body(),
      },
    },
  }
}

/** The waiters without their times, which depend on the machine. */
const withoutTimes = (waiters: Waiter[]): unknown[] =>
  waiters
    .map(({ waited, ...rest }) => {
      assert.ok(waited >= 3000 && waited < 60_000 && Number.isInteger(waited), String(waited))
      return rest
    })
    .sort((one, other) => String(one.table).localeCompare(String(other.table)))

for (const major of newestAndOldestMajor())
  describe(`PostgreSQL ${major}: a session that waits for locks of this run`, async () => {
    const server = await startOwnServer(major)
    await server.create(
      'app',
      `CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Or""ders" (a int);
       CREATE TABLE plain (a int); CREATE TABLE busy (a int); CREATE TABLE theirs (a int);
       CREATE ROLE lesser LOGIN PASSWORD 'lesser-password';
       GRANT SELECT ON ALL TABLES IN SCHEMA public TO lesser`,
    )
    after(() => server.stop())
    const to = (database = 'app'): Connection => ({ ...server.to(database), input: 'database-url' })
    const open: Session[] = []
    const session = async (connection = to()): Promise<Session> => {
      const one = await connect(connection, quietWork())
      open.push(one)
      return one
    }
    const holding = async (connection: Connection, ...tables: string[]): Promise<Session> => {
      const one = await session(connection)
      await one.query('BEGIN')
      for (const table of tables) await one.query(`LOCK TABLE ${table} IN ACCESS SHARE MODE`)
      return one
    }
    const queued = async (): Promise<number> =>
      (await server.query('app', `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`))
        .length
    /** Statements that wait until the sessions they wait for are ended. */
    const waiting = async (...statements: string[]): Promise<Promise<unknown>[]> => {
      const all: Promise<unknown>[] = []
      for (const statement of statements) {
        const before = await queued()
        all.push((await session()).query(statement).catch(() => {}))
        await until(statement, async () => (await queued()) > before)
      }
      return all
    }
    /** Waits until a watch has looked so many times more. */
    const looks = async (watched: Connection, times: number): Promise<void> => {
      const last = async (): Promise<unknown> => {
        const [row] = await server.query(
          'app',
          `SELECT query_start::text FROM pg_stat_activity
           WHERE application_name = '${watched.settings['PGAPPNAME']}' AND state = 'idle'`,
        )
        return row?.['query_start']
      }
      const seen = new Set<unknown>()
      await until(`${times} looks`, async () => {
        const at = await last()
        if (at !== undefined) seen.add(at)
        return seen.size > times
      })
    }
    const endAll = async (): Promise<void> =>
      void (await Promise.all(open.splice(0).map((one) => one.end())))

    test('is logged with its statement’s kind, table and queue, also if the role may not see it', async () => {
      const ours = withUniqueApplicationName(to())
      const lesser = withUniqueApplicationName({
        ...to(),
        user: 'lesser',
        password: 'lesser-password',
      })
      assert.notEqual(ours.settings['PGAPPNAME'], lesser.settings['PGAPPNAME'])
      await holding(ours, '"My Shop"."Or""ders"', 'public.plain')
      await holding(lesser, 'public.busy')
      const others = await holding(to(), 'public.theirs')
      assert.equal(
        (
          await others.query<{ name: string }>(
            `SELECT pg_catalog.current_setting('application_name') AS name`,
          )
        )[0]?.name,
        'holdfast',
      )
      const statements = await waiting(
        `/* hunter2 */ ALTER TABLE "My Shop"."Or""ders" ADD COLUMN token text DEFAULT 'hunter2'`,
        'SELECT * FROM "My Shop"."Or""ders"',
        'SELECT * FROM "My Shop"."Or""ders"',
        `INSERT INTO "My Shop"."Or""ders" VALUES (1)`,
        'TRUNCATE public.busy',
        'SELECT * FROM public.busy',
        'DROP TABLE public.theirs',
        'SELECT * FROM public.theirs',
      )
      const [seeing, blind] = [recording(), recording()]
      const [watch, blindly] = [watchWaiters(ours, seeing.work), watchWaiters(lesser, blind.work)]
      try {
        await until('a warning of each', () => seeing.said.length > 0 && blind.said.length > 0)
        await looks(ours, 2) // which must not warn again
      } finally {
        const [seen, unseen] = await Promise.all([watch.stop(), blindly.stop()])
        await endAll()
        await Promise.all(statements)
        assert.deepEqual(withoutTimes(seen), [
          {
            kind: 'ALTER TABLE',
            table: '"My Shop"."Or""ders"',
            mode: 'ACCESS EXCLUSIVE',
            behind: 3,
          },
        ])
        assert.deepEqual(withoutTimes(unseen), [
          { table: 'public.busy', mode: 'ACCESS EXCLUSIVE', behind: 1 },
        ])
        assert.match(
          seeing.said[0] ?? '',
          new RegExp(
            '^warning: ALTER TABLE on "My Shop"\\."Or""ders" has waited \\d s ' +
              'for locks of this backup, and 3 more wait behind it$',
          ),
        )
        assert.match(
          blind.said[0] ?? '',
          new RegExp(
            '^warning: A statement that needs ACCESS EXCLUSIVE on public\\.busy has waited ' +
              '\\d s for locks of this backup, and 1 more waits behind it$',
          ),
        )
        for (const line of [...seeing.said, ...blind.said])
          assert.doesNotMatch(line, /hunter2|theirs|plain/)
        // one warning, and not one per look
        for (const { said } of [seeing, blind])
          assert.ok(
            said.length <= 2 && said.slice(1).every((line) => line.startsWith('info: ')),
            said.join('\n'),
          )
      }
    })

    test('and builds an index concurrently waits for the snapshot, not for a table', async () => {
      const ours = withUniqueApplicationName(to())
      const holder = await session(ours)
      await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      await holder.query('SELECT 1')
      const statements = await waiting('CREATE INDEX CONCURRENTLY ON public.plain (a)')
      const { work, said } = recording()
      const watch = watchWaiters(ours, work)
      await until('a warning', () => said.length > 0)
      const seen = await watch.stop()
      await endAll()
      await Promise.all(statements)
      assert.deepEqual(withoutTimes(seen), [
        { kind: 'CREATE INDEX CONCURRENTLY', table: 'public.plain', mode: 'SHARE', behind: 0 },
      ])
    })

    test('for a short time is not logged', async () => {
      const ours = withUniqueApplicationName(to())
      const holder = await holding(ours, 'public.plain')
      const { work, said } = recording()
      const watch = watchWaiters(ours, work)
      const statements = await waiting('ALTER TABLE public.plain ADD COLUMN b int')
      await looks(ours, 1) // it sees the wait, which is two seconds old at most
      await holder.end()
      await Promise.all(statements)
      await looks(ours, 2)
      assert.deepEqual(await watch.stop(), [])
      assert.deepEqual(said, [])
      await endAll()
    })

    test('is not seen if the watch has no session: that is logged once at debug level', async () => {
      const ours = withUniqueApplicationName(to())
      const { work, said } = recording()
      const watch = watchWaiters(ours, work)
      await until('the session of the watch', async () => {
        const [row] = await server.query(
          'app',
          `SELECT count(pg_terminate_backend(pid))::int AS ended FROM pg_stat_activity
           WHERE application_name = '${ours.settings['PGAPPNAME']}'
             AND state = 'idle' AND query LIKE '%pg_has_role%'`,
        )
        return row?.['ended'] === 1
      })
      await until('a line', () => said.length > 0)
      assert.deepEqual(await watch.stop(), [])
      assert.match(said.join('\n'), /^debug: Stopped watching.*administrator command[^\n]*$/)
      const none = recording()
      assert.deepEqual(
        await (async () => {
          const nowhere = watchWaiters({ ...ours, database: 'nothing' }, none.work)
          await until('a line', () => none.said.length > 0)
          return nowhere.stop()
        })(),
        [],
      )
      assert.match(none.said.join('\n'), /^debug: Cannot watch.*no database "nothing"[^\n]*$/)
    })
  })

describe('the kind of a statement is known, without any other word of it:', () => {
  for (const [text, kind] of [
    ['alter table only secret add x int', 'ALTER TABLE'],
    ['ALTER\n  TABLE t RENAME TO u', 'ALTER TABLE'],
    ['DROP MATERIALIZED VIEW x', 'DROP MATERIALIZED VIEW'],
    ['drop index concurrently x', 'DROP INDEX CONCURRENTLY'],
    ['CREATE UNIQUE INDEX x ON t (a)', 'CREATE INDEX'],
    ['create index concurrently x on t (a)', 'CREATE INDEX CONCURRENTLY'],
    ['CREATE OR REPLACE TRIGGER x', 'CREATE TRIGGER'],
    ['create constraint trigger x', 'CREATE TRIGGER'],
    ['VACUUM (VERBOSE, FULL) t', 'VACUUM FULL'],
    ['vacuum full t', 'VACUUM FULL'],
    ['VACUUM t', 'VACUUM'],
    ['REINDEX (VERBOSE) TABLE CONCURRENTLY t', 'REINDEX CONCURRENTLY'],
    ['REINDEX TABLE t', 'REINDEX'],
    ['CLUSTER t', 'CLUSTER'],
    ['LOCK t', 'LOCK TABLE'],
    ['TRUNCATE TABLE t', 'TRUNCATE'],
    ['REFRESH MATERIALIZED VIEW CONCURRENTLY x', 'REFRESH MATERIALIZED VIEW'],
    ['DO $$ begin alter table t drop x; end $$', 'DO'],
    ['with x as (select 1) select', 'WITH'],
    ['-- DROP TABLE a\nSELECT f()', 'SELECT'],
    ['/* DROP TABLE a; */ select 1', 'SELECT'],
    ['BEGIN; SET x = 1; ALTER TABLE t ADD y int', 'ALTER TABLE'],
    [`INSERT INTO t VALUES ('; DROP TABLE x`, 'INSERT'],
    [`SELECT E'\\'; DROP TABLE x'`, 'SELECT'],
    ['SELECT "; DROP TABLE x', 'SELECT'],
    ['hunter2', undefined],
    ['', undefined],
  ] as const)
    test(text.replace(/\s+/g, ' ') || '(nothing)', () => assert.equal(statementKind(text), kind))
})
