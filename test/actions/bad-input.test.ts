import assert from 'node:assert/strict'
import { chmodSync, cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { bucketOf } from '../storage/bucket.ts'
import { majors, type OwnServer, startOwnServer } from '../support/own-server.ts'
import { freePort, type RunningS3, startS3 } from '../support/s3.ts'
import {
  assertNoSecret,
  newFolder,
  watchedRun,
  type WatchedRun,
  type WatchOptions,
} from './watched-run.ts'

/**
 * Bad input gets one error that says what is wrong, where, and what to do; exit code 1; nothing
 * written, nothing lost.
 */
let server: OwnServer
let s3: RunningS3
let identity: string
let recipient: string
let other: string
/**
 * A folder with a good backup of `app` under the label `p`; never written to by a run that fails.
 */
let store: string
let backupId: string
let closed: number

before(async () => {
  server = await startOwnServer()
  s3 = await startS3(['backups'])
  identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
  other = await generateX25519Identity()
  closed = await freePort()
  await server.create(
    'app',
    'CREATE TABLE t AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 5000) g',
  )
  store = newFolder()
  const made = await watchedRun('backup', { ...dumping(), label: 'p' })
  assert.equal(made.code, 0, made.log)
  backupId = made.outputs['backup-id'] ?? ''
})
after(() => s3.stop())

const dumping = (): Record<string, string> => ({
  'database-url': server.url('app'),
  storage: `file://${store}`,
  label: 'p',
  'encrypt-to': recipient,
})
const reading = (): Record<string, string> => ({
  storage: `file://${store}`,
  label: 'p',
  'decrypt-with': identity,
  'scratch-url': server.url('postgres'),
})
const migrating = (): Record<string, string> => ({ ...reading(), 'migrate-command': 'true' })
const restoring = (): Record<string, string> => ({
  storage: `file://${store}`,
  label: 'p',
  'decrypt-with': identity,
  'target-url': server.url('app'),
  confirm: 'app',
})

/** All that a run could have changed. */
async function state(): Promise<unknown> {
  const bucket = bucketOf(s3, 'backups')
  try {
    return {
      files: globSync('**/*', { cwd: store }).sort(),
      objects: await bucket.everything(),
      databases: await server.databases(),
      rows: await server.query(
        'app',
        'SELECT count(*)::int AS n, md5(string_agg(v, id::text ORDER BY id)) AS v FROM t',
      ),
      roles: await server.query('postgres', 'SELECT rolname FROM pg_roles ORDER BY 1'),
    }
  } finally {
    bucket.close()
  }
}

interface Refusal {
  code: string
  /** What the message says: what is wrong, and where. */
  says: RegExp
  /** What the hint says: what to do. */
  hint: RegExp
}

/** Runs, and holds what holds for every refusal. */
async function refused(
  action: string,
  inputs: Record<string, string>,
  expected: Refusal,
  options: WatchOptions = {},
): Promise<WatchedRun> {
  const was = await state()
  const ran = await watchedRun(action, inputs, { ...options, env: { ...s3.env, ...options.env } })
  assert.equal(ran.code, 1, ran.log)
  assert.deepEqual(
    [ran.outputs['outcome'], ran.outputs['error-code']],
    ['failure', expected.code],
    ran.log,
  )
  const errors = ran.annotations.filter(({ level }) => level === 'error')
  assert.equal(errors.length, 1, ran.log)
  const [message = '', hint = '', ...more] = (errors[0]?.message ?? '').split('\n')
  assert.match(message, expected.says)
  assert.match(hint, expected.hint)
  assert.deepEqual(more, [`docs/errors.md#${expected.code}`], 'the page of the code comes last')
  assert.doesNotMatch(ran.raw, /\n\s+at .*[:)]/, 'no stack')
  assert.match(ran.summary, /^## ❌/)
  assertNoSecret(ran, [server.password, identity, other, s3.env.AWS_SECRET_ACCESS_KEY])
  assert.deepEqual(ran.left, { processes: [], files: [] })
  assert.equal(ran.postCode, 0)
  assert.equal(ran.state['held'], '[]')
  assert.deepEqual(await state(), was, 'nothing written, nothing lost')
  return ran
}

type Case = [
  what: string,
  inputs: () => Record<string, string>,
  expected: Refusal,
  env?: () => Record<string, string>,
]
const cases = (action: string, list: Case[]): void => {
  for (const [what, inputs, expected, env] of list)
    test(what, () => refused(action, inputs(), expected, env ? { env: env() } : {}).then(() => {}))
}
/** The same URL with something else in it. */
const changed = (url: string, change: (url: URL) => void): string => {
  const parsed = new URL(url)
  change(parsed)
  return parsed.href
}

describe('the database', () => {
  const at = (change: (url: URL) => void): Record<string, string> => ({
    ...dumping(),
    'database-url': changed(server.url('app'), change),
  })
  cases('backup', [
    [
      'no such host',
      () => at((url) => (url.hostname = 'db.invalid')),
      { code: 'host-unknown', says: /database-url.*db\.invalid/, hint: /Check the name/ },
    ],
    [
      'nothing listens',
      () => at((url) => (url.port = String(closed))),
      {
        code: 'unreachable',
        says: /database-url.*127\.0\.0\.1:\d+.*refused/,
        hint: /Check host and port/,
      },
    ],
    [
      'a wrong password',
      () => at((url) => (url.password = 'not-the-password')),
      {
        code: 'wrong-password',
        says: /database-url.*password of "holdfast"/,
        hint: /percent-encode/,
      },
    ],
    [
      'no such user',
      () => at((url) => (url.username = 'nobody_at_all')),
      { code: 'wrong-password', says: /nobody_at_all/, hint: /Correct the password/ },
    ],
    [
      'a database that is missing',
      () => at((url) => (url.pathname = '/nodb')),
      { code: 'database-missing', says: /"nodb"/, hint: /psql -l/ },
    ],
    [
      'SSL where there is none',
      () => at((url) => url.searchParams.set('sslmode', 'require')),
      { code: 'no-ssl', says: /does not speak SSL/, hint: /sslmode=disable/ },
    ],
    [
      'no URL at all',
      () => ({ ...dumping(), 'database-url': 'hello world' }),
      {
        code: 'bad-url',
        says: /database-url is not a PostgreSQL URL/,
        hint: /one line such as postgres:\/\/user:/,
      },
    ],
    [
      'nothing given',
      () => ({ ...dumping(), 'database-url': '' }),
      { code: 'bad-input', says: /database-url/, hint: /PGHOST|database-url/ },
    ],
  ])

  test('a password that was not encoded is refused, and no part of it is shown', async () => {
    for (const raw of [
      'p@ss/w:rd-s3cret',
      'pa/ss-s3cret',
      'a@b-s3cret',
      'x#y-s3cret',
      'a?b-s3cret',
      'a%zz-s3cret',
    ]) {
      const ran = await watchedRun('backup', {
        ...dumping(),
        'database-url': `postgres://holdfast:${raw}@127.0.0.1:${closed}/app`,
      })
      assert.equal(ran.code, 1)
      assertNoSecret(ran, [raw, 's3cret'])
    }
  })

  test('a table that the user may not read', async () => {
    await server.query(
      'app',
      `CREATE ROLE little LOGIN PASSWORD 'little-password'; CREATE SCHEMA own AUTHORIZATION little`,
    )
    const inputs = {
      ...dumping(),
      'database-url': changed(server.url('app'), (url) => {
        url.username = 'little'
        url.password = 'little-password'
      }),
    }
    await refused('backup', inputs, {
      code: 'no-permission',
      says: /"little" may not read public\.t/,
      hint: /GRANT pg_read_all_data TO "little"/,
    })
  })
})

describe('the keys', () => {
  cases('backup', [
    [
      'none',
      () => ({ ...dumping(), 'encrypt-to': '' }),
      { code: 'bad-input', says: /encrypt-to/, hint: /age-keygen/ },
    ],
    [
      'a broken one',
      () => ({ ...dumping(), 'encrypt-to': 'age1notakey' }),
      { code: 'bad-recipient', says: /encrypt-to/, hint: /age1/ },
    ],
    [
      'a private one in the public one’s place',
      () => ({ ...dumping(), 'encrypt-to': identity }),
      { code: 'bad-recipient', says: /encrypt-to/, hint: /public|age1/ },
    ],
    [
      'none besides a key',
      () => ({ ...dumping(), 'encrypt-to': `${recipient}\nnone` }),
      { code: 'bad-input', says: /holds both a key and the word none/, hint: /or none alone/ },
    ],
  ])
  cases('verify', [
    [
      'a wrong one',
      () => ({ ...reading(), 'decrypt-with': other }),
      {
        code: 'wrong-key',
        says: /The private key in decrypt-with does not open/,
        hint: /public key is age1.*needs the private key of age1/,
      },
    ],
    [
      'a missing one',
      () => ({ ...reading(), 'decrypt-with': '' }),
      { code: 'key-missing', says: /decrypt-with is empty/, hint: /encrypted to age1/ },
    ],
    [
      'a broken one',
      () => ({ ...reading(), 'decrypt-with': 'AGE-SECRET-KEY-1XX' }),
      { code: 'bad-identity', says: /decrypt-with/, hint: /AGE-SECRET-KEY/ },
    ],
    [
      'the public one',
      () => ({ ...reading(), 'decrypt-with': recipient }),
      { code: 'bad-identity', says: /decrypt-with/, hint: /AGE-SECRET-KEY/ },
    ],
  ])
})

describe('the storage', () => {
  cases('backup', [
    [
      'none',
      () => ({ ...dumping(), storage: '' }),
      { code: 'bad-input', says: /storage is empty/, hint: /s3:\/\// },
    ],
    [
      'an unknown scheme',
      () => ({ ...dumping(), storage: 'ftp://x/y' }),
      { code: 'storage-scheme-unknown', says: /ftp:\/\//, hint: /s3:\/\/.*file:\/\// },
    ],
    [
      'a path that is no URL',
      () => ({ ...dumping(), storage: '/mnt/backups' }),
      { code: 'storage-url-invalid', says: /path, not a URL/, hint: /file:\/\/\/mnt\/backups/ },
    ],
    [
      'a password in its URL',
      () => ({ ...dumping(), storage: 's3://key:a-secret-in-a-url@backups/x' }),
      {
        code: 'storage-url-invalid',
        says: /must not hold a user name or a password/,
        hint: /AWS_SECRET_ACCESS_KEY/,
      },
    ],
    [
      'a bucket that is missing',
      () => ({ ...dumping(), storage: s3.url('x', 'nobucket') }),
      {
        code: 'storage-bucket-missing',
        says: /nobucket does not exist/,
        hint: /does not create buckets/,
      },
    ],
    [
      'a wrong S3 secret',
      () => ({ ...dumping(), storage: s3.url('x') }),
      {
        code: 'storage-credentials-refused',
        says: /refused the S3 credentials/,
        hint: /AWS_SECRET_ACCESS_KEY/,
      },
      () => ({ AWS_SECRET_ACCESS_KEY: 'a-wrong-secret' }),
    ],
    [
      'a wrong S3 key id',
      () => ({ ...dumping(), storage: s3.url('x') }),
      {
        code: 'storage-credentials-refused',
        says: /refused the S3 credentials/,
        hint: /AWS_ACCESS_KEY_ID/,
      },
      () => ({ AWS_ACCESS_KEY_ID: 'nobody' }),
    ],
    [
      'an S3 server that is gone',
      () => ({
        ...dumping(),
        storage: `s3://backups/x?endpoint=http%3A%2F%2F127.0.0.1%3A${closed}&region=us-east-1`,
      }),
      {
        code: 'storage-unreachable',
        says: /127\.0\.0\.1:\d+ cannot be reached/,
        hint: /Check the endpoint=/,
      },
    ],
    [
      'a file where a folder should be',
      () => ({ ...dumping(), storage: `file://${fileInTheWay()}/x` }),
      { code: 'storage-not-a-folder', says: /is a file, not a folder/, hint: /Name a folder/ },
    ],
    [
      'a second destination that fails: nothing at the first either',
      () => ({ ...dumping(), storage: `file://${store}\n${s3.url('x', 'nobucket')}` }),
      { code: 'storage-bucket-missing', says: /nobucket/, hint: /bucket/ },
    ],
  ])

  const fileInTheWay = (): string => {
    const file = join(newFolder(), 'file')
    writeFileSync(file, '')
    return file
  }

  test('no permission to write', async () => {
    // root may write wherever the kernel lets it: there, to a place that it keeps for itself
    const folder = process.getuid?.() === 0 ? '/proc/holdfast' : newFolder()
    if (process.getuid?.() !== 0) chmodSync(folder, 0o555)
    await refused(
      'backup',
      { ...dumping(), storage: `file://${folder}` },
      { code: 'storage-access-denied', says: /Cannot write/, hint: /folder/ },
    )
  })
})

describe('the other inputs', () => {
  cases('backup', [
    [
      'keep is no number',
      () => ({ ...dumping(), keep: 'many' }),
      { code: 'bad-input', says: /keep is "many"/, hint: /keep: 7/ },
    ],
    [
      'keep is none',
      () => ({ ...dumping(), keep: '0' }),
      { code: 'bad-input', says: /keep is "0"/, hint: /keep: 7/ },
    ],
    [
      'a label that is a path',
      () => ({ ...dumping(), label: '../x' }),
      { code: 'bad-input', says: /label is "..\/x"/, hint: /label: production/ },
    ],
    [
      'a folder of programs that is not there',
      () => ({ ...dumping(), 'postgres-bin': '/no/such/folder' }),
      { code: 'bad-input', says: /\/no\/such\/folder/, hint: /spelling/ },
    ],
  ])
  cases('test-migration', [
    [
      'no command',
      () => ({ ...reading(), 'migrate-command': '' }),
      {
        code: 'bad-input',
        says: /migrate-command is empty/,
        hint: /migrate-command: npm run migrate/,
      },
    ],
    [
      'a timeout without a unit',
      () => ({ ...migrating(), timeout: '30' }),
      { code: 'bad-input', says: /timeout is "30"/, hint: /30m/ },
    ],
    [
      'a folder to work in that is not there',
      () => ({ ...migrating(), 'working-directory': 'no/such' }),
      { code: 'bad-input', says: /working-directory names "no\/such"/, hint: /spelling/ },
    ],
  ])
  cases('restore', [
    [
      'confirm is another name',
      () => ({ ...restoring(), confirm: 'ap' }),
      { code: 'confirm-mismatch', says: /confirm is "ap".*"app"/, hint: /confirm: app/ },
    ],
    [
      'confirm is empty',
      () => ({ ...restoring(), confirm: '' }),
      { code: 'confirm-mismatch', says: /confirm is empty/, hint: /confirm: app/ },
    ],
    [
      'confirm is wrong, also on a dry run',
      () => ({ ...restoring(), confirm: 'APP', 'dry-run': 'true' }),
      { code: 'confirm-mismatch', says: /"APP"/, hint: /confirm: app/ },
    ],
    [
      'no target',
      () => ({ ...restoring(), 'target-url': '' }),
      { code: 'bad-input', says: /target-url is empty/, hint: /target-url:/ },
    ],
    [
      'a dry run that is neither true nor false',
      () => ({ ...restoring(), 'dry-run': 'maybe' }),
      { code: 'bad-input', says: /dry-run is "maybe"/, hint: /dry-run: true/ },
    ],
  ])
})

describe('which backup', () => {
  for (const [action, inputs] of [
    ['verify', reading],
    ['test-migration', migrating],
    ['restore', restoring],
  ] as const) {
    cases(action, [
      [
        `${action}: an id that is unknown`,
        () => ({ ...inputs(), backup: '20200101T000000Z-nope' }),
        {
          code: 'unknown-backup',
          says: /20200101T000000Z-nope of "p"/,
          hint: /newest are: \d{8}T/,
        },
      ],
      [
        `${action}: an id that walks out`,
        () => ({ ...inputs(), backup: '../../etc' }),
        { code: 'bad-input', says: /backup is "..\/..\/etc"/, hint: /backup: latest/ },
      ],
      [
        `${action}: a word that is no id`,
        () => ({ ...inputs(), backup: 'newest' }),
        { code: 'bad-backup-id', says: /"newest"/, hint: /backup-id/ },
      ],
      [
        `${action}: a label that is unknown`,
        () => ({ ...inputs(), label: 'nolabel' }),
        { code: 'no-backup', says: /"nolabel"/, hint: /has these labels: p\b/ },
      ],
      [
        `${action}: nothing stored`,
        () => ({ ...inputs(), storage: `file://${newFolder()}` }),
        { code: 'no-backup', says: /No backup/, hint: /run the backup action first/ },
      ],
    ])
  }
  test('several labels, and none is named', async () => {
    const folder = newFolder()
    for (const label of ['one', 'two'])
      cpSync(join(store, 'p'), join(folder, label), { recursive: true })
    await refused(
      'verify',
      { ...reading(), storage: `file://${folder}`, label: '' },
      { code: 'label-needed', says: /one, two/, hint: /Set label/ },
    )
    await refused(
      'verify',
      { ...reading(), storage: `file://${folder}`, label: 'one' },
      { code: 'manifest-damaged', says: /belongs to another backup/, hint: /copied/ },
    )
  })
})

describe('the scratch server', () => {
  const at = (change: (url: URL) => void): Record<string, string> => ({
    ...reading(),
    'scratch-url': changed(server.url('postgres'), change),
  })
  cases('verify', [
    [
      'refuses the password',
      () => at((url) => (url.password = 'not-the-password')),
      { code: 'wrong-password', says: /scratch-url.*password/, hint: /Correct the password/ },
    ],
    [
      'is not there',
      () => at((url) => (url.port = String(closed))),
      { code: 'unreachable', says: /scratch-url.*refused/, hint: /Check host and port/ },
    ],
  ])
  test('is older than the backup', async (t) => {
    const oldest = majors().at(-1)
    if (oldest === server.major) return t.skip('NOT SHOWN: only one major is here')
    const old = await startOwnServer(oldest)
    const expected = {
      code: 'server-older',
      says: new RegExp(`PostgreSQL ${old.version}, older than the backup's ${server.version}`),
      hint: /major version/,
    }
    await refused('verify', { ...reading(), 'scratch-url': old.url('postgres') }, expected)
    await refused(
      'test-migration',
      { ...migrating(), 'scratch-url': old.url('postgres') },
      expected,
    )
    await old.create('app', 'CREATE TABLE mine (a int)')
    await refused('restore', { ...restoring(), 'target-url': old.url('app') }, expected)
    assert.deepEqual(await old.databases(), ['app', 'postgres'])
  })
  test('gives no right to make databases', async () => {
    await server.query('postgres', `CREATE ROLE weak LOGIN PASSWORD 'weak-password'`)
    await refused(
      'verify',
      at((url) => {
        url.username = 'weak'
        url.password = 'weak-password'
      }),
      {
        code: 'no-permission',
        says: /scratch-url: "weak" may not create databases/,
        hint: /CREATEDB/,
      },
    )
  })
  test('is needed where the programs of the backup’s major are not on this machine', async () => {
    // a major that is nowhere: the manifest is of such a server
    const folder = newFolder()
    cpSync(store, folder, { recursive: true })
    const { readManifest, writeManifest } = await import('../../src/repository/manifest.ts')
    const [file = ''] = globSync(join(folder, '**/manifest.json'))
    const manifest = readManifest(readFileSync(file, 'utf8'), 'x')
    writeFileSync(
      file,
      writeManifest({ ...manifest, source: { ...manifest.source, major: 14, server: '14.9' } }),
    )
    await refused(
      'verify',
      { ...reading(), storage: `file://${folder}`, 'scratch-url': '' },
      {
        code: 'client-missing',
        says: /PostgreSQL 14's .*not on this machine \(found: \d/,
        hint: /postgresql-14.*scratch-url/,
      },
    )
  })
})

describe('the migrate command', () => {
  const failing = async (
    inputs: Record<string, string>,
    code: string,
    says: RegExp,
  ): Promise<WatchedRun> => {
    const was = await state()
    const ran = await watchedRun('test-migration', { ...migrating(), ...inputs })
    assert.deepEqual(
      [ran.code, ran.outputs['verdict'], ran.outputs['outcome'], ran.outputs['error-code']],
      [1, 'fail', 'failure', code],
      ran.log,
    )
    assert.match(
      ran.annotations
        .filter(({ level }) => level === 'error')
        .map(({ message }) => message)
        .join('\n'),
      says,
    )
    assert.doesNotMatch(ran.raw, /\n\s+at .*[:)]/)
    assert.deepEqual(ran.left, { processes: [], files: [] })
    assert.deepEqual(await state(), was)
    return ran
  }
  test('fails', () =>
    failing(
      { 'migrate-command': 'echo boom >&2; exit 3' },
      'migration-failed',
      /exit code 3.*boom/,
    ).then(() => {}))
  test('does not exist', () =>
    failing(
      { 'migrate-command': 'no-such-program --up' },
      'migration-failed',
      /exit code 127.*no-such-program/,
    ).then(() => {}))
  test('hangs past its timeout, with what it started', async () => {
    const ran = await failing(
      { 'migrate-command': 'sleep 600 & trap "" TERM; sleep 601; sleep 602', timeout: '2s' },
      'migration-timed-out',
      /timeout of 2 s/,
    )
    assert.ok(ran.ms < 15_000, `${ran.ms} ms`)
  })
})

describe('what is stored was damaged', () => {
  let folder: string
  let archive: string
  let manifest: string
  before(() => {
    folder = newFolder()
    cpSync(store, folder, { recursive: true })
    ;[archive = ''] = globSync(join(folder, '**/base.dump*'))
    ;[manifest = ''] = globSync(join(folder, '**/manifest.json'))
  })
  /** Writes the damage, runs the body, and writes back what was there. */
  async function damaged(
    file: string,
    change: (bytes: Buffer) => Buffer | undefined,
    body: () => Promise<unknown>,
  ): Promise<void> {
    const good = readFileSync(file)
    const bad = change(Buffer.from(good))
    if (bad) writeFileSync(file, bad)
    else rmSync(file)
    try {
      await body()
    } finally {
      writeFileSync(file, good)
    }
  }
  const flip =
    (at: (length: number) => number) =>
    (bytes: Buffer): Buffer => {
      const place = at(bytes.length)
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place)
      return bytes
    }
  const damages: Record<string, (bytes: Buffer) => Buffer | undefined> = {
    'a bit in the header': flip(() => 30),
    'a bit in the middle': flip((length) => length >> 1),
    'the last bit': flip((length) => length - 1),
    'cut in half': (bytes) => bytes.subarray(0, bytes.length >> 1),
    'a byte less': (bytes) => bytes.subarray(0, -1),
    'a byte more': (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
    empty: () => Buffer.alloc(0),
    missing: () => undefined,
  }
  for (const [what, change] of Object.entries(damages))
    test(`the archive: ${what}`, () =>
      damaged(archive, change, async () => {
        const inputs = { ...reading(), storage: `file://${folder}` }
        const was = await state()
        const ran = await watchedRun('verify', inputs)
        assert.deepEqual(
          [ran.code, ran.outputs['proven'], ran.outputs['level'], ran.outputs['error-code']],
          [1, 'false', 'none', 'not-proven'],
          ran.log,
        )
        assert.deepEqual(await state(), was)
        const code = what === 'missing' ? 'object-missing' : 'object-damaged'
        const says = what === 'missing' ? /base\.dump.* is missing/ : /base\.dump/
        await refused(
          'restore',
          { ...restoring(), storage: `file://${folder}` },
          { code, says, hint: /another backup|another destination/ },
        )
        if (what === 'cut in half')
          await refused(
            'test-migration',
            { ...migrating(), storage: `file://${folder}` },
            { code, says, hint: /another/ },
          )
      }))

  const newer = (bytes: Buffer): Buffer =>
    Buffer.from(bytes.toString().replace('"format": 1', '"format": 99'))
  const manifests: [string, (bytes: Buffer) => Buffer, string, RegExp][] = [
    ['of a newer format', newer, 'newer-format', /format 99.*reads formats up to 1/],
    ['not whole', (bytes) => bytes.subarray(0, 300), 'manifest-damaged', /not complete JSON/],
    ['empty', () => Buffer.alloc(0), 'manifest-damaged', /it is empty/],
    ['a flipped bit', flip((length) => length >> 1), 'manifest-damaged', /is damaged/],
  ]
  for (const [what, change, code, says] of manifests)
    test(`the manifest: ${what}`, () =>
      damaged(manifest, change, async () => {
        for (const [action, inputs] of [
          ['verify', reading()],
          ['restore', restoring()],
        ] as const)
          await refused(
            action,
            { ...inputs, storage: `file://${folder}` },
            { code, says, hint: code === 'newer-format' ? /RECOVER\.md/ : /new backup/ },
          )
      }))
  test('and mended again, it is proven', async () => {
    const ran = await watchedRun('verify', {
      ...reading(),
      storage: `file://${folder}`,
      backup: backupId,
    })
    assert.deepEqual([ran.code, ran.outputs['proven']], [0, 'true'], ran.log)
  })
})
