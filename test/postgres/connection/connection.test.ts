import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Connection,
  connectionFromEnv,
  connectionUrl,
  describeConnection,
  dumpEnvironment,
  libpqEnvironment,
  parseConnection,
  withDatabase,
} from '../../../src/postgres/connection/connection.ts'
import type { UserError } from '../../../src/errors.ts'

const input = 'database-url'
const base: Connection = {
  host: 'db.example',
  port: 5432,
  user: 'me',
  database: 'app',
  settings: {},
  input,
}

/** Valid URLs, and how their connections differ from `base`. */
const good: [url: string, connection: Partial<Connection>][] = [
  ['postgres://me@db.example/app', {}],
  ['postgresql://me@db.example/app', {}],
  ['  POSTGRES://me@db.example/app\n', {}],
  ['postgres://me:secret@db.example:6543/app', { password: 'secret', port: 6543 }],
  ['postgres://me:p%40ss%2Fw%3Ard%20%25@db.example/app', { password: 'p@ss/w:rd %' }],
  ['postgres://me:a:b@db.example/app', { password: 'a:b' }],
  // libpq stops at the first @; only this reading is possible
  ['postgres://me:a@b@db.example/app', { password: 'a@b' }],
  ['postgres://me:plus+sign@db.example/app', { password: 'plus+sign' }],
  ['postgres://m%65%20you:x@db.example/app', { user: 'me you', password: 'x' }],
  ['postgres://me@db.example/my%20app%2F%C3%BC', { database: 'my app/ü' }],
  ['postgres://me@db.example', { database: 'me' }],
  ['postgres://me@db.example/', { database: 'me' }],
  ['postgres://me@db.example/?dbname=app', {}],
  ['postgres://db.example/app?user=me&password=x%26y', { password: 'x&y' }],
  ['postgres://me@[::1]:5433/app', { host: '::1', port: 5433 }],
  ['postgres://me@[2001:db8::7]/app', { host: '2001:db8::7' }],
  ['postgres:///app?host=/var/run/postgresql&user=me', { host: '/var/run/postgresql' }],
  ['postgres://me@/app?host=%2Frun%2Fpg&port=5433', { host: '/run/pg', port: 5433 }],
  ['postgres://me@%2Frun%2Fpg/app', { host: '/run/pg' }],
  ['postgres://me@/app', { host: 'localhost' }],
  ['postgres://me@db.example/app?sslmode=require', { settings: { PGSSLMODE: 'require' } }],
  [
    'postgres://me@db.example/app?sslmode=verify-full&sslrootcert=/etc/ca.pem&channel_binding=require',
    {
      settings: {
        PGSSLMODE: 'verify-full',
        PGSSLROOTCERT: '/etc/ca.pem',
        PGCHANNELBINDING: 'require',
      },
    },
  ],
  [
    'postgres://me@db.example/app?options=-c%20search_path%3Dx&connect_timeout=3',
    { settings: { PGOPTIONS: '-c search_path=x', PGCONNECT_TIMEOUT: '3' } },
  ],
  ['postgres://me@db.example/app?schema=public&pgbouncer=true&connection_limit=1&sslmode=', {}],
]

describe('a connection URL', () => {
  for (const [url, connection] of good)
    test(`is parsed: ${JSON.stringify(url)}`, () => {
      assert.deepEqual(parseConnection(url, input), { ...base, ...connection })
    })

  test('comes back from a connection, and parses to the same connection', () => {
    for (const [url] of good) {
      const once = parseConnection(url, input)
      assert.deepEqual(parseConnection(connectionUrl(once), input), once, connectionUrl(once))
    }
    const odd: Connection = {
      host: '::1',
      port: 1,
      user: 'ü @:/?#%+',
      password: ' &=@:/?#%+\'"`\\',
      database: '/?#@:%+ ü',
      settings: { PGOPTIONS: '-c a.b=c+d&e', PGSSLMODE: 'disable' },
      input,
    }
    assert.deepEqual(parseConnection(connectionUrl(odd), input), odd)
    const socket = { ...odd, host: '/a folder/ü', port: 5433 }
    assert.deepEqual(parseConnection(connectionUrl(socket), input), socket)
  })
})

