import assert from 'node:assert/strict'
import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { newFolder, processesOf } from '../actions/watched-run.ts'
import { bucketOf } from '../storage/bucket.ts'
import { type FaultyProxy, startFaultyProxy } from '../support/faulty-proxy.ts'
import { type OwnServer, startOwnServer } from '../support/own-server.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import { notes, type Typed, typed, type TypedOptions } from './typed.ts'

/**
 * A command that is stopped leaves nothing; one that is killed leaves a note, by which the next
 * command cleans up.
 */
const slow = `
  CREATE FUNCTION takes_long(a int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
  CREATE TABLE zz_slow (a int CHECK (takes_long(a)));
  INSERT INTO zz_slow VALUES (1);
  CREATE OR REPLACE FUNCTION takes_long(a int) RETURNS boolean LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_catalog.pg_sleep(300); RETURN true; END'`

let server: OwnServer
let s3: RunningS3
let proxy: FaultyProxy
let home: string
let key: string
let storage: string
let env: Record<string, string>
let recipient: string
const url = (database: string): string =>
  `postgres://holdfast@${server.to(database).host}:${server.to(database).port}/${database}`

before(async () => {
  server = await startOwnServer()
  s3 = await startS3(['backups'])
  proxy = await startFaultyProxy(s3.port)
  const identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
  home = newFolder()
  key = join(home, 'key.txt')
  writeFileSync(key, identity, { mode: 0o600 })
  storage = `file://${newFolder()}`
  env = { ...s3.env, PGPASSWORD: server.password }
  await server.create('slow', slow)
  await server.create('quick', 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g')
  await server.create(
    'large',
    `CREATE TABLE fat AS
     SELECT g AS id,
            (SELECT string_agg(md5((g * 100 + i)::text), '') FROM generate_series(1, 40) i) AS v
       FROM generate_series(1, 40000) g`,
  )
  for (const name of ['slow', 'quick'])
    assert.equal(
      (
        await type([
          'backup',
          '--storage',
          storage,
          '--encrypt-to',
          recipient,
          '--database-url',
          url(name),
        ])
      ).code,
      0,
    )
})
after(async () => {
  await proxy.stop()
  await s3.stop()
})
beforeEach(() => {
  proxy.rules.length = 0
  proxy.seen.length = 0
})

const type = (args: readonly string[], options: Partial<TypedOptions> = {}): Promise<Typed> =>
  typed(args, { home, ...options, env: { ...env, ...options.env } })
const busy = async (database: RegExp, query: RegExp): Promise<boolean> =>
  (
    await server.query(
      'postgres',
      'SELECT datname, query FROM pg_stat_activity WHERE datname IS NOT NULL',
    )
  ).some((row) => database.test(String(row['datname'])) && query.test(String(row['query'])))
const ours = async (): Promise<string[]> =>
  (await server.databases()).filter((name) => name.startsWith('holdfast'))
const restoring = (): Promise<boolean> => busy(/^holdfast_side/, /^COPY/)
const restoreSlow = (): string[] => [
  'restore',
  '--storage',
  storage,
  '--label',
  'slow',
  '--decrypt-with-file',
  key,
  '--target-url',
  url('quick'),
  '--confirm',
  'quick',
]

async function leftNothing(ran: Typed): Promise<void> {
  assert.deepEqual(ran.left, { processes: [], files: [] }, ran.said)
  assert.deepEqual(notes(home), [])
  assert.deepEqual(await ours(), [])
  assert.deepEqual(await server.query('quick', 'SELECT count(*)::int AS n FROM t'), [{ n: 1000 }])
}

describe('in the middle of a restore', () => {
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    test(`${name} leaves nothing`, async () => {
      const ran = await type(restoreSlow(), { cancel: { name, when: restoring } })
      assert.equal(ran.code, code, ran.said)
      assert.match(ran.stderr, /restore: cancelled/)
      await leftNothing(ran)
    })

  test('Ctrl-C on a terminal leaves nothing', async () => {
    const ran = await type(restoreSlow(), { keys: [{ when: restoring, type: '\u0003' }] })
    assert.equal(ran.code, 130, ran.said)
    await leftNothing(ran)
  })

  test('the terminal closes: nothing is left either', async () => {
    // `script` dies, and with it the terminal: the kernel sends SIGHUP
    const ran = await type(restoreSlow(), {
      keys: [{ when: restoring, type: '' }],
      cancel: { name: 'SIGKILL', when: restoring },
    })
    for (let i = 0; i < 200 && (await ours()).length > 0; i++) await sleep(50)
    assert.deepEqual(await ours(), [], ran.said)
    for (let i = 0; i < 100 && notes(home).length > 0; i++) await sleep(50)
    assert.deepEqual(notes(home), [])
    assert.deepEqual(processesOf(ran.temporary), [])
  })

  test('a kill leaves a note without a secret, and the next run on that server drops the database', async () => {
    const ran = await type(restoreSlow(), { cancel: { name: 'SIGKILL', when: restoring } })
    assert.equal(ran.code, 137)
    const [database = ''] = await ours()
    assert.match(database, /^holdfast_side_/)
    const [note] = notes(home)
    assert.match(JSON.stringify(note), new RegExp(database))
    assert.ok(
      !JSON.stringify(note).includes(server.password) &&
        !JSON.stringify(note).includes('AGE-SECRET'),
    )

    const elsewhere = await type(['status', '--storage', storage])
    assert.equal(elsewhere.code, 0, elsewhere.said)
    assert.match(
      elsewhere.stdout,
      new RegExp(
        'An earlier restore \\(.*\\) was killed[^]*' +
          `The database "${database}" is still on 127\\.0\\.0\\.1:\\d+: a run with --target-url`,
      ),
    )
    assert.deepEqual(await ours(), [database])

    const next = await type([
      'restore',
      '--storage',
      storage,
      '--decrypt-with-file',
      key,
      '--label',
      'quick',
      '--target-url',
      url('quick'),
      '--dry-run',
    ])
    assert.equal(next.code, 0, next.said)
    assert.match(next.stdout, new RegExp(`Dropped the database "${database}"`))
    await leftNothing(next)
    assert.doesNotMatch((await type(['status', '--storage', storage])).said, /earlier/)
  })

  test('while a run still lives, nothing of it is touched', async () => {
    let other: Typed | undefined
    const ran = await type(restoreSlow(), {
      cancel: {
        name: 'SIGINT',
        when: async () => {
          if (!(await restoring())) return false
          other = await type([
            'restore',
            '--storage',
            storage,
            '--decrypt-with-file',
            key,
            '--label',
            'quick',
            '--target-url',
            url('large'),
            '--dry-run',
          ])
          return (await ours()).length === 1 && notes(home).length === 1
        },
      },
    })
    assert.equal(other?.code, 0, other?.said)
    assert.doesNotMatch(other.said, /earlier/)
    assert.equal(ran.code, 130)
    await leftNothing(ran)
  })
})

test('the next run removes the server, processes and folder of a verify that was killed', async () => {
  const running = (): boolean =>
    globSync('/proc/[0-9]*/cmdline').some((file) => {
      try {
        return /^postgres: .*holdfast_scratch.* COPY/.test(readFileSync(file, 'utf8'))
      } catch {
        return false
      }
    })
  const ran = await type(
    ['verify', '--storage', storage, '--label', 'slow', '--decrypt-with-file', key],
    { cancel: { name: 'SIGKILL', when: running } },
  )
  assert.equal(ran.code, 137)
  assert.equal(notes(home).length, 1)
  assert.ok(ran.left.processes.length > 0 && ran.left.files.length > 0)
  const next = await type(['status', '--storage', storage])
  assert.equal(next.code, 0, next.said)
  assert.match(next.stdout, /Removed the scratch cluster in/)
  for (let i = 0; i < 40 && processesOf(ran.temporary).length > 0; i++) await sleep(50)
  assert.deepEqual(processesOf(ran.temporary), [])
  assert.deepEqual(readdirSync(ran.temporary), [])
  assert.deepEqual(notes(home), [])
})

test('a backup that is killed: its half upload goes with the next run that has the same storage', async () => {
  proxy.rules.push({ method: 'PUT', url: /partNumber=2/, fault: { kind: 'stall' }, times: 1000 })
  const direct = s3.url('died')
  const stalled = direct.replace(
    encodeURIComponent(s3.endpoint),
    encodeURIComponent(proxy.endpoint),
  )
  const backup = [
    'backup',
    '--storage',
    stalled,
    '--encrypt-to',
    recipient,
    '--database-url',
    url('large'),
  ]
  const ran = await type(backup, {
    cancel: {
      name: 'SIGKILL',
      when: () => proxy.seen.some((request) => /^PUT .*partNumber=2/.test(request)),
    },
  })
  assert.equal(ran.code, 137)
  const bucket = bucketOf(s3, 'backups')
  const there = async (): Promise<string[]> =>
    (await bucket.everything()).filter((name) => name.includes('died/'))
  try {
    if (s3.kind !== 'stand-in') assert.ok((await there()).some((name) => name.startsWith('half:')))
    const elsewhere = await type(['status', '--storage', storage])
    assert.match(
      elsewhere.stdout,
      /unfinished backup of "large" are still in s3:\/\/backups\/died\S*: a run with that --storage removes them/,
    )
    proxy.rules.length = 0
    const next = await type(['status', '--storage', stalled])
    assert.match(next.stderr, /no-backup/, 'nothing else was ever stored there')
    assert.match(next.stdout, /Removed what the unfinished backup large\/\S+ had left/)
    assert.deepEqual(
      (await there()).filter((name) => !name.endsWith('holdfast-probe')),
      [],
    )
    assert.deepEqual(notes(home), [])
  } finally {
    bucket.close()
  }
})

test('where nothing can be noted, work goes on, and a warning says what that means', async () => {
  const file = join(newFolder(), 'a-file')
  writeFileSync(file, '')
  const ran = await type(
    [
      'backup',
      '--storage',
      `file://${newFolder()}`,
      '--encrypt-to',
      'none',
      '--database-url',
      url('quick'),
    ],
    { env: { XDG_STATE_HOME: file } },
  )
  assert.equal(ran.code, 0, ran.said)
  assert.equal(
    ran.stderr.match(/Cannot write to .*If this run is killed, nothing cleans up/g)?.length,
    1,
  )
})

test('a damaged note is removed, and a reused pid does not count as a live run', async () => {
  const folder = join(home, '.local/state/holdfast/runs')
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, `${process.pid}-1-aaaaaaaa.json`),
    '{"command": "restore", "held": [{"kind": "folder", "directory": "/nowhere/at/all"}]}',
  )
  writeFileSync(join(folder, '999999999-1-bbbbbbbb.json'), '{')
  const ran = await type(['status', '--storage', storage])
  assert.equal(ran.code, 0, ran.said)
  assert.match(ran.stdout, /An earlier restore/)
  assert.deepEqual(notes(home), [])
})
