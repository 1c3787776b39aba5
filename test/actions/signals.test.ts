import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { connect } from '../../src/postgres/connection/session.ts'
import { bucketOf } from '../storage/bucket.ts'
import { until } from '../support/clock.ts'
import { type FaultyProxy, startFaultyProxy } from '../support/faulty-proxy.ts'
import { type OwnServer, startOwnServer } from '../support/own-server.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import { quietWork } from '../support/start-servers.ts'
import {
  assertNoSecret,
  newFolder,
  processesOf,
  watchedRun,
  type WatchedRun,
} from './watched-run.ts'

/**
 * A run that is cancelled (SIGINT, SIGTERM) or killed leaves nothing: no process, no database, no
 * folder, no half backup, no session; and what it worked for is as it was. Each moment is one that
 * is seen from outside, not a guess of milliseconds.
 */
type Signal = 'SIGINT' | 'SIGTERM' | 'SIGKILL'
const signals: Signal[] = ['SIGINT', 'SIGTERM', 'SIGKILL']
/** What GitHub's runner waits after SIGINT, and after SIGTERM, milliseconds. */
const patience: Record<Signal, number> = { SIGINT: 7500, SIGTERM: 7500, SIGKILL: 1000 }

/** Loading a row of it takes for ever: a restore of it is always in the middle. */
const slow = `
  CREATE FUNCTION takes_long(a int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
  CREATE TABLE zz_slow (a int CHECK (takes_long(a)));
  INSERT INTO zz_slow VALUES (1);
  CREATE OR REPLACE FUNCTION takes_long(a int) RETURNS boolean LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_catalog.pg_sleep(300); RETURN true; END'`

let server: OwnServer
let s3: RunningS3
/** Between the run and the S3 server, to hold an upload in the middle. */
let proxy: FaultyProxy
let identity: string
let recipient: string
/** Backups of `slow` and `quick`, by these labels. */
let store: string

