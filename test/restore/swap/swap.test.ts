import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { UserError } from '../../../src/errors.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { confirmationOf } from '../../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../../src/restore/options.ts'
import { restore } from '../../../src/restore/restore.ts'
import type { RestoreResult } from '../../../src/restore/result.ts'
import { plainText } from '../../../src/text.ts'
import { newStore, type Store, watchedWork } from '../../support/copies.ts'
import { startOwnServer } from '../../support/own-server.ts'
import { freshDatabase, query, servers } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'
import {
  contentsOf,
  createTarget,
  swapSettings,
  type Target,
  waitForSession,
} from '../own-target.ts'

const template = {
  name: 'shop',
  sql: `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 500) g;
    CREATE TABLE kept (a int)`,
}
/** Only this file uses it, so that a test can compare everything on it. */
const server = await startOwnServer(undefined, swapSettings)

/** Restores into the database that was backed up. */
function optionsFor(
  store: Store,
  target: Target,
  more: Partial<BackupRestoreOptions> = {},
): BackupRestoreOptions {
  return {
    ...store.reading,
    target: target.connection,
    confirm: confirmationOf(target.name, target.name),
    dryRun: false,
    safetyBackup: false,
    ...more,
  }
}

const { work, made } = watchedWork()
const names = (): string => [...made, ''].map((name) => `'${name}'`).join(', ')

for (const each of servers())
  test(`PostgreSQL ${each.major}: a swap restores a dropped table and keeps owner, grants and settings`, async () => {
    const target = await freshDatabase(each, template)
    const store = await newStore()
    await store.backup(target.connection)
    await query(
      each,
      'postgres',
      `DO $$ BEGIN CREATE ROLE "shop's owner"; EXCEPTION WHEN duplicate_object THEN END $$`,
    )
    for (const sql of [
      `ALTER DATABASE ${target.name} OWNER TO "shop's owner"`,
      `ALTER DATABASE ${target.name} SET search_path = orders, "$user", 'odd schema'`,
      `ALTER DATABASE ${target.name} SET work_mem = '5MB'`,
      `ALTER DATABASE ${target.name} SET my.setting = 'it''s'`,
      `ALTER ROLE "shop's owner" IN DATABASE ${target.name} SET timezone = 'Europe/Paris'`,
      `ALTER ROLE "shop's owner" IN DATABASE ${target.name} SET search_path = ''`,
      `ALTER DATABASE ${target.name} CONNECTION LIMIT 42`,
      `COMMENT ON DATABASE ${target.name} IS 'it''s the \\ shop'`,
      `REVOKE ALL ON DATABASE ${target.name} FROM PUBLIC`,
      `GRANT CONNECT ON DATABASE ${target.name} TO pg_monitor WITH GRANT OPTION`,
    ])
      await query(each, 'postgres', sql)
    const about = (): Promise<Record<string, unknown>[]> =>
      query(
        each,
        'postgres',
        `SELECT pg_get_userbyid(datdba) AS owner, datconnlimit,
          shobj_description(d.oid, 'pg_database') AS comment, datacl::text,
          (SELECT json_agg(json_build_array(setrole::regrole, setconfig) ORDER BY setrole)
            FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
          FROM pg_database d WHERE datname = '${target.name}'`,
      )
    const before = await about()
    await query(each, target.name, 'DROP TABLE public.orders')
    const options = {
      ...store.reading,
      target: target.connection,
      confirm: confirmationOf(target.name, target.name),
      dryRun: false,
      safetyBackup: false,
    }
    const result = await restore(options, quietWork())
    try {
      assert.deepEqual(
        await query(each, target.name, 'SELECT count(*)::int AS n FROM public.orders'),
        [{ n: 500 }],
      )
      assert.deepEqual(await about(), before)
      assert.match(
        result.previousDatabase ?? '',
        new RegExp(`^${target.name}_before_\\d{8}T\\d{6}$`),
      )
      assert.deepEqual(
        await query(
          each,
          result.previousDatabase as string,
          `SELECT to_regclass('public.orders') AS t`,
        ),
        [{ t: null }],
      )
      assert.ok(result.plan.every(({ done }) => done))
    } finally {
      await query(
        each,
        'postgres',
        `DROP DATABASE IF EXISTS ${result.previousDatabase} WITH (FORCE)`,
      )
    }
  })

