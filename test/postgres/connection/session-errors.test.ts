import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import { createServer, connect as reach, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { UserError } from '../../../src/errors.ts'
import { type Connection, dumpEnvironment } from '../../../src/postgres/connection/connection.ts'
import { connect, type Session } from '../../../src/postgres/connection/session.ts'
import {
  StandbyConflict,
  sessionError,
  clientError,
} from '../../../src/postgres/connection/session-errors.ts'
import { majors, type OwnServer, startOwnServer } from '../../support/own-server.ts'
import { quietWork } from '../../support/start-servers.ts'

const own = (server: OwnServer, database = 'app'): Connection => ({
  ...server.to(database),
  input: 'database-url',
})

async function failsWith(
  promise: Promise<unknown>,
  code: string,
  sqlstate: string | undefined,
  says: RegExp,
  hint: RegExp,
): Promise<UserError> {
  let thrown: unknown
  await promise.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => (thrown = error),
  )
  const error = thrown as UserError
  assert.equal(error.name, 'UserError', String(error.stack))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, /^database-url: /)
  assert.match(error.message, says)
  assert.match(error.hint, hint)
  if (sqlstate) assert.equal((error.cause as { code?: string }).code, sqlstate)
  return error
}

async function inSession<T>(
  connection: Connection,
  body: (session: Session, pid: number) => Promise<T>,
): Promise<T> {
  const session = await connect(connection, quietWork())
  try {
    const [row] = await session.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
    return await body(session, row?.pid ?? 0)
  } finally {
    await session.end()
  }
}

/** Returns the error for a pg_dump that fails. */
function failedDump(server: OwnServer, ...args: string[]): StandbyConflict | UserError | undefined {
  const { status, stderr } = spawnSync(join(server.bindir, 'pg_dump'), ['-Fc', ...args], {
    env: { ...process.env, ...dumpEnvironment(server.to('app'), server.major) },
  })
  assert.notEqual(status, 0)
  return clientError(own(server), String(stderr))
}

