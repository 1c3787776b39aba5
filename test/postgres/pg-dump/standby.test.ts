import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UserError } from '../../../src/errors.ts'
import { withUniqueApplicationName } from '../../../src/postgres/connection/client.ts'
import { dumpEnvironment } from '../../../src/postgres/connection/connection.ts'
import { connect, type Session } from '../../../src/postgres/connection/session.ts'
import { StandbyConflict, clientError } from '../../../src/postgres/connection/session-errors.ts'
import { watchWaiters } from '../../../src/postgres/pg-dump/lock-waiters.ts'
import { until } from '../../support/clock.ts'
import { newestAndOldestMajor, startOwnServer } from '../../support/own-server.ts'
import { primarySettings, startStandby } from '../../support/standby.ts'
import { quietWork } from '../../support/start-servers.ts'

for (const major of newestAndOldestMajor())
  describe(`PostgreSQL ${major}: on a hot standby`, async () => {
    const primary = await startOwnServer(major, { ...primarySettings, autovacuum: 'off' })
    // small on disk, but more than all buffers between a server and a pg_dump hold
    await primary.create(
      'app',
      `CREATE TABLE a_big AS
         SELECT g AS a, repeat('x', 1000000) AS b FROM generate_series(1, 200) g;
       CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 1000) g;
       CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS a;
       CREATE SEQUENCE counter;
       SELECT nextval('counter') FROM generate_series(1, 7)`,
    )
    await primary.create('goes', 'SELECT 1')
    const standby = await startStandby(primary, {
      max_standby_streaming_delay: '100ms',
      max_standby_archive_delay: '100ms',
    })
    await standby.caughtUp()
    after(async () => {
      await standby.stop()
      await primary.stop()
    })
    const onPrimary = (sql: string): Promise<unknown> => primary.query('app', sql)
    /** Removes row versions that the standby's snapshot may still need. */
    const vacuum = async (table: string): Promise<void> => {
      await onPrimary(`DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} LIMIT 300)`)
      await onPrimary(`VACUUM ${table}`)
    }
    const truncate = (): Promise<unknown> =>
      onPrimary('TRUNCATE t; INSERT INTO t SELECT generate_series(1, 1000)')
    const holding = async (
      body: (session: Session, snapshot: string) => Promise<void>,
    ): Promise<void> => {
      const session = await connect(standby.to('app'), quietWork())
      try {
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
        const [row] = await session.query<{ id: string }>(
          'SELECT pg_catalog.pg_export_snapshot() AS id',
        )
        await body(session, row?.id ?? '')
      } finally {
        await session.end()
      }
    }
    const dump = (
      snapshot: string,
    ): { child: ChildProcess; exit: Promise<{ code: number; stderr: string }> } => {
      const args = ['-Fc', '-Z0', '--no-unlogged-table-data', `--snapshot=${snapshot}`]
      const child = spawn(join(primary.bindir, 'pg_dump'), args, {
        env: { ...process.env, ...dumpEnvironment(standby.to('app'), major) },
      })
      let stderr = ''
      child.stderr.on('data', (text) => (stderr += String(text)))
      return {
        child,
        exit: once(child, 'close').then(([code]) => ({ code: Number(code), stderr })),
      }
    }
    /** Waits until a query on the standby is in pg_sleep. */
    const asleep = async (): Promise<void> => {
      const watcher = await connect(standby.to('postgres'), quietWork())
      const sql = `SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event = 'PgSleep'`
      await until('a query in pg_sleep', async () => (await watcher.query(sql)).length > 0)
      await watcher.end()
    }
    const conflict =
      (says: RegExp) =>
      (error: unknown): boolean => {
        assert.ok(error instanceof StandbyConflict, String((error as Error).stack))
        assert.match(error.message, says)
        assert.equal((error.cause as { code: string }).code, '40001')
        return true
      }

    test('a snapshot can be exported; sequences can be read, unlogged tables cannot', () =>
      holding(async (session, snapshot) => {
        assert.match(snapshot, /^[0-9A-F]+-[0-9A-F]+-1$/)
        assert.deepEqual(await session.query('SELECT last_value, is_called FROM public.counter'), [
          { last_value: '7', is_called: true },
        ])
        await session.query('SAVEPOINT before')
        await assert.rejects(session.query('SELECT * FROM public.unlogged'), { code: '0A000' })
        await session.query('ROLLBACK TO SAVEPOINT before')
        const { child, exit } = dump(snapshot)
        child.stdout?.resume()
        assert.deepEqual(await exit, { code: 0, stderr: '' })
      }))

    test('a VACUUM on the primary ends a session with a snapshot, and all its queries say so', () =>
      holding(async (session, snapshot) => {
        await vacuum('t')
        conflict(/row versions that must be removed/)(await session.lost)
        await assert.rejects(session.query('SELECT 1'), conflict(/conflict with recovery/))
        // a later importer of the snapshot learns only that there is none
        const { child, exit } = dump(snapshot)
        child.stdout?.resume()
        assert.match(
          (await exit).stderr,
          major >= 16 ? /snapshot "[^"]+" does not exist/ : /invalid snapshot identifier/,
        )
      }))

    test('a conflict cancels a query; in a savepoint, it ends the session', () =>
      holding(async (session) => {
        const running = assert.rejects(
          session.query('SELECT count(*), pg_catalog.pg_sleep(20) FROM public.t'),
          conflict(/canceling statement.*row versions/),
        )
        await asleep()
        await vacuum('t')
        await running
        await assert.rejects(session.query('SELECT 1'), { code: '25P02' }, 'the session survives')
        await session.query('ROLLBACK')
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
        await session.query('SAVEPOINT measure')
        const again = assert.rejects(
          session.query('SELECT count(*), pg_catalog.pg_sleep(20) FROM public.t'),
          conflict(/terminating connection.*relation lock/),
        )
        await asleep()
        await truncate()
        await again
        conflict(/relation lock/)(await session.lost)
      }))

    test('a TRUNCATE on the primary ends a session that only holds a lock', () =>
      holding(async (session) => {
        await session.query('LOCK TABLE ONLY public.t IN ACCESS SHARE MODE')
        await truncate()
        conflict(/relation lock for too long/)(await session.lost)
      }))

    test('DROP DATABASE on the primary ends its sessions', async () => {
      const session = await connect(standby.to('goes'), quietWork())
      await session.query('BEGIN')
      await primary.query('postgres', 'DROP DATABASE goes')
      const lost = await session.lost
      assert.ok(lost instanceof StandbyConflict)
      assert.equal((lost.cause as { code: string }).code, '57P04')
      await session.end()
    })

    for (const [what, happens] of [
      ['VACUUM', () => vacuum('t')],
      ['TRUNCATE', truncate],
    ] as const)
      test(`a ${what} on the primary cancels pg_dump, whose message is a conflict`, () =>
        holding(async (_session, snapshot) => {
          const { child, exit } = dump(snapshot)
          await once(child.stdout as NodeJS.ReadableStream, 'readable')
          await happens()
          await sleep(500)
          child.stdout?.resume()
          const { code, stderr } = await exit
          assert.equal(code, 1)
          const why = clientError(standby.to('app'), stderr)
          assert.ok(why instanceof StandbyConflict, stderr)
          assert.match(why.message, what === 'VACUUM' ? /row versions/ : /relation lock/)
        }))

    test('the watch reports a pg_dump at a full pipe that delays the replay for too long', async () => {
      const connection = withUniqueApplicationName(standby.to('app'))
      const holder = await connect(connection, quietWork())
      await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      const [row] = await holder.query<{ id: string }>(
        'SELECT pg_catalog.pg_export_snapshot() AS id',
      )
      const env = { ...process.env, ...dumpEnvironment(connection, major) }
      const child = spawn(
        join(primary.bindir, 'pg_dump'),
        ['-Fc', '-Z0', `--snapshot=${row?.id}`],
        { env, stdio: ['ignore', 'pipe', 'ignore'] },
      )
      const closed = once(child, 'close')
      await once(child.stdout, 'readable')
      const watcher = await connect(standby.to('app'), quietWork())
      const full = `SELECT FROM pg_catalog.pg_stat_activity
        WHERE application_name = $1 AND wait_event = 'ClientWrite' AND query LIKE 'COPY%'`
      for (let i = 0, times = 0; times < 15; i++) {
        times =
          (await watcher.query(full, [connection.settings['PGAPPNAME']])).length === 0
            ? 0
            : times + 1
        assert.ok(i < 400, 'the pipe fills up, and stays full')
        await sleep(50)
      }
      await watcher.end()
      const watch = watchWaiters(connection, quietWork())
      await truncate()
      let there = false
      const caughtUp = standby.caughtUp().then(
        () => (there = true),
        (error: Error) => error,
      )
      const why = await Promise.race([
        watch.conflict,
        caughtUp,
        sleep(15_000, undefined, { ref: false }),
      ])
      if (why === true) {
        // by chance the cancel arrived between two writes: then pg_dump itself fails
        child.stdout.resume()
        assert.notEqual((await closed)[0], 0)
      } else {
        const still = !there
        child.kill()
        assert.equal(await caughtUp, true)
        assert.match(
          why instanceof Error ? why.message : 'nothing was said',
          /replay has waited for this run's lock on public\.t longer/,
        )
        assert.ok(still, 'the replay was delayed until then')
        await closed
      }
      await holder.end()
      for (const waiter of await watch.stop())
        assert.deepEqual(
          [waiter.kind, waiter.mode, waiter.table],
          ['replay', 'ACCESS EXCLUSIVE', 'public.t'],
        )
    })

    test('a shutdown of the standby is a lost connection', () =>
      holding(async (session) => {
        void asleep().then(() => standby.stop())
        await assert.rejects(
          session.query('SELECT pg_catalog.pg_sleep(20)'),
          (error: UserError) =>
            error.code === 'connection-lost' &&
            /^database-url: .*immediate shutdown/.test(error.message),
        )
      }))
  })
