import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { UserError } from '../../../src/errors.ts'
import type { Connection } from '../../../src/postgres/connection/connection.ts'
import { connect, quoteName, quoteText } from '../../../src/postgres/connection/session.ts'
import { majors, startOwnServer } from '../../support/own-server.ts'
import { freePort } from '../../support/s3.ts'
import { until } from '../../support/clock.ts'
import { quietWork } from '../../support/start-servers.ts'

const server = await startOwnServer(undefined, {
  max_connections: '12',
  superuser_reserved_connections: '1',
})
await server.create('app', 'SELECT 1')
const good: Connection = { ...server.to('app'), input: 'database-url' }

async function refused(
  connection: Connection,
  code: string,
  says: RegExp,
  hint: RegExp,
): Promise<void> {
  await assert.rejects(connect(connection, quietWork()), (error: UserError) => {
    assert.equal(error.code, code, error.message)
    assert.match(error.message, /^database-url: /)
    assert.match(error.message, says)
    assert.match(error.hint, hint)
    assert.ok(!`${error.message}${error.hint}`.includes(connection.password ?? server.password))
    return true
  })
}

describe('a failed connection says why, and what to do:', () => {
  test('a wrong password', () =>
    refused(
      { ...good, password: 'not-the-password' },
      'wrong-password',
      /password of "holdfast"/,
      /percent-encode/,
    ))
  test('no password', () => {
    const without = { ...good }
    delete without.password
    return refused(
      without,
      'password-missing',
      /asks for the password of "holdfast", and none was given/,
      /^Write the URL with its password .*: database-url: \$\{\{ secrets\.DATABASE_URL \}\}$/,
    )
  })
  test('no password, and the password file has a wrong one', async () => {
    const without = { ...good }
    delete without.password
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
    process.env['PGPASSFILE'] = join(folder, 'passfile')
    try {
      writeFileSync(process.env['PGPASSFILE'], '*:*:*:*:of-the-file', { mode: 0o600 })
      await refused(without, 'wrong-password', /not accept the password/, /percent-encode/)
    } finally {
      delete process.env['PGPASSFILE']
      rmSync(folder, { recursive: true })
    }
  })
  test('a database that is missing', () =>
    refused(
      { ...good, database: 'nodb' },
      'database-missing',
      /no database "nodb" on 127\.0\.0\.1:\d+/,
      /psql -l/,
    ))
  test('nothing listens', async () =>
    refused(
      { ...good, port: await freePort() },
      'unreachable',
      /nothing listens at 127\.0\.0\.1:\d+/,
      /listen_addresses/,
    ))
  test('no socket there', () =>
    refused(
      { ...good, host: '/no/such/folder' },
      'unreachable',
      /\/no\/such\/folder/,
      /server runs/,
    ))
  test('an unknown host', () =>
    refused(
      { ...good, host: 'db.invalid' },
      'host-unknown',
      /no host named "db\.invalid"/,
      /Check the name/,
    ))
  test('no SSL, but sslmode requires it', () =>
    refused(
      { ...good, settings: { PGSSLMODE: 'require' } },
      'no-ssl',
      /does not speak SSL/,
      /sslmode=disable/,
    ))
  test('a server that accepts the connection and never answers', async () => {
    const silent = createServer(() => {})
    const sockets = new Set<{ destroy(): void }>()
    silent.on('connection', (socket) => sockets.add(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const from = Date.now()
    try {
      const { port } = silent.address() as { port: number }
      await refused(
        { ...good, port, settings: { PGSSLMODE: 'disable', PGCONNECT_TIMEOUT: '1' } },
        'unreachable',
        /cannot be reached/,
        /firewall/,
      )
      assert.ok(Date.now() - from < 5000)
    } finally {
      for (const socket of sockets) socket.destroy()
      silent.close()
    }
  })
  test('a server that is not PostgreSQL', async () => {
    const web = createServer((socket) =>
      socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    )
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
    try {
      await assert.rejects(
        connect(
          {
            ...good,
            port: (web.address() as { port: number }).port,
            settings: { PGSSLMODE: 'disable', PGCONNECT_TIMEOUT: '2' },
          },
          quietWork(),
        ),
        { name: 'UserError' },
      )
    } finally {
      web.close()
    }
  })
  test('a role without LOGIN, and one without CONNECT', async () => {
    await server.query(
      'postgres',
      `CREATE ROLE nologin PASSWORD 'nologin-password';
       CREATE ROLE outsider LOGIN PASSWORD 'outsider-password';
       REVOKE CONNECT ON DATABASE app FROM PUBLIC`,
    )
    await refused(
      { ...good, user: 'nologin', password: 'nologin-password' },
      'login-refused',
      /refuses "nologin".*not permitted to log in/,
      /LOGIN/,
    )
    await refused(
      { ...good, user: 'outsider', password: 'outsider-password' },
      'login-refused',
      /"outsider" may not connect to "app"/,
      /GRANT CONNECT ON DATABASE "app" TO "outsider"/,
    )
  })
  test('too many connections of a role, and of the server', async () => {
    await server.query(
      'postgres',
      `CREATE ROLE one LOGIN CONNECTION LIMIT 1 PASSWORD 'one-password';
       CREATE ROLE crowd LOGIN PASSWORD 'crowd-password'`,
    )
    const one = { ...good, user: 'one', password: 'one-password', database: 'postgres' }
    const first = await connect(one, quietWork())
    try {
      await refused(
        one,
        'too-many-connections',
        /too many connections for role "one"/,
        /max_connections/,
      )
    } finally {
      await first.end()
    }
    const crowd = { ...good, user: 'crowd', password: 'crowd-password', database: 'postgres' }
    const sessions: Awaited<ReturnType<typeof connect>>[] = []
    try {
      await assert.rejects(
        async () => {
          for (;;) sessions.push(await connect(crowd, quietWork()))
        },
        (error: UserError) => error.code === 'too-many-connections',
      )
      assert.ok(sessions.length >= 5)
    } finally {
      await Promise.all(sessions.map((session) => session.end()))
    }
  })
})

describe('SSL', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ssl-'))
  after(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)

  test('is used if the server has it; certificates are checked only if sslmode says so', async (t) => {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    try {
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'rsa:2048',
          '-nodes',
          '-days',
          '2',
          '-subj',
          '/CN=somewhere.example',
          '-keyout',
          key,
          '-out',
          certificate,
        ],
        { stdio: 'ignore' },
      )
    } catch {
      return t.skip('NOT SHOWN: there is no openssl on this machine')
    }
    // the key must belong to the server's user, and no one else may read it
    const data = String(
      (await server.query('postgres', 'SHOW data_directory'))[0]?.['data_directory'],
    )
    for (const [path, name] of [
      [key, 'server.key'],
      [certificate, 'server.crt'],
    ])
      execFileSync('sh', [
        '-c',
        `cp "$1" "$2" && chown --reference="$(dirname "$2")" "$2" && chmod 600 "$2"`,
        'sh',
        path as string,
        join(data, name as string),
      ])
    await server.query('postgres', 'ALTER SYSTEM SET ssl = on')
    await server.query('postgres', 'SELECT pg_reload_conf()')
    for (let ssl: unknown = ''; ssl !== 'on';)
      ssl = (await server.query('postgres', 'SHOW ssl'))[0]?.['ssl']
    const encrypted = async (settings: Record<string, string>): Promise<boolean> => {
      const session = await connect({ ...good, settings }, quietWork())
      try {
        return (
          (
            await session.query<{ ssl: boolean }>(
              'SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()',
            )
          )[0]?.ssl ?? false
        )
      } finally {
        await session.end()
      }
    }
    assert.equal(await encrypted({}), true, 'prefer, as libpq')
    assert.equal(await encrypted({ PGSSLMODE: 'require' }), true)
    assert.equal(await encrypted({ PGSSLMODE: 'disable' }), false)
    assert.equal(await encrypted({ PGSSLMODE: 'verify-ca', PGSSLROOTCERT: certificate }), true)
    await refused(
      { ...good, settings: { PGSSLMODE: 'verify-ca' } },
      'certificate',
      /certificate of 127/,
      /sslrootcert/,
    )
    await refused(
      { ...good, settings: { PGSSLMODE: 'verify-full', PGSSLROOTCERT: certificate } },
      'certificate',
      /certificate/,
      /host name/,
    )
    await assert.rejects(
      connect(
        { ...good, settings: { PGSSLMODE: 'verify-ca', PGSSLROOTCERT: '/no/such.pem' } },
        quietWork(),
      ),
      (error: UserError) => error.code === 'bad-url' && /\/no\/such\.pem/.test(error.message),
    )
  })
})