for (const major of majors())
  describe(`PostgreSQL ${major}: a session in the middle of its work`, async () => {
    const server = await startOwnServer(major, {
      temp_file_limit: '1MB',
      max_locks_per_transaction: '10',
      max_connections: '10',
    })
    await server.create(
      'app',
      `CREATE TABLE plain AS SELECT g AS a FROM generate_series(1, 1000) g;
       CREATE SCHEMA "Odd";
       CREATE TABLE "Odd"."hurt table" (a int PRIMARY KEY, b text);
       ALTER TABLE "Odd"."hurt table" ALTER b SET STORAGE EXTERNAL;
       INSERT INTO "Odd"."hurt table" SELECT g, repeat('x', 5000) FROM generate_series(1, 50) g;
       CREATE ROLE one LOGIN CONNECTION LIMIT 1 PASSWORD 'one-password'`,
    )
    after(() => server.stop())
    const where = new RegExp(`127\\.0\\.0\\.1:${server.to('app').port}`)
    /** Acts in the middle of a query that sleeps. */
    const onceAsleep = (act: () => unknown): void => void server.untilAsleep().then(act)

    test('pg_terminate_backend ends it, in a query and between two', async () => {
      for (const idle of [false, true])
        await inSession(own(server), async (session, pid) => {
          const end = (): Promise<unknown> =>
            server.query('postgres', `SELECT pg_terminate_backend(${pid})`)
          if (idle) await end()
          else onceAsleep(end)
          if (!idle)
            await failsWith(
              session.query('SELECT pg_catalog.pg_sleep(30)'),
              'connection-lost',
              '57P01',
              where,
              /pg_terminate_backend/,
            )
          await failsWith(
            session.lost.then((error) => Promise.reject(error)),
            'connection-lost',
            '57P01',
            /administrator command/,
            /pg_terminate_backend/,
          )
          await failsWith(
            session.query('SELECT 1'),
            'connection-lost',
            '57P01',
            /administrator command/,
            /pg_terminate_backend/,
          )
        })
    })

    test('pg_cancel_backend cancels its query, and the session survives', () =>
      inSession(own(server), async (session, pid) => {
        onceAsleep(() => server.query('postgres', `SELECT pg_cancel_backend(${pid})`))
        await failsWith(
          session.query('SELECT pg_catalog.pg_sleep(30)'),
          'query-cancelled',
          '57014',
          /user request/,
          /pg_cancel_backend/,
        )
        assert.equal((await session.query('SELECT 1 AS a')).length, 1)
      }))

    test('temp_file_limit and a full lock table fail its query', () =>
      inSession(own(server), async (session) => {
        await session.query(`SET work_mem = '64kB'`)
        await failsWith(
          session.query(
            'SELECT count(*) FROM (SELECT g FROM generate_series(1, 1000000) g ORDER BY g DESC) AS s',
          ),
          'temp-file-limit',
          '53400',
          /temp_file_limit/,
          /temp_file_limit = -1/,
        )
        await session.query('BEGIN')
        const many = async (): Promise<void> => {
          for (let i = 0; i < 60; i++)
            await session.query(
              `SELECT pg_catalog.pg_advisory_xact_lock_shared(g)
               FROM generate_series(${i * 1000}, ${i * 1000 + 999}) AS g`,
            )
        }
        await failsWith(
          many(),
          'lock-table-full',
          '53200',
          /shared memory/,
          /max_locks_per_transaction/,
        )
      }))

    test('errors that the caller must judge are passed on unchanged', () =>
      inSession(own(server), async (session) => {
        for (const [sql, code] of [
          ['SELECT * FROM public.nothing', '42P01'],
          ['SELECT 1/0', '22012'],
          ['CREATE TABLE public.plain (a int)', '42P07'],
        ])
          await assert.rejects(
            session.query(sql as string),
            (error: { code?: string; name: string }) =>
              error.name !== 'UserError' && error.code === code,
          )
        await session.query(`SET lock_timeout = '50ms'`)
        await inSession(own(server), async (other) => {
          await other.query('BEGIN')
          await other.query('LOCK TABLE public.plain')
          await assert.rejects(session.query('SELECT * FROM public.plain'), { code: '55P03' })
        })
      }))

    test('damaged pages of a table, its TOAST and its index are reported with the relation', async () => {
      const file = async (what: string): Promise<string> => {
        const [row] = await server.query(
          'app',
          `SELECT current_setting('data_directory') || '/' || pg_relation_filepath(${what}) AS path`,
        )
        return String(row?.['path'])
      }
      const data = `'"Odd"."hurt table"'::regclass`
      const [table, toast, index] = [
        await file(data),
        await file(`(SELECT reltoastrelid::regclass FROM pg_class WHERE oid = ${data})`),
        await file(`(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = ${data})`),
      ]
      // an impossible page header, for a server that has the page not in memory
      const spoil = (path: string, at: number): void => {
        const handle = openSync(path, 'r+')
        writeSync(handle, Buffer.alloc(24, 0xff), 0, 24, at)
        closeSync(handle)
      }
      const read = (sql: string, name: RegExp): Promise<unknown> =>
        inSession(own(server), async (session) => {
          await session.query('BEGIN')
          const { cause } = await failsWith(
            session.query(sql),
            'data-damaged',
            undefined,
            name,
            /switch to a replica/,
          )
          assert.match((cause as { code: string }).code, /^XX00[12]$/)
        })
      // flush the buffers, or they could overwrite the damage later
      await server.query('app', 'CHECKPOINT')
      spoil(toast, 8192)
      await restart(server)
      await read(
        'SELECT sum(length(b)) FROM "Odd"."hurt table" WHERE b || \'\' <> \'\'',
        /invalid page.*The damage is in "Odd"\."hurt table"\.$/,
      )
      assert.equal((failedDump(server) as UserError).code, 'data-damaged')
      await server.query('app', 'CHECKPOINT')
      spoil(index, 8192)
      spoil(table, 0)
      await restart(server)
      await read(
        `SET LOCAL enable_seqscan = off;
         SET LOCAL enable_bitmapscan = off;
         SELECT b FROM "Odd"."hurt table" WHERE a = 7`,
        /The damage is in "Odd"\."hurt table_pkey"\.$/,
      )
      await read(
        'SELECT count(*) FROM "Odd"."hurt table"',
        /The damage is in "Odd"\."hurt table"\.$/,
      )
      assert.match((failedDump(server) as UserError).message, /^database-url: .*invalid page/)
      await server.query('app', 'DROP TABLE "Odd"."hurt table"')
    })

    test('a broken network is a lost connection', async () => {
      const sockets = new Set<Socket>()
      const relay = createServer((socket) => {
        const onward = reach(own(server).port, '127.0.0.1')
        for (const one of [socket, onward]) sockets.add(one.on('error', () => {}))
        socket.pipe(onward).pipe(socket)
      })
      await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
      try {
        for (const cut of ['resetAndDestroy', 'end'] as const)
          await inSession(
            { ...own(server), port: (relay.address() as { port: number }).port },
            async (session) => {
              onceAsleep(() => [...sockets].forEach((socket) => socket[cut]()))
              await failsWith(
                session.query('SELECT pg_catalog.pg_sleep(30)'),
                'connection-lost',
                undefined,
                /terminated unexpectedly|ECONNRESET/,
                /proxy or firewall/,
              )
            },
          )
      } finally {
        relay.close()
      }
    })

    test('a crash of the server is a lost connection, in a query and between two', () =>
      inSession(own(server), (idle) =>
        inSession(own(server), async (session, pid) => {
          onceAsleep(() => process.kill(pid, 'SIGKILL'))
          await failsWith(
            session.query('SELECT pg_catalog.pg_sleep(30)'),
            'connection-lost',
            undefined,
            /terminated unexpectedly/,
            /went down/,
          )
          await failsWith(
            idle.lost.then((error) => Promise.reject(error)),
            'connection-lost',
            '57P02',
            /crash of another server process/,
            /its log says why/,
          )
          await failsWith(idle.query('SELECT 1'), 'connection-lost', '57P02', where, /crashed/)
          await waitUntilUp(server)
        }),
      ))

    test('a session that was ended by end() is not a lost connection', async () => {
      const session = await connect(own(server), quietWork())
      await session.end()
      await assert.rejects(session.query('SELECT 1'), (error: Error) => error.name !== 'UserError')
    })

    test('an immediate shutdown of the server is a lost connection', () =>
      inSession(own(server), async (session) => {
        onceAsleep(() => server.stop())
        await failsWith(
          session.query('SELECT pg_catalog.pg_sleep(30)'),
          'connection-lost',
          '57P01',
          where,
          /shut down/,
        )
      }))
  })

