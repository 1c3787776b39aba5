import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sweep } from '../../src/cleanup/sweep.ts'
import type { UserError } from '../../src/errors.ts'
import { connect } from '../../src/postgres/connection/session.ts'
import { listBackups, openBackupIndex } from '../../src/repository/listing.ts'
import { prune } from '../../src/repository/retention.ts'
import { findBackup } from '../../src/repository/find-backup.ts'
import { parseSelector } from '../../src/repository/selector.ts'
import { status } from '../../src/repository/status.ts'
import { confirmationOf } from '../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../src/restore/options.ts'
import { restore } from '../../src/restore/restore.ts'
import { createSafetyBackup } from '../../src/restore/safety-backup.ts'
import { openStorage } from '../../src/storage/open.ts'
import { verify } from '../../src/verify/verify.ts'
import type { Held } from '../../src/work.ts'
import { plainText } from '../../src/text.ts'
import { nextSecond } from '../support/clock.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { startFaultyProxy } from '../support/faulty-proxy.ts'
import { startS3 } from '../support/s3.ts'
import { freshDatabase, newestServer, query, newestAndOldest } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/** The backup of what a restore replaces, made first; and what a restore leaves that is killed. */
const template = {
  name: 'safety shop',
  sql: `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g;
    CREATE TABLE moment (at text)`,
}
const server = newestServer()
const children: ChildProcess[] = []
after(() => children.forEach((child) => child.kill('SIGKILL')))

interface Shop {
  name: string
  store: Store
  options: BackupRestoreOptions
  databases: () => Promise<unknown[]>
  moment: () => Promise<unknown>
}

async function shop(on = server, backup: Parameters<Store['backup']>[1] = {}): Promise<Shop> {
  const { name, connection } = await freshDatabase(on, template)
  await query(on, name, `INSERT INTO moment VALUES ('backed up')`)
  const store = await newStore()
  await store.backup(connection, backup)
  await query(on, name, `UPDATE moment SET at = 'live'`)
  const databases = async (): Promise<unknown[]> =>
    (
      await query(
        on,
        'postgres',
        `SELECT datname FROM pg_database WHERE datname LIKE '${name}%' ORDER BY 1`,
      )
    ).map(({ datname }) => datname)
  const options: BackupRestoreOptions = {
    ...store.reading,
    target: connection,
    confirm: confirmationOf(name, name),
    dryRun: false,
  }
  return {
    name,
    store,
    options,
    databases,
    moment: async () => (await query(on, name, 'SELECT at FROM moment'))[0]?.['at'],
  }
}

for (const each of newestAndOldest())
  test(`PostgreSQL ${each.major}: the safety backup has the same keys and storage, and can be restored`, async () => {
    const { store, options, moment } = await shop(each)
    const second = openStorage(`file://${temporaryFolder()}`)
    const both = {
      ...options,
      sources: [store.storage, second],
      runUrl: 'https://github.example/run/1',
    }
    const known: unknown[] = []
    const { safetyBackup: made, id } = await restore(
      { ...both, known: (facts) => void known.push(facts) },
      quietWork(),
    )
    assert.ok(made)
    assert.match(made.id, /^\d{8}T\d{6}Z-[0-9a-z]{6}-pre-restore$/)
    assert.deepEqual(known.slice(0, 3), [{ id }, { progress: 'begun' }, { safetyBackup: made.id }])
    assert.equal(await moment(), 'backed up')
    const { manifest } = await findBackup([second], 'test', parseSelector(made.id), quietWork())
    assert.deepEqual(
      [manifest.kind, manifest.label, manifest.encryption, manifest.run],
      ['pre-restore', 'test', { recipients: [store.recipient] }, 'https://github.example/run/1'],
    )
    assert.equal((await store.found()).manifest.kind, undefined)

    for (const storage of both.sources)
      assert.ok(!(await listBackups(storage, 'test', quietWork())).includes(made.id))
    assert.equal((await store.found()).manifest.id, id, 'latest is the ordinary one')
    const [label] = (await status({ sources: [store.storage] }, quietWork())).labels
    assert.deepEqual(
      [label?.backups, label?.newest?.id, label?.unproven, label?.unfinished],
      [1, id, [id], []],
    )
    assert.deepEqual(
      label?.preRestore.map((one) => one.id),
      [made.id],
    )
    assert.ok(Math.abs(Date.now() - Date.parse(label?.preRestore[0]?.startedAt ?? '')) < 60_000)

    const proof = await verify(
      { ...store.reading, backup: parseSelector(made.id), scratch: each.to('postgres') },
      quietWork(),
    )
    assert.deepEqual([proof.proven, proof.level], [true, 'identical'])
    const back = await restore(
      { ...options, backup: parseSelector(made.id), safetyBackup: false },
      quietWork(),
    )
    assert.deepEqual([back.id, await moment()], [made.id, 'live'])
  })

