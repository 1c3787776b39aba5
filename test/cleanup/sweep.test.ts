import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { findPostgres } from '../../scripts/postgres-programs.mjs'
import { sweep } from '../../src/cleanup/sweep.ts'
import { startCluster } from '../../src/postgres/server/cluster.ts'
import { openStorage } from '../../src/storage/open.ts'
import { startTicks } from '../../src/stream/process.ts'
import type { Held } from '../../src/work.ts'
import { newStore, temporaryFolder } from '../support/copies.ts'
import { startOwnServer } from '../support/own-server.ts'
import { quietWork } from '../support/start-servers.ts'

/**
 * The clean-up after a process that died: it removes each kind of thing, and nothing that only looks
 * like it.
 */
const server = await startOwnServer()
const none = { destinations: [], servers: {} }
const linux = process.platform === 'linux'
const children: ChildProcess[] = []
after(() => children.forEach((child) => child.kill('SIGKILL')))

function sleeper(script = 'sleep 500 & sleep 501'): { pid: number; gone: Promise<unknown> } {
  const child = spawn('bash', ['-c', script], { detached: true, stdio: 'ignore' })
  children.push(child)
  return { pid: child.pid ?? 0, gone: new Promise((resolve) => child.once('close', resolve)) }
}
const alive = (pid: number): boolean => startTicks(pid) !== ''
const groupOf = (pid: number): number[] =>
  globSync('/proc/[0-9]*/stat').flatMap((file) => {
    try {
      const text = readFileSync(file, 'utf8')
      const [state, , group] = text.slice(text.lastIndexOf(')') + 2).split(' ')
      return Number(group) === pid && state !== 'Z' ? [Number.parseInt(text, 10)] : []
    } catch {
      return []
    }
  })

describe('a process', { skip: linux ? false : 'NOT SHOWN: processes are known by /proc' }, () => {
  test('is ended with its group, and a sentence says so', async () => {
    const { pid, gone } = sleeper()
    while (groupOf(pid).length < 3) await new Promise((resolve) => setTimeout(resolve, 20))
    const said = await sweep(
      [{ kind: 'process', pid, startTicks: startTicks(pid) }],
      none,
      quietWork(),
    )
    await gone
    assert.deepEqual(said, [`Ended the process ${pid}.`])
    for (let i = 0; i < 40 && groupOf(pid).length > 0; i++)
      await new Promise((resolve) => setTimeout(resolve, 25))
    assert.deepEqual(groupOf(pid), [])
  })
  test('with the same id that started at another time is another process, and is left alone', async () => {
    const { pid, gone } = sleeper()
    for (const ticks of [String(Number(startTicks(pid)) - 1), '', 'x'])
      assert.deepEqual(
        await sweep([{ kind: 'process', pid, startTicks: ticks }], none, quietWork()),
        [],
      )
    assert.ok(alive(pid))
    process.kill(-pid, 'SIGKILL')
    await gone
  })
  test('that is gone is not reported', async () => {
    const { pid, gone } = sleeper('exit 0')
    const ticks = startTicks(pid)
    await gone
    assert.deepEqual(
      await sweep([{ kind: 'process', pid, startTicks: ticks || '1' }], none, quietWork()),
      [],
    )
  })
})

