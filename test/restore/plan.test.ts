import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Client } from 'pg'
import type { UserError } from '../../src/errors.ts'
import { restoreReport } from '../../src/report/restore/restore.ts'
import { confirmationOf } from '../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../src/restore/options.ts'
import { restore } from '../../src/restore/restore.ts'
import { plainText } from '../../src/text.ts'
import { newStore, type Store } from '../support/copies.ts'
import { freshDatabase, newestServer, query, newestAndOldest } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'

const template = {
  name: 'planned',
  sql: `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 500) g;
    CREATE TABLE kept (a int);
    ANALYZE`,
}
const server = newestServer()
type Database = Awaited<ReturnType<typeof freshDatabase>>

function optionsFor(
  store: Store,
  target: Database,
  more: Partial<BackupRestoreOptions> = {},
): BackupRestoreOptions {
  after(async () => {
    for (const row of await query(
      server,
      'postgres',
      `SELECT datname FROM pg_database WHERE datname LIKE '${target.name}_before_%'`,
    ))
      await query(server, 'postgres', `DROP DATABASE "${String(row['datname'])}" WITH (FORCE)`)
  })
  return {
    ...store.reading,
    target: target.connection,
    confirm: confirmationOf(target.name, target.name),
    dryRun: false,
    ...more,
  }
}

test('a dry run shows sizes, sessions, and the definitions and rows that would change', async () => {
  const target = await freshDatabase(server, template)
  const store = await newStore()
  await store.backup(target.connection)
  await query(
    server,
    target.name,
    `DROP TABLE kept;
      ALTER TABLE orders ADD more int;
      CREATE VIEW newer AS SELECT 1 AS x;
      DELETE FROM orders WHERE id > 400;
      ANALYZE`,
  )
  const client = new Client({
    connectionString: server.url(target.name),
    application_name: 'the shop',
  })
  await client.connect()
  try {
    const result = await restore(
      optionsFor(store, target, { dryRun: true, confirm: confirmationOf(target.name, '') }),
      quietWork(),
    )
    const { facts } = result
    assert.ok(facts?.bytes && facts.bytes > 1_000_000 && (facts.needed ?? 0) > 1_000_000)
    assert.ok(facts.free && facts.free > 0, 'the server is on this machine')
    assert.deepEqual(facts.connected, [
      { user: server.connection.user, application: 'the shop', count: 1 },
    ])
    assert.ok((facts.source?.written ?? 0) > 0, 'it is the very database that was backed up')
    assert.deepEqual(facts.changes, {
      comeBack: ['TABLE public.kept'],
      goAway: ['VIEW public.newer'],
      change: ['TABLE public.orders'],
    })
    assert.deepEqual(facts.rows, [
      { table: 'public.orders', now: 400, then: 500 },
      { table: 'public.kept', now: undefined, then: 0 },
    ])
    assert.deepEqual(facts.obstacles, [])
    const report = renderMarkdown(restoreReport(result))
    for (const said of [
      'the shop',
      'would be added',
      'VIEW public.newer',
      'public.orders',
      '| 400 | 500 |',
      'this database',
    ])
      assert.ok(report.includes(said), `${said} in\n${report}`)
  } finally {
    await client.end()
  }
  // a table that somebody holds: the rest of the plan is told all the same
  const holder = new Client({ connectionString: server.url(target.name) })
  await holder.connect()
  try {
    await holder.query('BEGIN; LOCK TABLE orders')
    const { facts } = await restore(
      optionsFor(store, target, { dryRun: true, confirm: confirmationOf(target.name, '') }),
      quietWork(),
    )
    assert.equal(facts?.changes, undefined)
    assert.match(
      facts?.notes.map((note) => plainText(note)).join() ?? '',
      /could not be determined/,
    )
  } finally {
    await holder.end()
  }
})

