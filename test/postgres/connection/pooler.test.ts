import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as open } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UserError } from '../../../src/errors.ts'
import type { Connection } from '../../../src/postgres/connection/connection.ts'
import { checkPooler } from '../../../src/postgres/connection/pooler.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { newStore } from '../../support/copies.ts'
import { startOwnServer } from '../../support/own-server.ts'
import { freePort } from '../../support/s3.ts'
import { quietWork } from '../../support/start-servers.ts'

const program = [
  '/usr/sbin/pgbouncer',
  '/usr/bin/pgbouncer',
  '/usr/local/bin/pgbouncer',
  ...(process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'pgbouncer')),
].find((path) => existsSync(path))
const skip =
  program === undefined
    ? 'NOT SHOWN: PgBouncer is not on this machine (apt-get install pgbouncer)'
    : false
if (skip) console.warn(skip)
const stops: (() => Promise<void>)[] = []
after(() => Promise.all(stops.map((stop) => stop())))

const server = await startOwnServer()
await server.create('app', 'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g')

/** Starts a real PgBouncer in front of the server, with the same password. */
async function startPooler(mode: 'transaction' | 'session' | 'statement'): Promise<Connection> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-pooler-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const to = server.to('app')
  writeFileSync(join(folder, 'users'), `"${to.user}" "${to.password}"\n`)
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `* = host=127.0.0.1 port=${to.port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${folder}/users`,
      `pool_mode = ${mode}`,
      'max_client_conn = 50',
      'default_pool_size = 10',
      'logfile =',
      'ignore_startup_parameters = extra_float_digits,options',
      '',
    ].join('\n'),
  )
  // as root it refuses to run
  const user =
    process.getuid?.() === 0
      ? Number(spawnSync('id', ['-u', 'nobody']).stdout.toString())
      : undefined
  const child = spawn(program as string, ['-q', join(folder, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...(user === undefined ? {} : { uid: user }),
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  stops.push(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  for (let i = 0; ; i++) {
    const there = await new Promise<boolean>((resolve) => {
      const socket = open(port, '127.0.0.1', () => resolve(true)).once('error', () =>
        resolve(false),
      )
      socket.once('connect', () => socket.destroy())
    })
    if (there) return { ...to, port, settings: { PGSSLMODE: 'disable' }, input: 'database-url' }
    if (i > 100 || child.exitCode !== null) throw new Error('PgBouncer does not listen')
    await sleep(50)
  }
}

async function check(connection: Connection): Promise<boolean> {
  const session = await connect(connection, quietWork())
  try {
    await checkPooler(session, quietWork())
    return session.pooled
  } finally {
    await session.end()
  }
}

describe('a pooler', { skip }, () => {
  for (const mode of ['transaction', 'statement'] as const)
    test(`in ${mode} mode is refused, before anything is stored`, async () => {
      const connection = await startPooler(mode)
      const store = await newStore()
      await assert.rejects(store.backup(connection), (error: UserError) => {
        assert.equal(error.code, 'transaction-pooler', error.message)
        assert.match(
          error.message,
          new RegExp(`^database-url: .*127\\.0\\.0\\.1:${connection.port}`),
        )
        assert.match(error.hint, /URL of the server itself/)
        return true
      })
      assert.deepEqual(
        await Array.fromAsync(store.storage.list('', { signal: quietWork().signal })),
        [],
      )
    })

  test('that is busy with other clients is detected every time', async () => {
    const connection = await startPooler('transaction')
    let running = true
    const others = Array.from({ length: 4 }, async () => {
      const session = await connect(connection, quietWork())
      while (running) await session.query('SELECT pg_catalog.pg_sleep(0.003)')
      await session.end()
    })
    try {
      for (let i = 0; i < 40; i++)
        await assert.rejects(
          check(connection),
          (error: UserError) => error.code === 'transaction-pooler',
          `round ${i}`,
        )
    } finally {
      running = false
      await Promise.all(others)
    }
  })

  test('in session mode passes, and a backup through it is complete', async () => {
    const connection = await startPooler('session')
    assert.equal(await check(connection), true)
    const store = await newStore()
    assert.equal((await store.backup(connection)).rows, 100)
  })
})

test('a server is not taken for a pooler', async () => {
  assert.equal(await check(server.to('app')), false)
})