describe('a scratch cluster', () => {
  test('is stopped and removed', async () => {
    const [found] = findPostgres(process.env)
    assert.ok(found)
    let directory = ''
    const work = {
      ...quietWork(),
      hold: (held: Held) => void (held.kind === 'cluster' && (directory = held.directory)),
    }
    await startCluster(
      { directory: found.bindir, major: found.major, version: found.version },
      {},
      work,
    )
    const pid = Number(readFileSync(join(directory, 'data/postmaster.pid'), 'utf8').split('\n')[0])
    assert.ok(alive(pid))
    assert.deepEqual(await sweep([{ kind: 'cluster', directory }], none, quietWork()), [
      `Removed the scratch cluster in ${directory}.`,
    ])
    assert.ok(!alive(pid) && !existsSync(directory))
    assert.deepEqual(
      await sweep([{ kind: 'cluster', directory }], none, quietWork()),
      [],
      'twice is no error',
    )
  })
  test('of which only files remain is removed, without ending a process that has its pid now', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-cluster-'))
    const { pid, gone } = sleeper()
    mkdirSync(join(directory, 'data'))
    writeFileSync(join(directory, 'data/PG_VERSION'), '18\n')
    writeFileSync(join(directory, 'data/postmaster.pid'), `${pid}\n${directory}/data\n`)
    await sweep([{ kind: 'cluster', directory }], none, quietWork())
    assert.ok(!existsSync(directory))
    assert.ok(alive(pid))
    process.kill(-pid, 'SIGKILL')
    await gone
  })
  test('in a folder of another name is left alone', async () => {
    for (const name of [
      'data',
      'holdfast-abcdef',
      'holdfast-cluster-x',
      'holdfast-cluster-abcdef-more',
    ]) {
      const directory = join(temporaryFolder(), name)
      mkdirSync(directory)
      writeFileSync(join(directory, 'precious'), '')
      await sweep([{ kind: 'cluster', directory }], none, quietWork())
      assert.ok(existsSync(join(directory, 'precious')), name)
    }
  })
})

test('a restore’s folder is removed; a missing one is no error; any other is left alone', async () => {
  const parent = temporaryFolder()
  const make = (name: string): string => {
    const directory = join(parent, name)
    mkdirSync(directory)
    writeFileSync(join(directory, 'x'), '')
    return directory
  }
  const directory = make('holdfast-restore-0123456789ab')
  assert.deepEqual(
    await sweep(
      [
        { kind: 'folder', directory },
        { kind: 'folder', directory },
      ],
      none,
      quietWork(),
    ),
    [],
  )
  assert.ok(!existsSync(directory))
  for (const name of [
    'data',
    'holdfast-restore-',
    'holdfast-restore-0123456789abc',
    'xholdfast-restore-0123456789ab',
  ]) {
    const other = make(name)
    await sweep([{ kind: 'folder', directory: other }], none, quietWork())
    assert.ok(existsSync(join(other, 'x')), name)
  }
})

describe('a database', () => {
  const name = 'holdfast_scratch_0123456789ab'
  const side = 'holdfast_side_0123456789ab'
  const servers = {
    'scratch-url': { ...server.to('postgres'), input: 'scratch-url' },
    'target-url': { ...server.to('no_longer_there'), input: 'target-url' },
  }
  test('is dropped on its server, even if it is in use, or if the target is gone', async () => {
    for (const one of [name, side]) await server.create(one, 'CREATE TABLE t (a int)')
    const busy = server.query(name, 'SELECT pg_sleep(60)').catch(() => {})
    await server.untilAsleep()
    const held: Held[] = [
      { kind: 'database', name, input: 'scratch-url' },
      { kind: 'database', name: side, input: 'target-url' },
    ]
    assert.deepEqual(await sweep(held, { destinations: [], servers }, quietWork()), [
      `Dropped the database "${name}".`,
      `Dropped the database "${side}".`,
    ])
    await busy
    assert.deepEqual(await server.databases(), ['postgres'])
  })
  test('with any other name is never dropped', async () => {
    const names = [
      'app',
      'holdfast_scratch_app',
      'holdfast_side_0123456789abc',
      'xholdfast_side_0123456789ab',
    ]
    for (const one of names) await server.create(one, 'SELECT 1')
    assert.deepEqual(
      await sweep(
        names.map((one): Held => ({ kind: 'database', name: one, input: 'scratch-url' })),
        { destinations: [], servers },
        quietWork(),
      ),
      [],
    )
    assert.deepEqual(await server.databases(), [...names, 'postgres'].sort())
    for (const one of names) await server.query('postgres', `DROP DATABASE ${one}`)
  })
  test('is dropped before its roles; roles that can log in or are in use stay', async () => {
    await server.query(
      'postgres',
      'CREATE ROLE made NOLOGIN; CREATE ROLE used NOLOGIN; CREATE ROLE person LOGIN',
    )
    await server.create(name, 'CREATE TABLE t (a int); ALTER TABLE t OWNER TO made')
    await server.create('theirs', 'CREATE TABLE t (a int); ALTER TABLE t OWNER TO used')
    const held: Held[] = [
      { kind: 'roles', names: ['made', 'used', 'person', 'gone'], input: 'scratch-url' },
      { kind: 'database', name, input: 'scratch-url' },
    ]
    assert.deepEqual(await sweep(held, { destinations: [], servers }, quietWork()), [
      `Dropped the database "${name}".`,
      'Dropped the roles made.',
    ])
    await server.query('postgres', 'DROP DATABASE theirs')
    await server.query('postgres', 'DROP ROLE used')
    await server.query('postgres', 'DROP ROLE person')
  })
  test('on an unreachable server is reported, and the rest is cleaned up', async () => {
    await server.create(name, 'SELECT 1')
    const wrong = {
      ...servers,
      'target-url': { ...server.to('postgres'), password: 'not-the-password', input: 'target-url' },
    }
    const said = await sweep(
      [
        { kind: 'database', name: side, input: 'target-url' },
        { kind: 'database', name, input: 'scratch-url' },
      ],
      { destinations: [], servers: wrong },
      quietWork(),
    )
    assert.match(
      said[0] ?? '',
      new RegExp(`^Could not clean up the database "${side}": target-url: .*password`),
    )
    assert.equal(said[1], `Dropped the database "${name}".`)
    assert.ok(!said.join().includes('not-the-password'))
  })
})