test('a dry run lists every obstacle; the restore itself stops at the first', async () => {
  const target = await freshDatabase(server, template)
  const role = `gone_${target.name}`
  await query(server, target.name, `CREATE ROLE ${role}; ALTER TABLE kept OWNER TO ${role}`)
  const store = await newStore()
  await store.backup(target.connection)
  await query(server, target.name, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
  await query(
    server,
    target.name,
    `SELECT pg_create_logical_replication_slot('slot_${target.name}', 'pgoutput')`,
  )
  try {
    const result = await restore(
      optionsFor(store, target, { dryRun: true, confirm: confirmationOf(target.name, '') }),
      quietWork(),
    )
    assert.deepEqual(
      result.facts?.obstacles.map(({ code }) => code),
      ['role-missing', 'swap-unsafe'],
    )
    assert.match(
      renderMarkdown(restoreReport(result)),
      /cannot be restored yet.*What prevents the restore.*slot_/s,
    )
    await assert.rejects(
      restore(optionsFor(store, target), quietWork()),
      (error: UserError) => error.code === 'role-missing' && error.message.includes(role),
    )
  } finally {
    await query(server, 'postgres', `SELECT pg_drop_replication_slot('slot_${target.name}')`)
  }
  // none of its roles is needed where everything belongs to the user
  await restore(optionsFor(store, target, { owner: 'drop' }), quietWork())
  assert.deepEqual(
    await query(
      server,
      target.name,
      `SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'kept'`,
    ),
    [{ owner: server.connection.user }],
  )
  await assert.rejects(
    restore(optionsFor(store, target, { owner: { nobody: 'x' } }), quietWork()),
    (error: UserError) => error.code === 'bad-input' && error.message.includes('nobody'),
  )
})

for (const each of newestAndOldest())
  test(`PostgreSQL ${each.major}: owner maps roles, and everything else matches the backup`, async () => {
    const target = await freshDatabase(each, template)
    const [old, mapped, reader] = ['old', 'new', 'reader'].map(
      (name) => `${name}_${target.name}`,
    ) as [string, string, string]
    for (const role of [old, mapped, reader]) await query(each, 'postgres', `CREATE ROLE ${role}`)
    await query(
      each,
      target.name,
      `ALTER TABLE orders OWNER TO ${old};
        GRANT SELECT ON orders TO ${reader};
        GRANT INSERT ON kept TO ${old};
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        ALTER FUNCTION f() OWNER TO ${old}`,
    )
    const store = await newStore()
    await store.backup(target.connection)
    const who = (): Promise<Record<string, unknown>[]> =>
      query(
        each,
        target.name,
        `SELECT relname AS what, relowner::regrole::text AS owner, relacl::text AS acl FROM pg_class
          WHERE relname IN ('orders', 'kept')
          UNION ALL
          SELECT proname, proowner::regrole::text, proacl::text FROM pg_proc WHERE proname = 'f'
          ORDER BY 1`,
      )
    const before = await who()
    const options = {
      ...store.reading,
      target: target.connection,
      confirm: confirmationOf(target.name, target.name),
      dryRun: false,
    }
    const put = async (owner: BackupRestoreOptions['owner']): Promise<void> => {
      const { previousDatabase } = await restore(
        { ...options, ...(owner ? { owner } : {}) },
        quietWork(),
      )
      await query(each, 'postgres', `DROP DATABASE "${previousDatabase}" WITH (FORCE)`)
    }
    await put({ [old]: mapped })
    assert.deepEqual(await who(), JSON.parse(JSON.stringify(before).replaceAll(old, mapped)))
    assert.ok(JSON.stringify(before).includes(old))
    await put(undefined)
    assert.deepEqual(await who(), before)
    await put('drop')
    assert.deepEqual(
      await who(),
      before.map(({ what }) => ({ what, owner: each.connection.user, acl: null })),
    )
    await query(each, 'postgres', `DROP DATABASE ${target.name} WITH (FORCE)`)
    for (const role of [old, mapped, reader]) await query(each, 'postgres', `DROP ROLE ${role}`)
    await query(each, 'postgres', `CREATE DATABASE ${target.name}`)
  })
