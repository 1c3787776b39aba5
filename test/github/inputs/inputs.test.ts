import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { UserError } from '../../../src/errors.ts'
import { type Env, inputDuration, inputSize } from '../../../src/github/inputs/input.ts'
import {
  readBackupInputs,
  readSweepInputs,
  readTestMigrationInputs,
} from '../../../src/github/inputs/inputs.ts'
import { readListInputs, readRestoreInputs } from '../../../src/github/inputs/restore.ts'
import { readVerifyInputs } from '../../../src/github/inputs/verify.ts'

const identity = await generateIdentity()
const recipient = await identityToRecipient(identity)
const workspace = mkdtempSync(join(tmpdir(), 'holdfast-inputs-'))
mkdirSync(join(workspace, 'db'))
after(() => rmSync(workspace, { recursive: true }))

/** The environment in which the runner hands inputs over. */
function given(inputs: Record<string, string>, env: Env = {}): Env {
  return {
    GITHUB_WORKSPACE: workspace,
    ...env,
    ...Object.fromEntries(
      Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
    ),
  }
}
const secretUrl = 'postgres://owner:p%40ss%2Fw%3Ard@db.example:6543/app?sslmode=require'
const good = {
  backup: {
    'database-url': secretUrl,
    storage: 's3://b/p\nfile:///x\n',
    label: 'prod',
    'encrypt-to': recipient,
  },
  verify: { storage: 'file:///x', 'decrypt-with': identity },
  'test-migration': { storage: 'file:///x', 'migrate-command': 'npm run migrate' },
  restore: { storage: 'file:///x', 'target-url': secretUrl, confirm: 'app' },
}
const readers = {
  backup: readBackupInputs,
  verify: readVerifyInputs,
  'test-migration': readTestMigrationInputs,
  restore: readRestoreInputs,
}