describe('an unfinished backup', () => {
  const files = (folder: string): string[] =>
    globSync('**/*', { cwd: folder, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .sort()
  test('is removed where it has no manifest, and kept where it has one', async () => {
    const store = await newStore()
    await server.create('app', 'CREATE TABLE t (a int)')
    const made = await store.backup(server.to('app'))
    const other = temporaryFolder()
    const half = join(other, 'test', made.id)
    mkdirSync(half, { recursive: true })
    writeFileSync(join(half, 'base.dump.age'), 'half of it')
    const whole = files(store.folder)
    assert.ok(whole.includes('manifest.json'))
    const held: Held = { kind: 'backup', label: 'test', id: made.id }
    const said = await sweep(
      [held],
      { destinations: [store.storage, openStorage(`file://${other}`)], servers: {} },
      quietWork(),
    )
    assert.deepEqual(said, [
      `Removed what the unfinished backup test/${made.id} had left in file://${other}.`,
    ])
    assert.deepEqual([files(store.folder), files(other)], [whole, []])
  })
  test('is removed alone; a backup with a similar id stays', async () => {
    const folder = temporaryFolder()
    for (const id of ['20260101T000000Z-aaaaaa', '20260101T000000Z-aaaaaab']) {
      mkdirSync(join(folder, 'test', id), { recursive: true })
      writeFileSync(join(folder, 'test', id, 'base.dump.age'), 'x')
    }
    await sweep(
      [{ kind: 'backup', label: 'test', id: '20260101T000000Z-aaaaaa' }],
      { destinations: [openStorage(`file://${folder}`)], servers: {} },
      quietWork(),
    )
    assert.deepEqual(globSync('test/*/base.dump.age', { cwd: folder }), [
      'test/20260101T000000Z-aaaaaab/base.dump.age',
    ])
    rmSync(folder, { recursive: true, force: true })
  })
})

describe('a schema in a live database', () => {
  test('is dropped with its contents, if a restore made its name', async () => {
    await server.create('lived', 'CREATE SCHEMA holdfast_staging_0123456789ab')
    await server.query(
      'lived',
      'CREATE TABLE holdfast_staging_0123456789ab.t1 (a int); CREATE SCHEMA holdfast_staging_mine',
    )
    const held = (name: string): Held => ({
      kind: 'schema',
      database: 'lived',
      name,
      input: 'target-url',
    })
    const options = { destinations: [], servers: { 'target-url': server.to('postgres') } }
    assert.deepEqual(
      await sweep([held('holdfast_staging_mine'), held('public')], options, quietWork()),
      [],
    )
    assert.deepEqual(await sweep([held('holdfast_staging_0123456789ab')], none, quietWork()), [])
    assert.deepEqual(await sweep([held('holdfast_staging_0123456789ab')], options, quietWork()), [
      'Dropped the schema "holdfast_staging_0123456789ab" in the database "lived".',
    ])
    assert.deepEqual(
      await server.query(
        'lived',
        `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'`,
      ),
      [{ nspname: 'holdfast_staging_mine' }],
    )
  })
})
