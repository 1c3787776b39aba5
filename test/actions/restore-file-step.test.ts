import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { generateX25519Identity } from 'age-encryption'
import { restoreStep } from '../../src/actions/restore.ts'
import { UserError } from '../../src/errors.ts'
import { findSecrets } from '../../src/github/mask.ts'
import { libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { temporaryFolder } from '../support/copies.ts'
import { freshDatabase, newestServer, query } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'

/** The step `restore`, given a file that another tool made. */
const server = newestServer()
const [workspace, folder, identity] = [
  temporaryFolder(),
  temporaryFolder(),
  await generateX25519Identity(),
]
let shop = ''

before(async () => {
  shop = (
    await freshDatabase(server, {
      name: 'ten orders',
      sql: 'CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 10) g',
    })
  ).name
  mkdirSync(join(workspace, 'dumps'))
  for (const [kind, name] of [
    ['-Fc', 'shop.dump'],
    ['-Fp', 'shop.sql'],
  ] as const) {
    const ran = spawnSync(
      join(server.bindir, 'pg_dump'),
      [kind, '-f', join(workspace, 'dumps', name)],
      { env: { ...process.env, ...libpqEnvironment(server.to(shop)) } },
    )
    assert.equal(ran.status, 0, String(ran.stderr))
  }
  writeFileSync(join(workspace, 'dumps/cut.dump'), 'PGDMP')
})
const databases = async (): Promise<unknown[]> =>
  (
    await query(
      server,
      'postgres',
      `SELECT datname FROM pg_database WHERE datname LIKE '${shop}%' ORDER BY 1`,
    )
  ).map(({ datname }) => datname)

interface Ran {
  outputs: Record<string, string | number | boolean>
  report: string
  error?: UserError
}

async function step(inputs: Record<string, string>): Promise<Ran> {
  const given = {
    storage: `file://${folder}`,
    'decrypt-with': identity,
    'target-url': server.url(shop),
    confirm: shop,
    backup: 'file: dumps/shop.dump',
    ...inputs,
  }
  const env = {
    ...process.env,
    GITHUB_WORKSPACE: workspace,
    ...Object.fromEntries(
      Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
    ),
  }
  const ran: Ran = { outputs: {}, report: '' }
  const output = (name: string, value: string | number | boolean): void =>
    void (ran.outputs[name] = value)
  try {
    await restoreStep({
      env,
      secrets: findSecrets(env),
      keepsFiles: true,
      annotate() {},
      state() {},
      work: quietWork(),
      output,
      report: (blocks) => (ran.report = renderMarkdown(blocks)),
    })
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    ran.error = error
  }
  return ran
}

test('what cannot be asked of such a file is refused by name, before anything is looked at', async () => {
  // the file is not there: what is refused is refused before it is opened
  const file = { backup: 'file: dumps/none.dump' }
  for (const [inputs, says] of [
    [{ tables: 'public.orders' }, /^The input tables is set, which needs a backup/],
    [{ schemas: 'public' }, /^The input schemas is set, which needs a backup/],
    [{ tables: 'orders', replace: 'true' }, /^The input tables is set, which needs a backup/],
    [{ contents: 'schema' }, /^The input contents is "schema"/],
    [{ mode: 'in-place' }, /^The input mode is "in-place", which needs/],
    [{ mode: 'in-place', contents: 'data' }, /^The input contents is "data", which needs/],
    [{ owner: 'a: b' }, /^The input owner maps roles, which needs/],
  ] as const) {
    const { error } = await step({ ...file, ...inputs })
    assert.deepEqual(
      [error?.code, says.test(error?.message ?? '')],
      ['bad-input', true],
      error?.message,
    )
  }
  assert.equal((await step({ ...file, owner: 'drop' })).error?.code, 'file-missing')
  assert.equal(
    (await step({ backup: 'file: dumps/shop.sql', owner: 'drop' })).error?.code,
    'bad-input',
  )
  assert.equal((await step({ confirm: 'other' })).error?.code, 'confirm-mismatch')
  const cut = await step({ backup: 'file: dumps/cut.dump' })
  assert.deepEqual([cut.error?.code, cut.outputs], ['file-damaged', { 'previous-database': '' }])
  assert.deepEqual(await databases(), [shop])
})

test('a dry run, then the restore; neither names a backup, nor how much is lost', async () => {
  const dry = await step({ 'dry-run': 'true', confirm: '' })
  assert.deepEqual(
    [dry.error, Object.keys(dry.outputs).sort()],
    [undefined, ['duration-ms', 'previous-database']],
  )
  assert.match(dry.report, /Dry run/)
  const blocked = await step({ 'dry-run': 'true', 'decrypt-with': '' })
  assert.deepEqual(
    [blocked.error?.code, /What prevents the restore/.test(blocked.report)],
    ['safety-backup-failed', true],
  )
  assert.deepEqual(await databases(), [shop])
  const { error, outputs, report } = await step({})
  assert.equal(error, undefined, error?.message)
  assert.deepEqual(Object.keys(outputs).sort(), [
    'database',
    'duration-ms',
    'previous-database',
    'safety-backup-id',
  ])
  assert.match(String(outputs['safety-backup-id']), /-pre-restore$/)
  assert.deepEqual(await databases(), [shop, outputs['previous-database']])
  assert.match(report, /10 rows in 1 table from .* of `file: dumps\/shop.dump`/)
})

test('a command that fails afterwards fails the step; the database is restored', async () => {
  const { error, report, outputs } = await step({
    mode: 'new',
    'target-url': server.url(`${shop}_new`),
    confirm: `${shop}_new`,
    storage: '',
    'decrypt-with': '',
    'post-command': 'exit 3',
    'working-directory': workspace,
  })
  assert.deepEqual([error?.code, outputs['database']], ['post-command-failed', `${shop}_new`])
  assert.match(report, /restored, but the post-command failed/)
  assert.deepEqual(await query(server, `${shop}_new`, 'SELECT count(*)::int AS n FROM orders'), [
    { n: 10 },
  ])
})