/** Invalid URLs, and what the message says; it never shows the password. */
const bad: [text: string, says: RegExp][] = [
  ['', /not a PostgreSQL URL/],
  ['hello world', /not a PostgreSQL URL/],
  ['host=db.example password=s3cret', /not a PostgreSQL URL/],
  ['mysql://me:s3cret@db.example/app', /not a PostgreSQL URL/],
  ['postgres:/me:s3cret@db.example/app', /not a PostgreSQL URL/],
  ['postgres://me:s3cret@a.example,b.example/app', /several hosts/],
  ['postgres://me:s3cret@a.example:1,b.example:2/app', /several hosts/],
  ['postgres://me:x/s3cret@db.example/app', /percent-encoded/],
  ['postgres://me:x@y/s3cret@db.example/app', /percent-encoded/],
  ['postgres://me:x#s3cret@db.example/app', /percent-encoded|can be parsed|not a number/],
  ['postgres://me:x?s3cret@db.example/app', /percent-encoded|can be parsed|not a number/],
  ['postgres://me:s3cret%zz@db.example/app', /can be parsed/],
  ['postgres://me:s3cret@db.example:port/app', /can be parsed/],
  ['postgres://me:s3cret@db.example:99999/app', /can be parsed|port/],
  ['postgres://me:s3cret@db.example/app?port=0', /port/],
  ['postgres://me:s3cret@db.example/app?port=many', /port/],
  ['postgres://me:s3cret@db.example/app?sslmode=always', /sslmode=always/],
  ['postgres://:s3cret@db.example/app', /names no user/],
  ['postgres://db.example/app', /names no user/],
]

describe('an invalid URL is refused with the input’s name and a hint, and is never shown', () => {
  for (const [text, says] of bad)
    test(JSON.stringify(text), () => {
      assert.throws(
        () => parseConnection(text, input),
        (error: UserError) => {
          assert.equal(error.code, 'bad-url')
          assert.match(error.message, says)
          assert.match(error.message, /^database-url /)
          assert.match(error.hint, /postgres:\/\/user:password@host:5432\/database.*%40/)
          assert.ok(!`${error.message}${error.hint}${error.stack}`.includes('s3cret'))
          return true
        },
      )
    })
})

describe('libpq’s variables', () => {
  test('describe a connection', () => {
    const env = {
      PGHOST: 'db.example',
      PGPORT: '6543',
      PGUSER: 'me',
      PGPASSWORD: 'p@ss',
      PGDATABASE: 'app',
      PGSSLMODE: 'require',
      PGAPPNAME: 'x',
    }
    assert.deepEqual(connectionFromEnv(env, 'PG*'), {
      ...base,
      port: 6543,
      password: 'p@ss',
      settings: { PGSSLMODE: 'require' },
      input: 'PG*',
    })
  })
  test('have libpq’s defaults', () => {
    assert.deepEqual(connectionFromEnv({ PGUSER: 'me' }, 'PG*'), {
      ...base,
      host: 'localhost',
      database: 'me',
      input: 'PG*',
    })
    assert.equal(connectionFromEnv({ PGHOST: 'db.example', USER: 'runner' }, 'PG*')?.user, 'runner')
  })
  test('describe no connection without a host, user or database', () => {
    assert.equal(
      connectionFromEnv({ PGPORT: '5432', PGPASSWORD: 'x', USER: 'runner' }, 'PG*'),
      undefined,
    )
  })
  test('of a child process are separate: libpq expands no URL in PGDATABASE', () => {
    const connection: Connection = {
      ...base,
      password: 'p@ss',
      database: 'postgres://x',
      settings: { PGSSLMODE: 'require' },
    }
    assert.deepEqual(libpqEnvironment(connection), {
      PGHOST: 'db.example',
      PGPORT: '5432',
      PGUSER: 'me',
      PGPASSWORD: 'p@ss',
      PGDATABASE: 'postgres://x',
      PGSSLMODE: 'require',
      PGAPPNAME: 'holdfast',
    })
    assert.ok(!('PGPASSWORD' in libpqEnvironment(base)))
  })
  test('of a dump keep PGOPTIONS, and fix the settings that a database could change', () => {
    const { PGOPTIONS = '' } = dumpEnvironment(
      { ...base, settings: { PGOPTIONS: '-c role=reader' } },
      17,
    )
    assert.ok(PGOPTIONS.startsWith('-c role=reader -c '))
    assert.match(PGOPTIONS, /-c quote_all_identifiers=off\b/)
  })
})

test('a connection is described without its password', () => {
  assert.equal(
    describeConnection({ ...base, password: 's3cret' }),
    'database "app" on db.example:5432 as "me"',
  )
})

test('withDatabase changes the database alone', () => {
  assert.deepEqual(withDatabase(base, 'other'), { ...base, database: 'other' })
  assert.equal(base.database, 'app')
})
