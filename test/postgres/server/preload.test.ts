import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { preloadSettings } from '../../../src/postgres/server/preload.ts'
import { temporaryFolder } from '../../support/copies.ts'

test('a scratch cluster preloads installed libraries of the backup’s extensions, and runs no job', () => {
  const folder = temporaryFolder()
  for (const name of ['bin', 'lib']) mkdirSync(join(folder, name))
  const bin = join(folder, 'bin')
  assert.deepEqual(
    preloadSettings(bin, ['pg_cron', 'vector'], 'scratch'),
    {},
    'the library is not installed',
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