describe('the inputs of', () => {
  test('backup: a connection, every storage, the keys', () => {
    const inputs = readBackupInputs(
      given({
        ...good.backup,
        keep: '7',
        jobs: '3',
        fingerprint: 'counts',
        'large-table': '64MB',
        'encrypt-to': `# mine\n${recipient}\n\n ${recipient} \n`,
        'postgres-bin': 'db',
      }),
    )
    assert.deepEqual(inputs, {
      database: {
        host: 'db.example',
        port: 6543,
        user: 'owner',
        password: 'p@ss/w:rd',
        database: 'app',
        settings: { PGSSLMODE: 'require' },
        input: 'database-url',
      },
      storage: ['s3://b/p', 'file:///x'],
      label: 'prod',
      recipients: [recipient],
      keep: 7,
      bindirs: [join(workspace, 'db')],
      jobs: 3,
      fingerprint: 'counts',
      largeTable: 64 << 20,
    })
  })
  test('backup: PG* stand in for database-url, none for a key, and what is not given stays away', () => {
    const inputs = readBackupInputs(
      given(
        { storage: 'file:///x', 'encrypt-to': 'none' },
        { PGHOST: 'h', PGUSER: 'u', PGDATABASE: 'd' },
      ),
    )
    assert.equal(inputs.recipients, 'none')
    assert.equal(inputs.database.host, 'h')
    assert.ok(!('keep' in inputs) && !('label' in inputs))
    assert.deepEqual(
      [inputs.jobs, inputs.fingerprint, inputs.largeTable],
      [Math.min(availableParallelism(), 8), 'content', 16 << 20],
    )
  })
  test('verify: latest is the default, an identity file may be given whole', () => {
    const inputs = readVerifyInputs(
      given({
        ...good.verify,
        jobs: '64',
        'decrypt-with': `# created: 2026\n# public key: ${recipient}\n${identity}\n`,
      }),
    )
    assert.deepEqual(inputs, {
      storage: ['file:///x'],
      bindirs: [],
      jobs: 64,
      backup: { kind: 'latest' },
      identities: [identity],
      checks: [],
      workingDirectory: workspace,
      timeout: 1_800_000,
    })
    assert.equal(
      readVerifyInputs(given({ ...good.verify, 'scratch-url': 'postgres://a@h/b' })).scratch?.input,
      'scratch-url',
    )
  })
  test('test-migration: a folder in the workspace, and a time', () => {
    const inputs = readTestMigrationInputs(
      given({
        ...good['test-migration'],
        'working-directory': 'db',
        timeout: '1h30m',
        'github-token': 'ghs_x',
      }),
    )
    assert.equal(inputs.workingDirectory, join(workspace, 'db'))
    assert.equal(inputs.timeout, 5_400_000)
    assert.equal(inputs.token, 'ghs_x')
    assert.equal(readTestMigrationInputs(given(good['test-migration'])).timeout, 1_800_000)
  })
  test('verify: checks may go on over lines, and objectives are figures', () => {
    const inputs = readVerifyInputs(
      given({
        ...good.verify,
        level: 'Accepted',
        checks: '# mine\nfirst one: SELECT count(*) > 0\n  FROM orders\n\nb: SELECT a::int = 1',
        'max-age': '26h',
        'max-restore-time': '2h',
        'max-size-change': '50%',
      }),
    )
    assert.deepEqual(inputs.checks, [
      { name: 'first one', sql: 'SELECT count(*) > 0\nFROM orders' },
      { name: 'b', sql: 'SELECT a::int = 1' },
    ])
    assert.deepEqual(
      [inputs.level, inputs.maxAge, inputs.maxRestoreTime, inputs.maxSizeChange],
      ['accepted', 93_600_000, 7_200_000, 0.5],
    )
    for (const level of ['stored', 'readable', 'restored', 'counted', 'identical'])
      assert.equal(readVerifyInputs(given({ ...good.verify, level })).level, level)
  })
  test('restore: confirmed by the name of the target; a dry run need not be', () => {
    assert.equal(readRestoreInputs(given(good.restore)).dryRun, false)
    // an undo of a whole database is not what undoes a table
    for (const more of [
      { tables: 'public.a', replace: 'true' },
      { mode: 'in-place' },
      { prepare: 'SELECT 1' },
    ])
      assert.throws(
        () => readRestoreInputs(given({ ...good.restore, undo: 'true', ...more })),
        (error: UserError) =>
          error.code === 'bad-input' &&
          error.message.includes('undo') &&
          error.hint.includes('safety backup'),
      )
    assert.throws(
      () => readRestoreInputs(given({ ...good.restore, contents: 'schema' })),
      /without rows in the place of the live one/,
    )
    assert.equal(
      readRestoreInputs(given({ ...good.restore, contents: 'schema', mode: 'new' })).contents,
      'schema',
    )
    const dry = readRestoreInputs(given({ ...good.restore, confirm: '', 'dry-run': 'True' }))
    assert.equal(dry.dryRun, true)
    assert.deepEqual([dry.confirm.expected, dry.confirm.typed], ['app', ''])
  })
  test('a list: the storage and the label, which the target names if there is one', () => {
    const list = { storage: 'file:///x', list: 'true' }
    const read = (more: Record<string, string>): unknown => {
      const { storage, label, assumedLabel } = readListInputs(given({ ...list, ...more })) ?? {}
      return [storage, label, assumedLabel]
    }
    assert.equal(readListInputs(given(good.restore)), undefined)
    assert.deepEqual(read({}), [['file:///x'], undefined, undefined])
    assert.deepEqual(read({ 'target-url': secretUrl }), [['file:///x'], undefined, 'app'])
    assert.deepEqual(read({ 'target-url': secretUrl, label: 'b' }), [['file:///x'], 'b', undefined])
    for (const task of ['undo', 'clean'])
      assert.throws(
        () => read({ [task]: 'true' }),
        new RegExp(`${task} cannot be combined with list`),
      )
    assert.throws(() => read({ storage: '' }), /storage is empty/)
    assert.throws(() => read({ 'target-url': secretUrl, confirm: 'other' }), /confirm is "other"/)
    assert.throws(() => read({ 'target-url': secretUrl, mode: 'other' }), /mode is "other"/)
  })
  test('the clean-up: the servers that are named, and no more', () => {
    assert.deepEqual(Object.keys(readSweepInputs(given(good.restore)).servers), ['target-url'])
    assert.deepEqual(readSweepInputs(given({})), { storage: [], servers: {} })
  })
})