test('busy clients that reconnect at once do not stop the swap', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  let running = true
  const client = async (): Promise<void> => {
    while (running) {
      try {
        const session = await connect(target.connection, quietWork())
        void session.lost
        while (running) await session.query('SELECT count(*) FROM public.orders')
        await session.end()
      } catch {
        // ended by the swap: come back at once
      }
    }
  }
  const clients = Array.from({ length: 8 }, client)
  try {
    const result = await restore(optionsFor(store, target), quietWork())
    assert.ok(result.sessionsEnded >= 1)
  } finally {
    running = false
    await Promise.all(clients)
  }
})

test('a dry run shows the plan and changes nothing on the server', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  await server.query(target.name, 'DROP TABLE orders')
  const before = await contentsOf(server)
  const result = await restore(
    optionsFor(store, target, { dryRun: true, confirm: confirmationOf(target.name, '') }),
    quietWork(),
  )
  assert.deepEqual(await contentsOf(server), before)
  assert.deepEqual(
    result.plan.map(({ done }) => done),
    [false, false, false, false, false],
  )
  assert.deepEqual(await server.query(target.name, `SELECT to_regclass('orders') AS t`), [
    { t: null },
  ])
})

test('without the right confirm, nothing begins', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  for (const typed of ['', 'other', `${target.name} `])
    await assert.rejects(
      restore(
        optionsFor(store, target, { confirm: confirmationOf(target.name, typed) }),
        quietWork(),
      ),
      (error: UserError) => error.code === 'confirm-mismatch' && error.hint.includes(target.name),
    )
})

