import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { verifyStep } from '../../src/actions/verify.ts'
import { UserError } from '../../src/errors.ts'
import { libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { findSecrets } from '../../src/github/mask.ts'
import { newStore, temporaryFolder } from '../support/copies.ts'
import { freshDatabase, newestServer } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { plainText, type Text } from '../../src/text.ts'

const server = newestServer()
const store = await newStore()
const workspace = temporaryFolder()
let id = ''

before(async () => {
  const { connection } = await freshDatabase(server, {
    name: 'ten orders',
    sql: 'CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 10) g',
  })
  id = (await store.backup(connection)).id
})

interface Ran {
  outputs: Record<string, string | number | boolean>
  report: string
  log: string[]
  error?: UserError
}

/** The step, as `run` would call it, with these inputs. */
async function step(inputs: Record<string, string>): Promise<Ran> {
  const given = {
    storage: `file://${store.folder}`,
    label: 'test',
    'decrypt-with': store.identity,
    'scratch-url': server.url('postgres'),
    ...inputs,
  }
  const env = {
    ...process.env,
    GITHUB_WORKSPACE: workspace,
    GITHUB_SERVER_URL: 'https://github.example',
    GITHUB_REPOSITORY: 'acme/shop',
    GITHUB_RUN_ID: '42',
    DATABASE_URL: 'postgres://production',
    AWS_SECRET_ACCESS_KEY: 'hidden',
    ...Object.fromEntries(
      Object.entries(given).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
    ),
  }
  const ran: Ran = { outputs: {}, report: '', log: [] }
  const work = quietWork()
  const note = (text: Text): void => void ran.log.push(plainText(text))
  try {
    await verifyStep({
      env,
      secrets: findSecrets(env),
      keepsFiles: true,
      annotate() {},
      state() {},
      work: { ...work, log: { ...work.log, info: note, warning: note } },
      output: (name, value) => (ran.outputs[name] = value),
      report: (blocks) => (ran.report = renderMarkdown(blocks)),
    })
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    ran.error = error
  }
  return ran
}

describe('the step verify', () => {
  test('proves, checks and tells it by its outputs; the command sees the copy, and no secret of the step', async () => {
    mkdirSync(join(workspace, 'sql'), { recursive: true })
    writeFileSync(
      join(workspace, 'sql/checks.sql'),
      'ten orders: SELECT count(*) = 10 FROM orders\n',
    )
    const command = [
      'test -z "$AWS_SECRET_ACCESS_KEY$INPUT_STORAGE"',
      'test "$GITHUB_REPOSITORY" = acme/shop',
      `test "$(psql -Atqc 'SELECT count(*) FROM orders' "$DATABASE_URL")" = 10`,
      'pwd',
    ].join(' && ')
    const { outputs, report, error, log } = await step({
      checks: 'sql/checks.sql',
      'check-command': command,
      'working-directory': 'sql',
      'max-age': '1h',
      'max-restore-time': '1h',
      'max-size-change': '50%',
    })
    assert.equal(error, undefined)
    assert.deepEqual(
      [
        outputs['backup-id'],
        outputs['level'],
        outputs['proven'],
        outputs['checked'],
        outputs['valid'],
      ],
      [id, 'accepted', true, 1, 1],
    )
    assert.ok(Number(outputs['age-ms']) > 0 && Number(outputs['restore-ms']) > 0)
    assert.match(
      report,
      /^## ✅ Backup of `test` proven: it restores, is identical, and passes your checks/,
    )
    assert.match(report, /\| ✅ \| ten orders \| gave true \|/)
    assert.match(report, /sql\n```/, 'the command ran in its folder')
    assert.match(log.at(-1) ?? '', /^Proven: .* Your 2 checks passed\.$/)
  })

  test('an external dump is restored and reported, and inputs that need a backup are refused', async () => {
    const { connection } = await freshDatabase(server, {
      name: 'ten orders',
      sql: 'CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 10) g',
    })
    const { status, stdout } = spawnSync(join(server.bindir, 'pg_dump'), {
      env: { ...process.env, ...libpqEnvironment(connection) },
    })
    assert.equal(status, 0)
    writeFileSync(join(workspace, 'orders.sql'), stdout)
    const good = await step({ backup: 'file: orders.sql', storage: '' })
    assert.equal(good.error, undefined)
    assert.deepEqual(
      [
        good.outputs['level'],
        good.outputs['proven'],
        good.outputs['checked'],
        good.outputs['valid'],
      ],
      ['restored', false, 1, 1],
    )
    assert.match(
      good.log.at(-1) ?? '',
      /^file: orders\.sql reached level "restored", with 1 table and 10 rows\. The file does not record/,
    )
    assert.match(good.report, /10 rows in 1 table/)
    writeFileSync(join(workspace, 'half.sql'), stdout.subarray(0, -100))
    const half = await step({ backup: 'file: half.sql', storage: '' })
    assert.deepEqual(
      [half.error?.code, half.outputs['level'], half.outputs['valid']],
      ['not-proven', 'stored', 0],
    )
    assert.match(half.report, /^## ❌ `file: half\.sql`: do not rely on it/)
    const beyond = {
      level: 'counted',
      checks: 'a: SELECT true',
      'check-command': 'true',
      'max-age': '1d',
      'max-restore-time': '1h',
      'max-size-change': '50%',
    }
    for (const [name, value] of Object.entries(beyond)) {
      const { error } = await step({ backup: 'file: orders.sql', [name]: value })
      assert.deepEqual(
        [error?.code, error?.message.startsWith(`The input ${name} is `)],
        ['bad-input', true],
        error?.message,
      )
    }
  })

  test('fails with all figures, and with its outputs set', async () => {
    const { outputs, error, report } = await step({
      checks: 'none: SELECT count(*) = 0 FROM orders',
      'max-restore-time': '1s',
      'max-age': '1s',
    })
    assert.equal(error?.code, 'check-failed')
    assert.match(
      error.message,
      /The check "none" gave false\. The newest backup .* more than the 1 second of max-age\./,
    )
    assert.deepEqual(
      [outputs['level'], outputs['proven'], outputs['checked'], outputs['valid']],
      ['identical', true, 1, 0],
    )
    assert.match(
      report,
      /^## ❌ Backup of `test`: one of your checks failed; the backup itself is good/,
    )
  })

  test('that finds nothing out leaves outputs that nobody takes for good', async () => {
    const { outputs, error } = await step({ 'decrypt-with': '' })
    assert.equal(error?.code, 'key-missing')
    assert.deepEqual(outputs, {
      'backup-id': '',
      level: 'none',
      proven: false,
      checked: 0,
      valid: 0,
      'age-ms': '',
      'restore-ms': '',
    })
  })

  test('looks at all backups without a server or a key, and finds the one that is not whole', async () => {
    const inputs = { backup: 'all', level: 'stored', 'decrypt-with': '', 'scratch-url': '' }
    const good = await step(inputs)
    assert.deepEqual(
      [
        good.error,
        good.outputs['checked'],
        good.outputs['valid'],
        good.outputs['level'],
        good.outputs['proven'],
        good.outputs['restore-ms'],
      ],
      [undefined, 1, 1, 'stored', false, ''],
    )
    rmSync(join(store.folder, 'test', id, 'base.dump.age'))
    const bad = await step(inputs)
    assert.deepEqual(
      [bad.error?.code, bad.outputs['checked'], bad.outputs['valid'], bad.outputs['level']],
      ['not-proven', 1, 0, 'none'],
    )
    assert.match(bad.report, /^- ❌ `[\w-]+`: bad: .*base\.dump\.age is missing/m)
  })
})