test('no safety backup on a dry run, without a target, or if the input is false', async () => {
  const { name, store, options, databases } = await shop(server, { recipients: 'none' })
  const folders = (): string[] =>
    readdirSync(join(store.folder, 'test')).filter((folder) => folder.includes('pre-restore'))
  const dry = await restore({ ...options, dryRun: true }, quietWork())
  assert.match(plainText(dry.plan[0]?.step ?? ''), /^Back up ".*" as it is now/)
  const without = await restore({ ...options, safetyBackup: false }, quietWork())
  assert.deepEqual([without.safetyBackup, without.plan.length, folders()], [undefined, 5, []])
  await query(server, 'postgres', `DROP DATABASE ${name}`)
  assert.equal((await restore(options, quietWork())).safetyBackup, undefined)
  const { safetyBackup: made } = await restore({ ...options, identities: [] }, quietWork())
  assert.deepEqual(folders(), [made?.id])
  assert.equal(
    (await findBackup([store.storage], 'test', parseSelector(made?.id ?? ''), quietWork())).manifest
      .encryption,
    'none',
  )
  assert.equal((await databases()).length, 3)
})

test('an unknown id is an error that lists the known ids', async () => {
  const { store, options } = await shop()
  const { safetyBackup: made, id } = await restore(options, quietWork())
  await assert.rejects(
    findBackup(
      [store.storage],
      'test',
      parseSelector('20261121T031500Z-7gk823-pre-restore'),
      quietWork(),
    ),
    (error: UserError) =>
      error.code === 'unknown-backup' &&
      error.hint.includes(`"latest" is ${id}`) &&
      error.hint.includes(made?.id as string),
  )
  assert.throws(
    () => parseSelector(`${id}-before`),
    (error: UserError) => error.code === 'bad-backup-id',
  )
})

test('retention removes a safety backup older than the oldest kept backup, and never counts it', async () => {
  const { name, store, options } = await shop()
  const target = server.to(name)
  const later = async <T>(body: () => Promise<T>): Promise<T> => nextSecond().then(body)
  const { safetyBackup: first } = await later(() => restore(options, quietWork()))
  const { id: second } = await later(() => store.backup(target))
  const { safetyBackup: last } = await later(() => restore(options, quietWork()))
  const all = async (): Promise<string[]> =>
    [...(await openBackupIndex([store.storage], 'test', quietWork())).stored.keys()].sort()
  assert.deepEqual(
    await prune(store.storage, 'test', 2, quietWork()),
    [],
    'the oldest that is kept is older',
  )
  const removed = await prune(store.storage, 'test', 1, quietWork())
  assert.deepEqual([removed.includes(first?.id as string), removed.length], [true, 2])
  assert.deepEqual(await all(), [second, last?.id])
  // the newest ordinary one is never removed for it
  assert.deepEqual(await prune(store.storage, 'test', 1, quietWork()), [])
})

describe('if no safety backup can be taken, nothing is restored, and the hint names the input', () => {
  const refused = async (
    { options, databases, moment, name }: Shop,
    more: Partial<BackupRestoreOptions>,
    says: RegExp,
  ): Promise<void> => {
    const code = 'safety-backup-failed'
    await assert.rejects(
      restore({ ...options, ...more }, quietWork()),
      (error: UserError) =>
        error.code === code &&
        says.test(error.message) &&
        /set safety-backup: false\. The current data then exists only on its own server, as the previous database/.test(
          error.hint,
        ),
    )
    assert.deepEqual([await databases(), await moment()], [[name], 'live'])
  }
  test('a storage that cannot be written', async () => {
    const one = await shop()
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    await refused(
      one,
      { sources: [one.store.storage, openStorage(`file://${file}/backups`)] },
      /failed, so nothing was restored/,
    )
    assert.equal(readdirSync(join(one.store.folder, 'test')).length, 1)
    assert.equal(
      (await restore({ ...one.options, safetyBackup: false }, quietWork())).id.includes(
        'pre-restore',
      ),
      false,
    )
  })
  test('credentials that may only read', async () => {
    const one = await shop()
    const s3 = await startS3(['backups'])
    Object.assign(process.env, s3.env) // where the SDK looks for credentials
    const proxy = await startFaultyProxy(s3.port)
    try {
      const storage = openStorage(`s3://backups/p?endpoint=${proxy.endpoint}`)
      await one.store.backup(server.to(one.name), { destinations: [storage] })
      const body =
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>no</Message></Error>'
      for (const method of ['PUT', 'POST'])
        proxy.rules.push({
          method,
          url: /./,
          fault: { kind: 'answer', status: 403, body },
          times: Infinity,
        })
      await refused(one, { sources: [storage] }, /failed, so nothing was restored/)
      assert.equal(
        (await restore({ ...one.options, sources: [storage], safetyBackup: false }, quietWork()))
          .safetyBackup,
        undefined,
      )
      await storage.close()
    } finally {
      await proxy.stop()
      await s3.stop()
    }
  })
  test('no storage, and no key to encrypt to', async () => {
    const { options, store } = await shop()
    for (const [sources, encryption, says] of [
      [[], 'none', /there is no storage/],
      [[store.storage], undefined, /names no key/],
    ] as const)
      await assert.rejects(
        createSafetyBackup(
          { ...options, sources: [...sources] },
          { label: 'test', encryption },
          quietWork(),
        ),
        (error: UserError) => error.code === 'safety-backup-failed' && says.test(error.message),
      )
    assert.equal(readdirSync(join(store.folder, 'test')).length, 1)
  })
  test('a target that the user cannot read', async () => {
    const one = await shop()
    await query(
      server,
      'postgres',
      `DO $$ BEGIN CREATE ROLE blind_owner LOGIN CREATEDB PASSWORD 'pw';
          EXCEPTION WHEN duplicate_object THEN END $$;
        ALTER DATABASE ${one.name} OWNER TO blind_owner`,
    )
    await refused(
      one,
      { target: { ...server.to(one.name), user: 'blind_owner', password: 'pw' } },
      /"blind_owner" may not read/,
    )
  })
})