describe('a bad input is an error that names it, says what is wrong, and shows no secret', () => {
  const cases: [
    action: keyof typeof readers,
    wrong: Record<string, string>,
    says: RegExp,
    code?: string,
  ][] = [
    ['backup', { 'database-url': '' }, /database-url is empty, and no PG\* variable/],
    [
      'backup',
      { 'database-url': 'hello world' },
      /database-url is not a PostgreSQL URL/,
      'bad-url',
    ],
    [
      'backup',
      { 'database-url': 'postgres://o:p@ss/w:rd@h/app' },
      /database-url has an @ after the first \/.*%40/,
    ],
    ['backup', { 'database-url': 'postgres://o:pass@h:port/app' }, /database-url/, 'bad-url'],
    ['backup', { storage: ' \n ' }, /storage is empty.*s3:\/\//],
    ['backup', { label: '../etc' }, /label is "\.\.\/etc", and becomes part of a path/],
    ['backup', { label: '-x' }, /label is "-x"/],
    [
      'backup',
      { 'encrypt-to': '' },
      /encrypt-to is empty.*age-keygen -o key\.txt.*encrypt-to: none/,
    ],
    ['backup', { 'encrypt-to': 'age1notakey' }, /encrypt-to holds "age1notakey"/, 'bad-recipient'],
    [
      'backup',
      { 'encrypt-to': `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}` },
      /not an age public key/,
      'bad-recipient',
    ],
    ['backup', { 'encrypt-to': identity }, /encrypt-to is a private key/, 'bad-recipient'],
    [
      'backup',
      { 'encrypt-to': `none\n${recipient}` },
      /encrypt-to holds both a key and the word none/,
    ],
    ['backup', { keep: 'many' }, /keep is "many", which is not a whole number of 1 or more/],
    ['backup', { keep: '0' }, /keep is "0"/],
    ['backup', { keep: '-1' }, /keep is "-1"/],
    ['backup', { keep: '1.5' }, /keep is "1\.5"/],
    ['backup', { keep: '1e99' }, /keep is "1e99"/],
    ['backup', { jobs: '0' }, /jobs is "0"/],
    ['backup', { jobs: '65' }, /jobs is 65, and each job is a connection/],
    ['backup', { fingerprint: 'full' }, /fingerprint is "full".*content, counts, none/],
    ['backup', { 'large-table': 'huge' }, /large-table is "huge", which is not a size.*64MB/],
    ['backup', { 'large-table': '0' }, /large-table is "0"/],
    ['backup', { 'large-table': '-1GB' }, /large-table is "-1GB"/],
    ['backup', { 'postgres-bin': 'no/such' }, /postgres-bin names "no\/such"/],
    ['verify', { backup: '../../etc' }, /backup is "\.\.\/\.\.\/etc", which names no backup/],
    ['verify', { backup: 'a b' }, /backup is "a b"/],
    [
      'verify',
      { 'decrypt-with': 'AGE-SECRET-KEY-1XX' },
      /decrypt-with: line 1 is not an age identity/,
      'bad-identity',
    ],
    [
      'verify',
      { 'decrypt-with': recipient },
      /decrypt-with: line 1 is a public key/,
      'bad-identity',
    ],
    ['verify', { 'scratch-url': 'mysql://h/x' }, /scratch-url is not a PostgreSQL URL/, 'bad-url'],
    [
      'verify',
      { level: 'proven' },
      /level is "proven".*stored, readable, restored, counted, identical, accepted/,
    ],
    [
      'verify',
      { level: 'identical', checks: 'a: SELECT true' },
      /checks is set, and level: identical ends before they run/,
    ],
    [
      'verify',
      { level: 'stored', 'check-command': 'true' },
      /check-command is set, and level: stored ends before/,
    ],
    [
      'verify',
      { level: 'readable', 'max-restore-time': '2h' },
      /max-restore-time is set, and level: readable ends before anything is restored/,
    ],
    [
      'verify',
      { level: 'accepted' },
      /level is "accepted", and there are no checks to accept the backup by.*check-command/,
    ],
    [
      'verify',
      { checks: 'SELECT true' },
      /checks has the line "SELECT true", which is not name: SQL/,
    ],
    ['verify', { checks: 'a: SELECT true\na: SELECT false' }, /two checks of the name "a"/],
    ['verify', { checks: 'a:' }, /no SQL for "a"/],
    ['verify', { 'max-size-change': 'half' }, /max-size-change is "half", which is not a share/],
    ['verify', { 'max-age': 'old' }, /max-age is "old", which is not a duration/],
    ['test-migration', { 'migrate-command': '' }, /migrate-command is empty/],
    [
      'test-migration',
      { 'working-directory': 'nowhere' },
      /working-directory names "nowhere", but there is no folder/,
    ],
    ['test-migration', { timeout: '30' }, /timeout is "30", which is not a duration.*timeout: 30m/],
    ['test-migration', { timeout: 'soon' }, /timeout is "soon"/],
    ['test-migration', { timeout: '0s' }, /timeout is "0s"/],
    ['test-migration', { timeout: '999d' }, /timeout is "999d", which is longer than 5 days/],
    ['restore', { 'target-url': '' }, /target-url is empty/],
    ['restore', { confirm: '' }, /confirm is empty/, 'confirm-mismatch'],
    [
      'restore',
      { confirm: 'ap' },
      /confirm is "ap", but target-url names the database "app".*confirm: app/,
      'confirm-mismatch',
    ],
    ['restore', { confirm: 'ap', 'dry-run': 'true' }, /confirm is "ap"/, 'confirm-mismatch'],
    ['restore', { 'dry-run': 'maybe' }, /dry-run is "maybe", which is neither true nor false/],
  ]
  for (const [action, wrong, says, code = 'bad-input'] of cases) {
    const shown = JSON.stringify(wrong)
      .replaceAll(identity, '(an identity)')
      .replaceAll(recipient, '(a key)')
    test(`${action}: ${shown.slice(0, 80)}`, () => {
      assert.throws(
        () => readers[action](given({ ...good[action], ...wrong })),
        (error) => {
          assert.ok(error instanceof UserError, String(error))
          assert.equal(error.code, code)
          const all = `${error.message} ${error.hint}`
          assert.match(all, says)
          assert.ok(error.hint.length > 10, 'the hint says what to do')
          for (const secret of [identity, 'p%40ss%2Fw%3Ard', 'p@ss/w:rd', 'p@ss'])
            assert.ok(!all.includes(secret), 'a secret is shown')
          return true
        },
      )
    })
  }
})

test('sizes are read with PostgreSQL’s units, and nothing else is', () => {
  const read = (size: string): number => inputSize(given({ size }), 'size', 1)
  assert.deepEqual(['8kB', '16MiB', '1.5 GB', '2g', '1TB', ''].map(read), [
    8192,
    16 << 20,
    1.5 * 1024 ** 3,
    2 * 1024 ** 3,
    1024 ** 4,
    1,
  ])
  for (const bad of ['512', '16', 'MB', '0MB', '1 2MB', '1e3', '1PB', '0x10', '999999999TB'])
    assert.throws(() => read(bad), UserError, bad)
})

test('times are read in any order of size, and nothing else is', () => {
  const read = (timeout: string): number => inputDuration(given({ timeout }), 'timeout', 1)
  assert.deepEqual(
    ['5s', '90s', '30m', '1h30m', '1h 30m', '1d', '2H', ''].map(read),
    [5000, 90_000, 1_800_000, 5_400_000, 5_400_000, 86_400_000, 7_200_000, 1],
  )
  for (const bad of ['m', '5', '-5s', '5s5m', '1.5h', '5 seconds', 'NaN', '1e3s'])
    assert.throws(() => read(bad), UserError, bad)
})