describe('a session', () => {
  for (const major of majors())
    test(`PostgreSQL ${major}: knows its server, and ignores the database’s own settings`, async () => {
      const each = await startOwnServer(major, { max_connections: '10' })
      await each.create(
        'odd',
        `ALTER DATABASE odd SET datestyle = 'German';
         ALTER DATABASE odd SET intervalstyle = 'iso_8601';
         ALTER DATABASE odd SET extra_float_digits = -3;
         ALTER DATABASE odd SET timezone = 'Asia/Tokyo';
         ALTER DATABASE odd SET bytea_output = 'escape';
         ALTER DATABASE odd SET statement_timeout = '300ms';
         ALTER DATABASE odd SET search_path = 'x'` +
          // PostgreSQL 19 has standard strings only
          (major < 19 ? '; ALTER DATABASE odd SET standard_conforming_strings = off' : ''),
      )
      const session = await connect(each.to('odd'), quietWork())
      try {
        assert.deepEqual(
          [session.major, session.version, session.pooled],
          [major, each.version, false],
        )
        const [row] = await session.query(
          `SELECT pg_catalog.concat(timestamptz '2026-01-02 03:04+00') AS t,
             pg_catalog.concat(interval '1 day') AS i, pg_catalog.concat(0.1::float8 + 0.2) AS f,
             pg_catalog.concat('\\x00ff'::bytea) AS b,
             pg_catalog.current_setting('search_path') AS s, pg_catalog.pg_sleep(0.5)`,
        )
        assert.deepEqual(
          [row?.['t'], row?.['i'], row?.['f'], row?.['b'], row?.['s']],
          ['2026-01-02 03:04:00+00', '1 day', '0.30000000000000004', '\\x00ff', ''],
        )
      } finally {
        await session.end()
        await each.stop()
      }
    })

  test('reports that the server ended it', async () => {
    const session = await connect(good, quietWork())
    const [row] = await session.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
    await server.query('postgres', `SELECT pg_terminate_backend(${row?.pid})`)
    assert.match((await session.lost).message, /terminat/)
    await session.end()
  })

  test('is cut off when the work is cancelled, also in the middle of a query', async () => {
    const stop = new AbortController()
    const session = await connect(good, quietWork(stop.signal))
    const running = session.query('SELECT pg_catalog.pg_sleep(60)')
    void server.untilAsleep().then(() => stop.abort(new Error('stopped by the test')))
    await assert.rejects(running, /stopped by the test/)
    await session.end()
    await assert.rejects(connect(good, quietWork(stop.signal)), /stopped by the test/)
    await until('the server notices', async () => (await left()) === 0)
  })

  const left = async (): Promise<number> =>
    Number(
      (
        await server.query(
          'postgres',
          `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = 'app'`,
        )
      )[0]?.['n'],
    )
})