before(async () => {
  server = await startOwnServer()
  s3 = await startS3(['backups'])
  proxy = await startFaultyProxy(s3.port)
  identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
  store = newFolder()
  await server.create('slow', slow)
  await server.create('quick', 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g')
  // hardly to be compressed: several parts of an upload
  await server.create(
    'large',
    `CREATE TABLE fat AS
     SELECT g AS id,
            (SELECT string_agg(md5((g * 100 + i)::text), '') FROM generate_series(1, 40) i) AS v
       FROM generate_series(1, 40000) g`,
  )
  for (const name of ['slow', 'quick']) {
    const made = await watchedRun('backup', {
      'database-url': server.url(name),
      storage: `file://${store}`,
      'encrypt-to': recipient,
    })
    assert.equal(made.code, 0, made.log)
  }
})
after(async () => {
  await proxy.stop()
  await s3.stop()
})
beforeEach(() => {
  proxy.rules.length = 0
  proxy.seen.length = 0
})

const sessions = async (): Promise<unknown[]> =>
  server.query(
    'postgres',
    `SELECT datname, application_name, query FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  )
const copies = async (): Promise<string[]> =>
  (await server.databases()).filter((name) => name.startsWith('holdfast'))
const busy = async (database: RegExp, query: RegExp): Promise<boolean> =>
  (
    await server.query(
      'postgres',
      'SELECT datname, query FROM pg_stat_activity WHERE datname IS NOT NULL',
    )
  ).some((row) => database.test(String(row['datname'])) && query.test(String(row['query'])))

async function world(): Promise<unknown> {
  const bucket = bucketOf(s3, 'backups')
  try {
    return {
      databases: await server.databases(),
      files: globSync('**/*', { cwd: store }).sort(),
      objects: await bucket.everything(),
      quick: await server.query('quick', 'SELECT count(*)::int AS n FROM t'),
    }
  } finally {
    bucket.close()
  }
}

type Moment = () => boolean | Promise<boolean>

/** Runs, ends the run at the moment given, and holds what holds for every such end. */
async function ended(
  action: string,
  inputs: Record<string, string>,
  name: Signal,
  when: Moment,
  options: { env?: Record<string, string> } = {},
): Promise<WatchedRun> {
  const was = await world()
  const ran = await watchedRun(action, inputs, {
    ...options,
    env: { RUNNER_DEBUG: '1', ...options.env },
    cancel: { name, when },
  })
  assert.deepEqual(ran.left, { processes: [], files: [] }, ran.log)
  assert.equal(ran.leftOpen, false)
  assert.ok(
    ran.endedAfter !== undefined && ran.endedAfter < patience[name],
    `ended ${ran.endedAfter} ms after ${name}:\n${ran.log}`,
  )
  assert.equal(ran.postCode, 0)
  assertNoSecret(ran, [server.password, identity])
  if (name === 'SIGKILL') {
    assert.equal(ran.code, 137)
    assert.deepEqual(ran.outputs, {})
  } else {
    assert.equal(ran.code, name === 'SIGINT' ? 130 : 143)
    assert.deepEqual(
      [ran.outputs['outcome'], ran.outputs['error-code']],
      ['cancelled', 'cancelled'],
      ran.log,
    )
    assert.equal(ran.state['held'], '[]', 'it cleaned up by itself')
    assert.deepEqual(
      ran.annotations.filter(({ level }) => level === 'error'),
      [],
    )
    assert.doesNotMatch(ran.log, /could not (be dropped|drop|clean up)/i)
    assert.match(ran.summary, /cancelled/)
  }
  await until('the end of its sessions', async () => (await sessions()).length === 0)
  assert.deepEqual(await world(), was)
  return ran
}

/** The same storage, reached through the proxy. */
function byProxy(url: string): string {
  return url.replace(encodeURIComponent(s3.endpoint), encodeURIComponent(proxy.endpoint))
}

describe('backup', () => {
  const halfway = { kind: 'stall' } as const
  for (const name of signals) {
    test(`${name} in the middle of an upload, with another destination half written`, async () => {
      proxy.rules.push({ method: 'PUT', url: /partNumber=2/, fault: halfway, times: 1000 })
      const storage = `${byProxy(s3.url('half'))}\nfile://${store}`
      const bytesOf = (folder: string): number =>
        globSync('large/**/*', { cwd: folder, withFileTypes: true }).reduce(
          (sum, entry) =>
            sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
          0,
        )
      const when = (): boolean =>
        proxy.seen.some((request) => /^PUT .*partNumber=2/.test(request)) && bytesOf(store) > 0
      await ended(
        'backup',
        { 'database-url': server.url('large'), storage, 'encrypt-to': recipient },
        name,
        when,
        { env: s3.env },
      )
    })

    test(`${name} when the archive is stored, and the manifest is not`, async () => {
      proxy.rules.push({ method: 'PUT', url: /RECOVER/, fault: halfway, times: 1000 })
      const storage = `${byProxy(s3.url('nearly'))}\nfile://${store}`
      const when = (): boolean =>
        proxy.seen.some((request) => /^PUT .*RECOVER/.test(request)) &&
        globSync('large/*/RECOVER*', { cwd: store }).length > 0
      await ended(
        'backup',
        { 'database-url': server.url('large'), storage, 'encrypt-to': recipient },
        name,
        when,
        { env: s3.env },
      )
    })

    test(`${name} while the backup waits for a lock that somebody else holds`, async () => {
      const holder = await connect(server.to('quick'), quietWork())
      try {
        await holder.query('BEGIN')
        await holder.query('LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE')
        const was = await server.databases()
        const waits = async (): Promise<boolean> =>
          (await server.query('quick', 'SELECT FROM pg_locks WHERE NOT granted')).length > 0
        const inputs = {
          'database-url': server.url('quick'),
          storage: `file://${store}`,
          label: 'locked',
          'encrypt-to': recipient,
        }
        const ran = await watchedRun('backup', inputs, { cancel: { name, when: waits } })
        assert.notEqual(ran.code, 0)
        assert.deepEqual(ran.left, { processes: [], files: [] })
        assert.ok((ran.endedAfter ?? Infinity) < patience[name], `${ran.endedAfter} ms`)
        await until('only the session of the holder', async () => (await sessions()).length === 1)
        assert.deepEqual([await server.databases(), globSync(join(store, 'locked/**'))], [was, []])
      } finally {
        await holder.end()
      }
    })

    test(`${name} at the very start`, () =>
      ended(
        'backup',
        {
          'database-url': server.url('large'),
          storage: `file://${store}`,
          'encrypt-to': recipient,
        },
        name,
        () => true,
      ).then(() => {}))
  }

  test('and the next backup is whole', async () => {
    const ran = await watchedRun('backup', {
      'database-url': server.url('large'),
      storage: `file://${newFolder()}`,
      'encrypt-to': recipient,
    })
    assert.equal(ran.code, 0, ran.log)
  })
})

