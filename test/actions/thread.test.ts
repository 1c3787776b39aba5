import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { startGitHubApi } from '../github/github-api.ts'
import { bucketOf } from '../storage/bucket.ts'
import { untilOlderThanASecond } from '../support/clock.ts'
import { majors, type OwnServer, startOwnServer } from '../support/own-server.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import {
  assertNoSecret,
  newFolder,
  watchedRun,
  type WatchedRun,
  type WatchOptions,
} from './watched-run.ts'

/**
 * The whole thread, through the bundle, as a runner would: what is promised of the four actions
 * together.
 */
const shop = `
  CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL, nickname text, about jsonb
  );
  INSERT INTO customers (name, nickname, about)
  SELECT 'customer ' || g, CASE WHEN g % 2 = 0 THEN 'nick ' || g END, jsonb_build_object('n', g)
    FROM generate_series(1, 500) g;
  CREATE TABLE orders (
    id int PRIMARY KEY, customer bigint REFERENCES customers, total numeric(10, 2),
    twice numeric GENERATED ALWAYS AS (total * 2) STORED
  );
  INSERT INTO orders SELECT g, 1 + g % 500, g + 0.25 FROM generate_series(1, 2000) g;
  CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY 1;
  SELECT lo_from_bytea(0, 'a large object');`
const rows = 2500
const token = 'ghs_atokenthatnobodymaysee'

let s3: RunningS3
let identity: string
let recipient: string
before(async () => {
  s3 = await startS3(['backups'])
  identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
})
after(() => s3.stop())

/**
 * Runs, and holds what holds for every run: no secret where it can be read, nothing left, no word
 * that a stack was shown.
 */
async function run(
  server: OwnServer,
  action: string,
  inputs: Record<string, string>,
  options: WatchOptions = {},
): Promise<WatchedRun> {
  const ran = await watchedRun(action, inputs, {
    token,
    ...options,
    env: { ...s3.env, RUNNER_DEBUG: '1', ...options.env },
  })
  assertNoSecret(ran, [server.password, identity, s3.env.AWS_SECRET_ACCESS_KEY, token])
  assert.deepEqual(ran.left, { processes: [], files: [] })
  assert.equal(ran.postCode, 0)
  assert.equal(ran.state['held'], '[]')
  assert.equal(ran.leftOpen, false)
  return ran
}

const errorsOf = (ran: WatchedRun): string[] =>
  ran.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
const good = (ran: WatchedRun): void => assert.equal(ran.code, 0, ran.log)

