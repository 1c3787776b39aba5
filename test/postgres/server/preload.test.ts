import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseConnection } from '../../../src/postgres/connection/connection.ts'
import { preloadSettings } from '../../../src/postgres/server/preload.ts'
import { restoreError } from '../../../src/postgres/pg-restore/errors.ts'
import { temporaryFolder } from '../../support/copies.ts'

test('a cluster of our own loads what the backup’s extensions insist on, where it is there; and runs no job', () => {
  const folder = temporaryFolder()
  for (const name of ['bin', 'lib']) mkdirSync(join(folder, name))
  const bin = join(folder, 'bin')
  assert.deepEqual(
    preloadSettings(bin, ['pg_cron', 'vector'], 'scratch'),
    {},
    'its library is not there',
  )
  for (const name of ['pg_cron', 'pgaudit', 'other'])
    writeFileSync(join(folder, 'lib', `${name}.so`), '')
  assert.deepEqual(preloadSettings(bin, ['other', 'vector'], 'scratch'), {})
  assert.deepEqual(preloadSettings(bin, ['pg_cron', 'pgaudit'], 'scratch'), {
    shared_preload_libraries: 'pgaudit, pg_cron',
    'cron.database_name': 'scratch',
    'cron.launch_active_jobs': 'off',
  })
})

test('if a server refuses such an extension, the backup is not at fault', () => {
  const connection = parseConnection('postgres://u@h/d', 'scratch-url')
  // as pg_cron 1.6 says it, loaded at the start of the server and not
  for (const error of [
    'could not execute query: ERROR:  can only create extension in database postgres',
    'could not execute query: ERROR:  unrecognized configuration parameter "cron.database_name"',
  ]) {
    const { code, hint } = restoreError(
      { id: 2, what: 'EXTENSION pg_cron (no owner)', error },
      '',
      connection,
    )
    assert.equal(code, 'extension-refused')
    assert.match(hint, /backup is not at fault\..*Leave out scratch-url/)
  }
  assert.equal(
    restoreError(
      {
        id: 2,
        what: 'FUNCTION public f',
        error: 'could not execute query: ERROR:  unrecognized configuration parameter "x.y"',
      },
      '',
      connection,
    ).code,
    'restore-failed',
  )
})