describe('a restore that is killed', () => {
  const killed = async (
    one: Shop,
    moment: string,
    more: Record<string, unknown> = {},
    kill?: () => Promise<boolean>,
  ): Promise<void> => {
    const notes = join(temporaryFolder(), 'held.json')
    const { sources, ...options } = one.options
    assert.equal(sources.length, 1)
    const child = spawn(
      process.execPath,
      [
        join(import.meta.dirname, 'restore-process.ts'),
        JSON.stringify({ ...options, folder: one.store.folder, ...more }),
        notes,
        moment,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    children.push(child)
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = new Promise<NodeJS.Signals | null>((resolve) =>
      child.once('exit', (_code, signal) => resolve(signal)),
    )
    if (kill) {
      while (!(await kill())) await sleep(20)
      child.kill('SIGKILL')
    }
    assert.equal(await ended, 'SIGKILL', said)
    const held = existsSync(notes) ? (JSON.parse(readFileSync(notes, 'utf8')) as Held[]) : []
    const sides = held.flatMap((thing) => (thing.kind === 'database' ? [thing.name] : []))
    if (moment.startsWith('log:')) assert.equal(sides.length, 1)
    const cleaned = await sweep(
      held,
      { destinations: [one.store.storage], servers: { 'target-url': one.options.target } },
      quietWork(),
    )
    assert.ok(
      cleaned.every((sentence) => !sentence.startsWith('Could not')),
      cleaned.join('\n'),
    )
    for (const side of sides)
      assert.deepEqual(
        await query(server, 'postgres', `SELECT FROM pg_database WHERE datname = '${side}'`),
        [],
      )
  }
  const backups = async ({ store }: Shop): Promise<string[]> =>
    [...(await openBackupIndex([store.storage], 'test', quietWork())).stored.keys()].sort()

  test('while the safety backup is stored: the target is as it was, and nothing of that backup is left', async () => {
    const one = await shop()
    await killed(one, 'file:-pre-restore/base')
    assert.deepEqual(
      [
        await one.databases(),
        await one.moment(),
        readdirSync(join(one.store.folder, 'test')).length,
      ],
      [[one.name], 'live', 1],
    )
  })
  for (const [when, moment] of [
    ['when the rows are in', 'log:^Done: Restore '],
    ['after prepare', 'log:^Done: Run the SQL'],
    ['just before the swap', 'log:^Done: ANALYZE'],
  ] as const)
    test(`${when}: the target is as it was, the new database is dropped, the safety backup is whole`, async () => {
      const one = await shop()
      await killed(one, moment, { prepare: moment.includes('SQL') ? 'SELECT 1' : undefined })
      assert.deepEqual(
        [await one.databases(), await one.moment(), (await backups(one)).length],
        [[one.name], 'live', 2],
      )
    })
  test('just after the swap: it is restored, and what it replaced is marked, so that it can be undone', async () => {
    const one = await shop()
    await killed(one, 'release:database')
    assert.deepEqual([(await one.databases()).length, await one.moment()], [2, 'backed up'])
    await restore({ ...one.options, task: 'undo' }, quietWork())
    assert.equal(await one.moment(), 'live')
  })
  test('in the middle of an undo’s two renames: both names are as they were', async () => {
    const one = await shop()
    const { previousDatabase: kept = '' } = await restore(
      { ...one.options, safetyBackup: false },
      quietWork(),
    )
    const before = await one.databases()
    const holder = await connect(server.to('postgres'), quietWork())
    await holder.query('BEGIN')
    await holder.query(`COMMENT ON DATABASE "${kept}" IS 'in the way'`) // the second rename waits for this
    const waiting = `SELECT FROM pg_stat_activity
      WHERE query LIKE 'ALTER DATABASE "${kept}" RENAME%' AND wait_event_type = 'Lock'`
    await killed(
      one,
      'never',
      { task: 'undo' },
      async () => (await query(server, 'postgres', waiting)).length > 0,
    )
    await holder.query('ROLLBACK')
    await holder.end()
    for (
      let i = 0;
      i < 100 &&
      (
        await query(
          server,
          'postgres',
          `SELECT FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE "${kept}"%' AND state <> 'idle'`,
        )
      ).length > 1;
      i++
    )
      await sleep(50)
    assert.deepEqual([await one.databases(), await one.moment()], [before, 'backed up'])
    await restore({ ...one.options, task: 'undo' }, quietWork())
    assert.equal(await one.moment(), 'live')
  })
})