describe('verify', () => {
  const reading = (): Record<string, string> => ({
    storage: `file://${store}`,
    label: 'slow',
    'decrypt-with': identity,
  })
  /** Watches for a process of the run, by what it has as its arguments. */
  const running = (what: RegExp) => (): boolean =>
    commandsOfChildren().some((command) => what.test(command))
  for (const name of signals) {
    test(`${name} while its own server is being made`, () =>
      ended('verify', reading(), name, running(/initdb .*hf-/)).then(() => {}))
    test(`${name} while its own server restores`, () =>
      ended('verify', reading(), name, running(/^postgres: .*holdfast_scratch.* COPY/)).then(
        () => {},
      ))
    test(`${name} while a given server restores`, async () => {
      await ended('verify', { ...reading(), 'scratch-url': server.url('postgres') }, name, () =>
        busy(/^holdfast_scratch/, /^COPY/),
      )
    })
  }
})

/**
 * Command lines of all processes; those of other tests do not look like what is looked for here.
 */
const commandsOfChildren = (): string[] =>
  globSync('/proc/[0-9]*/cmdline').flatMap((file) => {
    try {
      return [readFileSync(file, 'utf8').replaceAll('\0', ' ').trim()]
    } catch {
      return []
    }
  })

describe('test-migration', () => {
  const commands: Record<string, string> = {
    'that ends on a signal': 'sleep 0.3; touch started; sleep 300 & sleep 301',
    'that ignores signals, as do its children': [
      `trap '' TERM INT HUP; (trap '' TERM INT HUP; sleep 302; sleep 303) &`,
      'sleep 0.3; touch started; sleep 304; sleep 305',
    ].join(' '),
  }
  for (const name of signals)
    for (const [what, command] of Object.entries(commands))
      for (const scratch of ['given', 'own'])
        test(`${name} during a command ${what}, scratch: ${scratch}`, async () => {
          const workspace = newFolder()
          const inputs = {
            storage: `file://${store}`,
            label: 'quick',
            'decrypt-with': identity,
            'migrate-command': command,
            'working-directory': workspace,
            ...(scratch === 'given' ? { 'scratch-url': server.url('postgres') } : {}),
          }
          await ended(
            'test-migration',
            inputs,
            name,
            () => globSync(join(workspace, 'started')).length > 0,
          )
        })

  test('SIGINT while the command has the copy locked and busy', async () => {
    const inputs = {
      storage: `file://${store}`,
      label: 'quick',
      'decrypt-with': identity,
      'scratch-url': server.url('postgres'),
      'migrate-command': `psql -c 'LOCK TABLE t' -c 'SELECT pg_sleep(300)'`,
    }
    await ended('test-migration', inputs, 'SIGINT', () => busy(/^holdfast_scratch/, /pg_sleep/))
  })
})

describe('restore', () => {
  for (const name of signals)
    test(`${name} before the swap: the target is unharmed, and nothing stands beside it`, async () => {
      const inputs = {
        storage: `file://${store}`,
        label: 'slow',
        'decrypt-with': identity,
        'target-url': server.url('quick'),
        confirm: 'quick',
        'safety-backup': 'false',
      }
      await ended('restore', inputs, name, () => busy(/^holdfast_side/, /^COPY/))
      assert.deepEqual(await copies(), [])
    })
})

test('a kill without a post step leaves no manifest, and the server frees its locks', async () => {
  proxy.rules.push({ method: 'PUT', url: /partNumber=2/, fault: { kind: 'stall' }, times: 1000 })
  const storage = s3
    .url('died')
    .replace(encodeURIComponent(s3.endpoint), encodeURIComponent(proxy.endpoint))
  const ran = await watchedRun(
    'backup',
    { 'database-url': server.url('large'), storage, 'encrypt-to': recipient },
    {
      env: s3.env,
      post: false,
      cancel: {
        name: 'SIGKILL',
        when: () => proxy.seen.some((request) => /^PUT .*partNumber=2/.test(request)),
      },
    },
  )
  assert.equal(ran.code, 137)
  await until('the end of its sessions', async () => (await sessions()).length === 0)
  const bucket = bucketOf(s3, 'backups')
  try {
    assert.deepEqual(
      (await bucket.everything()).filter((key) => key.endsWith('manifest.json')),
      [],
    )
  } finally {
    bucket.close()
  }
})

test('the check itself sees a process, and a file, that is left', async () => {
  const folder = newFolder()
  const child = spawn('sleep', ['30'], { env: { PATH: process.env['PATH'], TMPDIR: folder } })
  await until('its command line', () => processesOf(folder).length > 0)
  assert.deepEqual(processesOf(folder), ['sleep 30'])
  child.kill()
  await new Promise((resolve) => child.once('close', resolve))
  assert.deepEqual(processesOf(folder), [])
})