// the newest and the oldest: what differs between majors is shown by the tests of each part
for (const major of majors().filter((_, i, all) => i === 0 || i === all.length - 1)) {
  describe(`PostgreSQL ${major}: backup, verify, test-migration, disaster, restore`, () => {
    let server: OwnServer
    let folder: string
    let storage: string
    let reading: Record<string, string>
    let backupId = ''
    before(async () => {
      server = await startOwnServer(major)
      await server.create('shop', shop)
      folder = newFolder()
      storage = `${s3.url(`pg${major}`)}\nfile://${folder}`
      reading = { storage, label: 'production', 'decrypt-with': identity }
    })

    test('backup: encrypted, the same at both destinations, with the outputs of the contract', async () => {
      const ran = await run(server, 'backup', {
        'database-url': server.url('shop'),
        storage,
        label: 'production',
        'encrypt-to': recipient,
      })
      good(ran)
      assert.deepEqual(Object.keys(ran.outputs).sort(), [
        'backup-id',
        'bytes',
        'duration-ms',
        'error-code',
        'location',
        'outcome',
        'rows',
      ])
      const { bytes, location, outcome } = ran.outputs
      backupId = ran.outputs['backup-id'] ?? ''
      assert.match(backupId, /^\d{8}T\d{6}Z-[0-9a-z]+$/)
      assert.deepEqual(
        [ran.outputs['rows'], outcome, ran.outputs['error-code']],
        [String(rows), 'success', ''],
      )
      assert.ok(location?.startsWith(`s3://backups/pg${major}/production/${backupId}`), location)
      assert.match(ran.outputs['duration-ms'] ?? '', /^\d+$/)
      const files = globSync('**/*', { cwd: folder, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
      const keys = files.map((file) => `pg${major}${file.slice(folder.length)}`).sort()
      const bucket = bucketOf(s3, 'backups')
      try {
        assert.deepEqual(
          (await bucket.everything()).filter((key) => key.startsWith(`pg${major}/`)),
          keys,
        )
      } finally {
        bucket.close()
      }
      const archive = files.find((file) => /base\.dump(\.zst)?\.age$/.test(file)) ?? ''
      assert.equal(readFileSync(archive).subarray(0, 21).toString(), 'age-encryption.org/v1')
      assert.deepEqual(
        files.map((file) => basename(file).replace(/\.zst\.age$|\.age$/, '')).sort(),
        ['RECOVER.md', 'base.dump', 'large-objects.dump', 'manifest.json'],
      )
      const stored = files
        .filter((file) => !file.endsWith('manifest.json'))
        .reduce((sum, file) => sum + readFileSync(file).byteLength, 0)
      assert.equal(Number(bytes), stored)
      // seen from outside: our own tools ran, and only by names that hold no secret (which `run`
      // looked at)
      assert.ok(
        ran.commands.some((command) => command.includes('pg_dump -Fc')),
        ran.commands.join('\n'),
      )
      assert.match(ran.summary, /## ✅/)
    })

    test('verify: identical on a server of its own and on a given one, and the proof is stored', async () => {
      for (const scratch of [{}, { 'scratch-url': server.url('postgres') }]) {
        const ran = await run(server, 'verify', { ...reading, ...scratch })
        good(ran)
        const { 'age-ms': age, 'restore-ms': restore, ...outputs } = ran.outputs
        assert.ok(Number(age) > 0 && Number(restore) > 0)
        assert.deepEqual(outputs, {
          'backup-id': backupId,
          level: 'identical',
          proven: 'true',
          checked: '1',
          valid: '1',
          outcome: 'success',
          'error-code': '',
        })
      }
      assert.deepEqual(await server.databases(), ['postgres', 'shop'])
      const bucket = bucketOf(s3, 'backups')
      try {
        assert.equal(
          (await bucket.everything()).filter((key) => key.includes(`${backupId}/proofs/`)).length,
          2,
        )
      } finally {
        bucket.close()
      }
    })

    test('test-migration: a safe one passes', async () => {
      let report: Record<string, unknown> = {}
      const ran = await run(
        server,
        'test-migration',
        {
          ...reading,
          'migrate-command': [
            'psql -v ON_ERROR_STOP=1 -c "ALTER TABLE orders ADD COLUMN note text"',
            '-c "CREATE INDEX ON orders (customer)"',
          ].join(' '),
        },
        {
          look: ({ outputs }) =>
            (report = JSON.parse(readFileSync(outputs['report'] ?? '', 'utf8')) as Record<
              string,
              unknown
            >),
        },
      )
      good(ran)
      assert.deepEqual(Object.keys(ran.outputs).sort(), [
        'error-code',
        'outcome',
        'report',
        'verdict',
      ])
      assert.deepEqual(
        [ran.outputs['verdict'], ran.outputs['outcome'], ran.outputs['error-code']],
        ['pass', 'success', ''],
      )
      assert.deepEqual(
        [report['id'], report['verdict'], report['findings']],
        [backupId, 'pass', []],
      )
      assert.deepEqual(errorsOf(ran), [])
    })

    test('test-migration: a harmful one fails, shows what would be lost, and no secret', async () => {
      let text = ''
      const api = await startGitHubApi()
      const event = { pull_request: { number: 7, head: { repo: { full_name: 'acme/shop' } } } }
      try {
        const harmful = {
          ...reading,
          'scratch-url': server.url('postgres'),
          'migrate-command': [
            'echo "$DATABASE_URL $PGPASSWORD"; echo "::error::forged";',
            `psql -c 'ALTER TABLE customers DROP COLUMN nickname'`,
          ].join(' '),
        }
        const options: WatchOptions = {
          event,
          env: { GITHUB_API_URL: api.url, GITHUB_EVENT_NAME: 'pull_request' },
          look: ({ outputs }) => (text = readFileSync(outputs['report'] ?? '', 'utf8')),
        }
        const ran = await run(server, 'test-migration', harmful, options)
        assert.equal(ran.code, 1)
        assert.deepEqual(
          [ran.outputs['verdict'], ran.outputs['outcome'], ran.outputs['error-code']],
          ['fail', 'failure', 'column-dropped'],
        )
        const report = JSON.parse(text) as {
          verdict: string
          findings: { code: string; object: string; lost: number }[]
        }
        assert.equal(report.verdict, 'fail')
        assert.deepEqual(
          report.findings.map(({ code, object, lost }) => [code, object, lost]),
          [['column-dropped', 'public.customers.nickname', 250]],
        )
        const errors = ran.annotations.filter(({ level }) => level === 'error')
        assert.deepEqual(
          errors.map(({ properties }) => properties['title']),
          ['public.customers.nickname: column-dropped', 'test-migration failed'],
          'and none that the command forged',
        )
        assert.match(ran.summary, /## ❌[^\n]*\n[^]*nickname[^]*250/)
        assert.equal(api.comments.length, 1)
        // once more, by a migration that passes: the same comment tells it
        const mended = await run(
          server,
          'test-migration',
          { ...harmful, 'migrate-command': 'true' },
          { ...options, look: () => {} },
        )
        good(mended)
        const [comment, ...others] = api.comments
        assert.deepEqual(others, [])
        assert.match(comment?.body ?? '', /## ✅/)
        assert.deepEqual(api.offences, [])
        assert.ok(
          ![server.password, encodeURIComponent(server.password), token].some((secret) =>
            `${text}${comment?.body}`.includes(secret),
          ),
        )
      } finally {
        await api.close()
      }
      assert.deepEqual(await server.databases(), ['postgres', 'shop'])
    })

    test('disaster, a dry run that touches nothing, and a restore that keeps the old database', async () => {
      await server.query('shop', 'DROP TABLE orders CASCADE')
      const putBack = { ...reading, 'target-url': server.url('shop'), confirm: 'shop' }
      const before = await server.query(
        'postgres',
        'SELECT oid, datname FROM pg_database ORDER BY 1',
      )
      const dry = await run(server, 'restore', { ...putBack, confirm: '', 'dry-run': 'true' })
      good(dry)
      assert.deepEqual([dry.outputs['backup-id'], dry.outputs['previous-database']], [backupId, ''])
      assert.deepEqual(
        await server.query('postgres', 'SELECT oid, datname FROM pg_database ORDER BY 1'),
        before,
      )
      assert.deepEqual(await server.query('shop', `SELECT to_regclass('orders') AS t`), [
        { t: null },
      ])

      const ran = await run(server, 'restore', putBack)
      good(ran)
      assert.deepEqual(Object.keys(ran.outputs).sort(), [
        'backup-id',
        'database',
        'duration-ms',
        'error-code',
        'lost-ms',
        'outcome',
        'previous-database',
        'safety-backup-id',
      ])
      assert.deepEqual([ran.outputs['backup-id'], ran.outputs['database']], [backupId, 'shop'])
      assert.match(ran.outputs['safety-backup-id'] ?? '', /-pre-restore$/)
      assert.ok(Number(ran.outputs['lost-ms']) > 0)
      const previous = ran.outputs['previous-database'] ?? ''
      assert.match(previous, /^shop_before_\d{8}T\d{6}$/)
      assert.deepEqual(await server.databases(), ['postgres', 'shop', previous])
      assert.deepEqual(
        await server.query(
          'shop',
          `SELECT (SELECT count(*) FROM orders)::int AS orders,
                  (SELECT count(*) FROM totals)::int AS totals,
                  (SELECT sum(twice) FROM orders)::text AS twice`,
        ),
        [{ orders: 2000, totals: 500, twice: '4003000.00' }],
      )
      assert.deepEqual(await server.query(previous, `SELECT to_regclass('orders') AS t`), [
        { t: null },
      ])
      // what was restored can be written to: the identity goes on where it was
      assert.deepEqual(
        await server.query('shop', `INSERT INTO customers (name) VALUES ('new') RETURNING id::int`),
        [{ id: 501 }],
      )
      assert.match(ran.summary, /```yaml\nundo: true\nconfirm: shop\n```/)
    })

    test('the summary’s undo works; a failing post-command fails the step, with outputs set', async () => {
      const undone = await run(server, 'restore', {
        'target-url': server.url('shop'),
        undo: 'true',
        confirm: 'shop',
      })
      good(undone)
      assert.deepEqual(await server.query('shop', `SELECT to_regclass('orders') AS t`), [
        { t: null },
      ])
      assert.deepEqual(await server.databases(), [
        'postgres',
        'shop',
        undone.outputs['previous-database'],
      ])
      const forth = await run(server, 'restore', {
        'target-url': server.url('shop'),
        undo: 'true',
        environment: 'production',
        confirm: 'production/shop',
        'post-command': 'psql -Atc "SELECT count(*) FROM orders"; exit 3',
      })
      assert.equal(forth.code, 1)
      assert.deepEqual(
        [forth.outputs['error-code'], forth.outputs['database']],
        ['post-command-failed', 'shop'],
      )
      assert.match(
        forth.summary,
        /## ❌ `shop` is swapped back, but the post-command failed\n[^]*```text\n2000\n```/,
      )
      await untilOlderThanASecond(forth.outputs['previous-database'] ?? '')
      const cleaned = await run(server, 'restore', {
        'target-url': server.url('shop'),
        clean: 'true',
        'keep-previous': '1s',
        confirm: 'shop',
      })
      good(cleaned)
      assert.match(cleaned.summary, /\*\*dropped\*\*/)
      assert.deepEqual(await server.databases(), ['postgres', 'shop'])
    })

    test('a safety backup that was made is told although the restore then failed', async () => {
      const putBack = {
        ...reading,
        'target-url': server.url('shop'),
        confirm: 'shop',
        prepare: 'DROP TABLE nothing',
      }
      const ran = await run(server, 'restore', putBack)
      assert.equal(ran.code, 1)
      assert.deepEqual(
        [ran.outputs['error-code'], ran.outputs['backup-id'], ran.outputs['previous-database']],
        ['prepare-failed', backupId, ''],
      )
      assert.match(ran.outputs['safety-backup-id'] ?? '', /-pre-restore$/)
      assert.deepEqual(await server.databases(), ['postgres', 'shop'])
    })
  })
}

describe('what else the contract says', () => {
  let server: OwnServer
  before(async () => {
    server = await startOwnServer()
    await server.create('shop', shop)
  })

  test('libpq’s variables name the database, and the label is then its name', async () => {
    const folder = newFolder()
    const { host, port, user, password = '' } = server.to('shop')
    const ran = await run(
      server,
      'backup',
      { storage: `file://${folder}`, 'encrypt-to': recipient },
      {
        env: {
          PGHOST: host,
          PGPORT: String(port),
          PGUSER: user,
          PGPASSWORD: password,
          PGDATABASE: 'shop',
        },
      },
    )
    good(ran)
    assert.equal(ran.outputs['location'], `file://${folder}/shop/${ran.outputs['backup-id']}`)
    const verified = await run(server, 'verify', {
      storage: `file://${folder}`,
      'decrypt-with': identity,
      'scratch-url': server.url('postgres'),
    })
    good(verified)
  })

  test('the word none stores a backup in the clear, which needs no key, and the summary says so', async () => {
    const folder = newFolder()
    const ran = await run(server, 'backup', {
      'database-url': server.url('shop'),
      storage: `file://${folder}`,
      'encrypt-to': 'none',
    })
    good(ran)
    assert.match(ran.summary, /not encrypted/i)
    good(
      await run(server, 'verify', {
        storage: `file://${folder}`,
        'scratch-url': server.url('postgres'),
      }),
    )
  })

  describe('what the first destination cannot give comes from the second', () => {
    let folder: string
    let id: string
    const verify = (first: string): Promise<WatchedRun> =>
      run(server, 'verify', {
        storage: `${first}\nfile://${folder}`,
        label: 'p',
        'decrypt-with': identity,
        'scratch-url': server.url('postgres'),
      })
    before(async () => {
      folder = newFolder()
      const ran = await run(server, 'backup', {
        'database-url': server.url('shop'),
        storage: `file://${folder}`,
        label: 'p',
        'encrypt-to': recipient,
      })
      good(ran)
      id = ran.outputs['backup-id'] ?? ''
    })
    const cases: [string, () => string, boolean][] = [
      ['an empty folder', () => `file://${newFolder()}`, false],
      ['a folder that is not there', () => `file://${folder}-gone`, false],
      ['a bucket that is not there', () => s3.url('x', 'nobucket'), true],
      [
        'a server that does not answer',
        () => 's3://backups/x?endpoint=http%3A%2F%2F127.0.0.1%3A9&region=us-east-1',
        true,
      ],
    ]
    for (const [what, first, warned] of cases)
      test(what, async () => {
        const ran = await verify(first())
        good(ran)
        assert.equal(ran.outputs['backup-id'], id)
        assert.equal(
          ran.annotations.some(
            ({ level, message }) => level === 'warning' && /could not be read/.test(message),
          ),
          warned,
          ran.log,
        )
      })
    test('an older backup only: the newest of both is meant by latest', async () => {
      const other = newFolder()
      good(
        await run(server, 'backup', {
          'database-url': server.url('shop'),
          storage: `file://${other}`,
          label: 'p',
          'encrypt-to': recipient,
        }),
      )
      const newer = await run(server, 'backup', {
        'database-url': server.url('shop'),
        storage: `file://${folder}`,
        label: 'p',
        'encrypt-to': recipient,
      })
      good(newer)
      id = newer.outputs['backup-id'] ?? ''
      const ran = await verify(`file://${other}`)
      good(ran)
      assert.equal(ran.outputs['backup-id'], id)
    })
    test('a backup of which the manifest is gone there', async () => {
      const copy = newFolder()
      good(
        await run(server, 'backup', {
          'database-url': server.url('shop'),
          storage: `file://${copy}\nfile://${folder}`,
          label: 'p',
          'encrypt-to': recipient,
        }),
      )
      for (const manifest of globSync(join(copy, '**/manifest.json'))) rmSync(manifest)
      good(await verify(`file://${copy}`))
    })
  })

  test('a verify that proves nothing says so by its outputs, its exit code and its summary', async () => {
    const folder = newFolder()
    good(
      await run(server, 'backup', {
        'database-url': server.url('shop'),
        storage: `file://${folder}`,
        label: 'p',
        'encrypt-to': recipient,
      }),
    )
    const [archive = ''] = globSync(join(folder, '**/base.dump*'))
    const bytes = readFileSync(archive)
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
    writeFileSync(archive, bytes)
    const ran = await run(server, 'verify', {
      storage: `file://${folder}`,
      label: 'p',
      'decrypt-with': identity,
      'scratch-url': server.url('postgres'),
    })
    assert.equal(ran.code, 1)
    assert.deepEqual(
      [
        ran.outputs['level'],
        ran.outputs['proven'],
        ran.outputs['outcome'],
        ran.outputs['error-code'],
      ],
      ['none', 'false', 'failure', 'not-proven'],
    )
    assert.match(ran.summary, /## ❌/)
    assert.equal(errorsOf(ran).length, 1)
    assert.ok(existsSync(archive), 'and the backup is left as it is')
  })

  test('on a pull request from a fork, the verdict stands although no comment may be written', async () => {
    const folder = newFolder()
    good(
      await run(server, 'backup', {
        'database-url': server.url('shop'),
        storage: `file://${folder}`,
        label: 'p',
        'encrypt-to': recipient,
      }),
    )
    const api = await startGitHubApi({ refuseWrites: 403 })
    try {
      const ran = await run(
        server,
        'test-migration',
        {
          storage: `file://${folder}`,
          label: 'p',
          'decrypt-with': identity,
          'scratch-url': server.url('postgres'),
          'migrate-command': 'true',
        },
        {
          event: { pull_request: { number: 7, head: { repo: { full_name: 'mallory/shop' } } } },
          env: { GITHUB_API_URL: api.url },
        },
      )
      good(ran)
      assert.equal(ran.outputs['verdict'], 'pass')
      assert.match(ran.log, /fork/)
      assert.match(ran.summary, /## ✅/)
      assert.deepEqual([api.comments, api.offences], [[], []])
    } finally {
      await api.close()
    }
  })

  test('the root action does what its input command names', async () => {
    const folder = newFolder()
    good(
      await run(server, '.', {
        command: 'backup',
        'database-url': server.url('shop'),
        storage: `file://${folder}`,
        'encrypt-to': recipient,
      }),
    )
    const wrong = await run(server, '.', { command: 'dump' })
    assert.deepEqual([wrong.code, wrong.outputs['error-code']], [1, 'bad-input'])
    assert.match(errorsOf(wrong).join(), /backup, verify, test-migration, restore/)
  })
})