test('a failure before the swap leaves the target unchanged, and nothing beside it', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  const made = await store.backup(target.connection)
  await server.query(target.name, 'INSERT INTO kept VALUES (7)')
  const object = join(store.folder, 'test', made.id, 'base.dump.age')
  const good = readFileSync(object)
  const before = await contentsOf(server)
  const checkUnchanged = async (): Promise<void> => {
    assert.deepEqual(await server.query(target.name, 'SELECT a FROM kept'), [{ a: 7 }])
    assert.deepEqual(await contentsOf(server), before)
  }
  const bad = Buffer.from(good)
  bad[bad.length - 5] = (bad[bad.length - 5] as number) ^ 1
  writeFileSync(object, bad)
  await assert.rejects(
    restore(optionsFor(store, target), work),
    (error: UserError) => error.code === 'object-damaged',
  )
  await checkUnchanged()
  writeFileSync(object, good)
  // An intact archive that does not match the fingerprint.
  const [manifest = ''] = globSync(join(store.folder, '**/manifest.json'))
  const { writeManifest, readManifest } = await import('../../../src/repository/manifest.ts')
  const read = readManifest(readFileSync(manifest, 'utf8'), 'x')
  const [first, ...others] = read.fingerprint.tables
  assert.ok(first)
  writeFileSync(
    manifest,
    writeManifest({
      ...read,
      fingerprint: { ...read.fingerprint, tables: [{ ...first, rows: first.rows + 1 }, ...others] },
    }),
  )
  await assert.rejects(
    restore(optionsFor(store, target), work),
    (error: UserError) => error.code === 'restored-differs',
  )
  await checkUnchanged()
  writeFileSync(manifest, writeManifest(read))
  // A server that fails: it ends every connection to the side database.
  const ending = setInterval(
    () =>
      void server
        .query(
          'postgres',
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${names()})`,
        )
        .catch(() => {}),
    20,
  )
  try {
    await assert.rejects(
      restore(optionsFor(store, target), work),
      (error: UserError) =>
        (error.code === 'server-failed' || error.code === 'connection-lost') &&
        /terminating connection|closed the connection|was lost/.test(error.message),
    )
  } finally {
    clearInterval(ending)
  }
  await checkUnchanged()
})

test('a swap that would break something fails and names it', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  await server.query(
    target.name,
    `SELECT pg_create_logical_replication_slot('slot_${target.name}', 'pgoutput')`,
  )
  await server.query(
    target.name,
    `BEGIN; INSERT INTO kept VALUES (1); PREPARE TRANSACTION 'pending ${target.name}'`,
  )
  const before = await contentsOf(server)
  try {
    await assert.rejects(
      restore(optionsFor(store, target), work),
      (error: UserError) =>
        error.code === 'swap-unsafe' &&
        error.message.includes(`slot_${target.name}`) &&
        error.message.includes(`pending ${target.name}`),
    )
    assert.deepEqual(await contentsOf(server), before)
  } finally {
    await server.query(target.name, `ROLLBACK PREPARED 'pending ${target.name}'`)
    await server.query(target.name, `SELECT pg_drop_replication_slot('slot_${target.name}')`)
  }
})

test('a second restore of the same database is refused while the first runs', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  const gate = await connect(server.to('postgres'), quietWork())
  await gate.query('SELECT pg_advisory_lock(1)')
  const [row] = await gate.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const prepare = waitForSession(row?.pid ?? 0)
  let first: Promise<RestoreResult> | undefined
  const inTheMiddle = new Promise<void>((resolve, reject) => {
    const quiet = quietWork()
    const info = (text: string): void => {
      if (text.startsWith('Done: ANALYZE')) resolve()
    }
    const log = { ...quiet.log, info }
    first = restore(optionsFor(store, target, { prepare }), { ...quiet, log })
    first.catch(reject)
  })
  try {
    await inTheMiddle
    await assert.rejects(
      restore(optionsFor(store, target), quietWork()),
      (error: UserError) => error.code === 'restore-running',
    )
  } finally {
    await gate.end()
  }
  assert.ok((await first)?.plan.every(({ done }) => done))
  const second = await restore(optionsFor(store, target), quietWork())
  assert.ok(second.previousDatabase)
})

test('a dry run names a role that cannot create databases', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  await server.query(
    'postgres',
    `DO $$ BEGIN CREATE ROLE no_creator LOGIN PASSWORD 'pw'; EXCEPTION WHEN duplicate_object THEN END $$`,
  )
  const lesser = { ...target.connection, user: 'no_creator', password: 'pw' }
  const { facts } = await restore(
    optionsFor(store, target, { dryRun: true, target: lesser }),
    quietWork(),
  )
  assert.ok(
    facts?.obstacles.some(
      ({ code, hint }) => code === 'no-permission' && plainText(hint).includes('CREATEDB'),
    ),
  )
  await assert.rejects(
    restore(optionsFor(store, target, { target: lesser }), quietWork()),
    (error: UserError) => error.code === 'no-permission' && /CREATEDB/.test(error.hint),
  )
})

test('a database that was dropped is created again', async () => {
  const target = await createTarget(server, template.sql)
  const store = await newStore()
  await store.backup(target.connection)
  await server.query('postgres', `DROP DATABASE ${target.name}`)
  const result = await restore(optionsFor(store, target), quietWork())
  assert.equal(result.previousDatabase, undefined)
  assert.deepEqual(await server.query(target.name, 'SELECT count(*)::int AS n FROM orders'), [
    { n: 500 },
  ])
})

test('an older server refuses a backup of a newer major', async (t) => {
  const oldest = servers().at(-1)
  if (!oldest || oldest.major === server.major) return t.skip('NOT SHOWN: only one major is here')
  const source = await createTarget(server, template.sql)
  const target = await freshDatabase(oldest, template)
  const store = await newStore()
  await store.backup(source.connection)
  await assert.rejects(
    restore(optionsFor(store, target), quietWork()),
    (error: UserError) => error.code === 'server-older',
  )
})

test('an extension in another version is a warning: the restore installs the version of the server', async (t) => {
  const target = await createTarget(server, template.sql)
  const [older] = await server.query(
    target.name,
    `SELECT name, version FROM pg_available_extension_versions v
      WHERE NOT superuser IS NULL AND requires IS NULL
      AND version <> (SELECT default_version FROM pg_available_extensions a WHERE a.name = v.name)
      AND name = 'hstore' ORDER BY version LIMIT 1`,
  )
  if (!older) return t.skip('NOT SHOWN: this server has no extension in two versions')
  await server.query(target.name, `CREATE EXTENSION hstore VERSION '${String(older['version'])}'`)
  const store = await newStore()
  await store.backup(target.connection)
  const { warnings } = await restore(
    optionsFor(store, target, { safetyBackup: false }),
    quietWork(),
  )
  assert.match(
    warnings.map((each) => plainText(each)).join(),
    new RegExp(
      'extension hstore has the version that this server offers .*' +
        `not the backup's \\(${String(older['version'])} in public\\)`,
    ),
  )
})
