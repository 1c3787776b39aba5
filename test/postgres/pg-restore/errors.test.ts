import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConnection } from '../../../src/postgres/connection/connection.ts'
import {
  exitMessage,
  failedEntriesError,
  mayPassOnRetry,
  parallelExitMessage,
  PgRestoreLog,
  restoreError,
} from '../../../src/postgres/pg-restore/errors.ts'

const connection = parseConnection('postgres://u@h/d', 'scratch-url')

test('a message of the server becomes the error that names its cause', () => {
  const cases: [error: string, code: string, message: RegExp, hint: RegExp][] = [
    [
      'FATAL:  the database system is shutting down',
      'server-failed',
      /failed: FATAL/,
      /not at fault/,
    ],
    ['server closed the connection unexpectedly', 'server-failed', /closed the/, /server’s log/],
    ['ERROR:  out of shared memory', 'server-failed', /out of shared/, /shared_preload/],
    ['pg_restore was ended by SIGKILL. x', 'server-failed', /SIGKILL/, /not at fault/],
    [
      'ERROR:  extension "vector" is not available',
      'extension-missing',
      /lacks the extension "vector"/,
      /not at fault\..*vector/,
    ],
    [
      'ERROR:  could not open extension control file "/usr/share/postgresql/15/extension/hstore.control"',
      'extension-missing',
      /lacks the extension "hstore"/,
      /postgresql-15/,
    ],
    [
      'ERROR:  role "app" does not exist',
      'role-missing',
      /role "app"/,
      /CREATE ROLE "app" NOLOGIN/,
    ],
    ['ERROR:  permission denied for schema s', 'no-permission', /"u" may not/, /superuser/],
    ['ERROR:  must be owner of table t', 'no-permission', /must be owner/, /superuser/],
    ['ERROR:  could not extend file "base/1"', 'disk-full', /disk is full/, /more space/],
    ['ERROR:  invalid locale name: "xx"', 'locale-missing', /lacks a locale/, /locale-gen/],
    [
      'ERROR:  syntax error at or near "NOT"',
      'restore-failed',
      /pg_restore failed: ERROR/,
      /names/,
    ],
  ]
  for (const [error, code, message, hint] of cases) {
    const found = restoreError({ id: 1, what: 'TABLE public t app', error }, '', connection)
    assert.equal(found.code, code, error)
    assert.match(found.message, message)
    assert.match(found.message, /\(at TABLE public t app\)$/)
    assert.match(found.hint, hint)
    const whole = restoreError(undefined, `pg_restore: error: ${error}\n`, connection)
    if (!error.startsWith('pg_restore')) assert.equal(whole.code, code, error)
  }
})

test('of several causes in a message, the server’s failure counts first', () => {
  const error = 'FATAL:  role "app" does not exist; permission denied'
  assert.equal(restoreError(undefined, error, connection).code, 'server-failed')
  const role = 'ERROR:  role "app" does not exist; permission denied'
  assert.equal(restoreError(undefined, role, connection).code, 'role-missing')
})

test('if a server refuses an extension that must be preloaded, the backup is not at fault', () => {
  // messages of pg_cron 1.6, preloaded and not
  for (const error of [
    'could not execute query: ERROR:  can only create extension in database postgres',
    'could not execute query: ERROR:  unrecognized configuration parameter "cron.database_name"',
  ]) {
    const { code, message, hint } = restoreError(
      { id: 2, what: 'EXTENSION pg_cron (no owner)', error },
      '',
      connection,
    )
    assert.equal(code, 'extension-refused')
    assert.match(message, /the extension "pg_cron"/)
    assert.match(hint, /backup is not at fault\..*Leave out scratch-url.*mode: in-place/)
  }
  const error = 'could not execute query: ERROR:  unrecognized configuration parameter "x.y"'
  const other = restoreError({ id: 2, what: 'FUNCTION public f', error }, '', connection)
  assert.equal(other.code, 'restore-failed')
})

test('only rows and materialized views that the server refused may pass on a retry', () => {
  const check = 'could not execute query: ERROR:  new row violates check constraint "c"'
  const retried = (what: string, error: string): boolean => mayPassOnRetry({ id: 1, what, error })
  assert.ok(retried('TABLE DATA public t app', check))
  assert.ok(retried('MATERIALIZED VIEW DATA public v app', check))
  assert.ok(!retried('TABLE public t app', check))
  assert.ok(!retried('MATERIALIZED VIEW public v app', check))
  for (const error of ['ERROR:  permission denied', 'ERROR:  out of memory', 'FATAL: x', 'x'])
    assert.ok(!retried('TABLE DATA public t app', error), error)
})

test('a log assigns each error to the entry named before it, and counts', () => {
  const log = new PgRestoreLog()
  const check = 'pg_restore: error: could not execute query: ERROR:  violates check constraint'
  assert.ok(log.add('pg_restore: from TOC entry 12; 0 345 TABLE DATA public t app'))
  assert.ok(log.add(check))
  assert.ok(log.add(check))
  assert.ok(log.add('pg_restore: warning: something odd'))
  assert.ok(log.add('pg_restore: from TOC entry 13; 1259 346 TABLE public u app'))
  assert.equal(log.add(check), false, 'another pass cannot fix a definition')
  assert.ok(log.add('pg_restore: warning: errors ignored on restore: 3'))
  assert.deepEqual(
    log.failed.map(({ id, what }) => `${id} ${what}`),
    ['12 TABLE DATA public t app', '12 TABLE DATA public t app', '13 TABLE public u app'],
  )
  assert.deepEqual(log.warnings, ['something odd'])
  assert.equal(log.ignored, 3)
  assert.match(
    failedEntriesError(log.failed, connection).message,
    /\(at TABLE DATA public t app\)$/,
  )
})

test('an exit is described by the last lines, the signal, or the first error of a worker', () => {
  assert.equal(exitMessage({ code: 1, signal: null, stderr: 'a\nb\nc\nd\n' }), 'b c d')
  assert.equal(
    exitMessage({ code: null, signal: 'SIGKILL', stderr: 'a\n' }),
    'pg_restore was ended by SIGKILL. a',
  )
  const stderr =
    'pg_restore: error: could not execute query: ERROR:  no\nDETAIL:  d\n' +
    'Command was: CREATE INDEX i\n    ON t (a)\n\n'
  assert.equal(
    parallelExitMessage({ code: 1, signal: null, stderr }),
    'could not execute query: ERROR:  no (at CREATE INDEX i ON t (a))',
  )
  assert.equal(parallelExitMessage({ code: 1, signal: null, stderr: 'x\n' }), 'x')
})