/** Crashes the server, which then recovers by itself with empty buffers. */
async function restart(server: OwnServer): Promise<void> {
  // the server ends the other session when it has noticed the crash
  await inSession(server.to('postgres'), (other) =>
    inSession(server.to('postgres'), async (_session, pid) => {
      process.kill(pid, 'SIGKILL')
      await other.lost
    }),
  )
  await waitUntilUp(server)
}

async function waitUntilUp(server: OwnServer): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      return void (await server.query('postgres', 'SELECT 1'))
    } catch (error) {
      if (i > 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

describe('errors that a test cannot provoke are known by their code', () => {
  const connection: Connection = {
    host: 'db.example',
    port: 5432,
    user: 'me',
    database: 'app',
    settings: {},
    input: 'database-url',
  }
  const server = (code: string, message: string, routine = ''): Error =>
    Object.assign(new Error(message), { code, routine })
  for (const [code, name, text] of [
    ['53100', 'disk-full', 'could not extend file "base/5/1": No space left on device'],
    ['53200', 'server-out-of-memory', 'out of memory'],
    ['53300', 'too-many-connections', 'sorry, too many clients already'],
    ['58030', 'data-damaged', 'could not read block 1 in file "base/5/16390": Input/output error'],
    ['58P01', 'data-damaged', 'could not open file "base/5/16390": No such file or directory'],
    ['25P03', 'connection-lost', 'terminating connection due to idle-in-transaction timeout'],
    ['57P03', 'connection-lost', 'the database system is in recovery mode'],
    ['08006', 'connection-lost', 'connection failure'],
    ['57P05', 'connection-lost', 'terminating connection due to idle-session timeout'],
  ] as const)
    test(`${code}: ${name}`, () => {
      const error = sessionError(connection, server(code, text)) as UserError
      assert.deepEqual([error.code, error.message.includes('db.example:5432')], [name, true])
      assert.equal((error.cause as { code: string }).code, code)
      if (!['08006', '57P05'].includes(code))
        assert.equal(
          (
            clientError(connection, `pg_dump: error: query failed: ERROR:  ${text}\n`) as
              UserError | undefined
          )?.code,
          name,
        )
    })

  test('a standby conflict is known in any language; a serialization failure is not one', () => {
    assert.ok(
      sessionError(
        connection,
        server('40001', 'breche Anfrage ab', 'ProcessRecoveryConflictInterrupt'),
      ) instanceof StandbyConflict,
    )
    assert.ok(
      sessionError(connection, server('40P01', 'breche Anfrage ab', 'ProcessInterrupts')) instanceof
        StandbyConflict,
    )
    assert.equal(
      sessionError(
        connection,
        server('40001', 'could not serialize access due to concurrent update', 'ExecUpdate'),
      ),
      undefined,
    )
    assert.equal(
      sessionError(connection, server('40P01', 'deadlock detected', 'DeadLockReport')),
      undefined,
    )
    assert.equal(
      sessionError(
        connection,
        server('58P01', 'could not access file "$libdir/x": No such file or directory'),
      ),
      undefined,
    )
    assert.equal(
      clientError(
        connection,
        'pg_dump: error: query failed: ERROR:  permission denied for table t\n',
      ),
      undefined,
    )
  })
})