test('quoted names and texts reach the server unchanged', async () => {
  const session = await connect(good, quietWork())
  try {
    for (const odd of ['plain', 'a"b', "it's", 'back\\slash', "\\'", 'ü 数据', '$1', 'a\nb', '']) {
      const [row] = await session.query<{ text: string }>(`SELECT ${quoteText(odd)} AS text`)
      assert.equal(row?.text, odd)
      if (odd)
        assert.deepEqual(
          Object.keys((await session.query(`SELECT 1 AS ${quoteName(odd)}`))[0] ?? {}),
          [odd],
        )
    }
  } finally {
    await session.end()
  }
})

test('a server older than PostgreSQL 15 is refused by its version', async () => {
  // a real server that reports another version: no older one can be installed everywhere
  const proxy = createServer((client) => {
    const upstream = createConnection(good.port, good.host)
    client.on('error', () => upstream.destroy()).pipe(upstream)
    upstream.on('error', () => client.destroy())
    upstream.on('data', (data) => {
      const numbers = data.toString('latin1').replace(/\b\d{6}(?=\0)/g, '140019')
      client.write(Buffer.from(numbers.replace(`${server.major}0`, '140'), 'latin1'))
    })
  })
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening))
  try {
    const { port } = proxy.address() as AddressInfo
    await assert.rejects(
      connect({ ...good, host: '127.0.0.1', port }, quietWork()),
      (error: UserError) => error.code === 'server-too-old' && /15 and newer/.test(error.message),
    )
  } finally {
    proxy.close()
  }
})
