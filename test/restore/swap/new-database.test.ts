import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UserError } from '../../../src/errors.ts'
import { withDatabase } from '../../../src/postgres/connection/connection.ts'
import { confirmationOf } from '../../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../../src/restore/options.ts'
import { restore } from '../../../src/restore/restore.ts'
import type { Work } from '../../../src/work.ts'
import { plainText } from '../../../src/text.ts'
import { newStore, watchedWork } from '../../support/copies.ts'
import { freshDatabase, newestServer, query, type Server, servers } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

/**
 * A new database from a backup, and what runs in a restored one before anybody sees it or after it
 * has its name.
 */
const template = {
  name: 'new shop',
  sql: `
  CREATE SCHEMA app;
  CREATE TABLE app.customers AS SELECT g AS id, 'c' || g || '@example.com' AS email
    FROM generate_series(1, 300) g;
  CREATE TABLE public.plain (a int)`,
}
const server = newestServer()
const { work: watched, made } = watchedWork()
const sides = (): Promise<Record<string, unknown>[]> =>
  query(
    server,
    'postgres',
    `SELECT datname FROM pg_database WHERE datname IN (${[...made, ''].map((name) => `'${name}'`).join(', ')})`,
  )

interface Clone {
  source: string
  name: string
  options: BackupRestoreOptions
  databases: () => Promise<unknown[]>
}

/** A backup of a database, and a name that is free for the new one. */
async function clone(on: Server = server, sql = ''): Promise<Clone> {
  const source = await freshDatabase(on, template)
  if (sql) await query(on, source.name, sql)
  const store = await newStore('production')
  await store.backup(source.connection)
  const name = `${source.name}_staging`
  const like = `datname LIKE '${source.name}_%'`
  const databases = async (): Promise<unknown[]> =>
    (await query(on, 'postgres', `SELECT datname FROM pg_database WHERE ${like} ORDER BY 1`)).map(
      ({ datname }) => datname,
    )
  const { sources, backup, identities, bindirs } = store.reading
  return {
    source: source.name,
    name,
    databases,
    options: {
      sources,
      backup,
      identities,
      bindirs,
      mode: 'new',
      target: withDatabase(source.connection, name),
      confirm: confirmationOf(name, name),
      dryRun: false,
    },
  }
}

const withTriggers = `
  CREATE EXTENSION IF NOT EXISTS postgres_fdw;
  CREATE SERVER outside FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'db.invalid');
  CREATE USER MAPPING FOR PUBLIC SERVER outside OPTIONS (user 'u', password 'secret');
  CREATE FUNCTION acts() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.plain VALUES (1); END';
  CREATE EVENT TRIGGER acts ON ddl_command_end EXECUTE FUNCTION acts(); ALTER EVENT TRIGGER acts ENABLE ALWAYS;
  CREATE EVENT TRIGGER rests ON sql_drop EXECUTE FUNCTION acts(); ALTER EVENT TRIGGER rests DISABLE`

for (const each of servers())
  test(`PostgreSQL ${each.major}: a staging copy is sanitised and isolated before clients can reach it`, async (t) => {
    const fdw =
      (
        await query(
          each,
          'postgres',
          `SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'`,
        )
      ).length > 0
    if (!fdw) return t.skip('NOT SHOWN: postgres_fdw is not on this machine')
    const { name, options } = await clone(each, withTriggers)
    const said: string[] = []
    let seen = 0
    const work: Work = {
      ...quietWork(),
      log: { ...quietWork().log, info: (text) => void said.push(plainText(text)) },
    }
    const looking = setInterval(
      () =>
        void query(each, 'postgres', `SELECT FROM pg_database WHERE datname = '${name}'`).then(
          (rows) => (seen += said.some((text) => /^Done: Name it/.test(text)) ? 0 : rows.length),
        ),
      30,
    )
    // unqualified: by the search_path that the server has, not by an empty one
    const result = await restore(
      {
        ...options,
        prepare: `UPDATE app.customers SET email = 'x' || id;\nINSERT INTO plain VALUES (42)`,
      },
      work,
    )
    clearInterval(looking)
    assert.deepEqual(
      [seen, result.prepared, result.previousDatabase, result.plan.every(({ done }) => done)],
      [0, true, undefined, true],
    )
    assert.deepEqual(
      await query(
        each,
        name,
        `SELECT count(*)::int AS n FROM app.customers WHERE email LIKE '%@%'`,
      ),
      [{ n: 0 }],
    )
    assert.deepEqual(
      await query(each, name, 'SELECT a FROM plain'),
      [{ a: 42 }],
      'and no event trigger has written to it',
    )
    assert.deepEqual(await query(each, name, 'SELECT srvname FROM pg_foreign_server'), [
      { srvname: 'outside' },
    ])
    assert.deepEqual(await query(each, name, 'SELECT * FROM pg_user_mappings'), [])
    assert.deepEqual(
      await query(each, name, 'SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY 1'),
      [
        { evtname: 'acts', evtenabled: 'D' },
        { evtname: 'rests', evtenabled: 'D' },
      ],
    )
    assert.deepEqual(result.isolated, {
      ties: ['the user mappings of the foreign server outside'],
      triggers: ['ALTER EVENT TRIGGER "acts" ENABLE ALWAYS;'],
    })
    for (const sql of result.isolated?.triggers ?? []) await query(each, name, sql)
    assert.deepEqual(
      await query(each, name, `SELECT evtenabled FROM pg_event_trigger WHERE evtname = 'acts'`),
      [{ evtenabled: 'A' }],
    )
    assert.deepEqual(
      await query(
        each,
        'postgres',
        `SELECT pg_get_userbyid(datdba) AS owner, shobj_description(oid, 'pg_database') AS comment
          FROM pg_database WHERE datname = '${name}'`,
      ),
      [{ owner: 'holdfast', comment: null }],
    )
  })

test('a role that may only create databases makes one, which is then its own', async () => {
  await query(
    server,
    'postgres',
    `DO $$ BEGIN CREATE ROLE new_maker LOGIN CREATEDB PASSWORD 'pw'; EXCEPTION WHEN duplicate_object THEN END $$`,
  )
  const { source, name, options } = await clone()
  await query(
    server,
    source,
    `ALTER SCHEMA app OWNER TO new_maker;
      ALTER TABLE app.customers OWNER TO new_maker;
      ALTER TABLE plain OWNER TO new_maker`,
  )
  const store = await newStore('production')
  await store.backup(server.to(source))
  const result = await restore(
    {
      ...options,
      ...store.reading,
      target: { ...options.target, user: 'new_maker', password: 'pw' },
    },
    quietWork(),
  )
  assert.ok(
    result.warnings.some((warning) => plainText(warning).includes('belongs to "new_maker"')),
  )
  assert.deepEqual(
    await query(
      server,
      'postgres',
      `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = '${name}'`,
    ),
    [{ owner: 'new_maker' }],
  )
})

test('an existing name, a wrong confirm and several labels are errors; a dry run changes nothing', async () => {
  const { source, name, options, databases } = await clone()
  await assert.rejects(
    restore(
      {
        ...options,
        target: withDatabase(options.target, source),
        confirm: confirmationOf(source, source),
      },
      quietWork(),
    ),
    (error: UserError) =>
      error.code === 'target-exists' &&
      error.message.includes(source) &&
      /leave out mode/.test(error.hint),
  )
  await assert.rejects(
    restore({ ...options, confirm: confirmationOf(name, name, 'staging') }, quietWork()),
    (error: UserError) =>
      error.code === 'confirm-mismatch' && error.hint.includes(`staging/${name}`),
  )
  const dry = await restore(
    { ...options, dryRun: true, confirm: confirmationOf(name, ''), prepare: 'SELECT 1' },
    watched,
  )
  assert.deepEqual(
    dry.plan.map(({ done }) => done),
    [false, false, false, false, false, false, false],
  )
  const [first] = options.sources
  assert.ok(first)
  const other = await newStore('billing')
  await other.backup(server.to(source))
  const both = {
    ...options,
    sources: [first, other.storage],
    identities: [...options.identities, other.identity],
  }
  await assert.rejects(
    restore(both, quietWork()),
    (error: UserError) =>
      error.code === 'label-needed' && /billing, production/.test(error.message),
  )
  assert.deepEqual([await databases(), await sides()], [[], []])
  assert.equal((await restore({ ...both, label: 'billing' }, quietWork())).label, 'billing')
})

describe('prepare', () => {
  test('that fails is an error with the line, and leaves no database and no change', async () => {
    const { source, options, databases } = await clone()
    for (const how of [
      options,
      {
        ...options,
        mode: 'swap',
        target: withDatabase(options.target, source),
        confirm: confirmationOf(source, source),
        label: 'production',
        safetyBackup: false,
      },
    ] satisfies BackupRestoreOptions[]) {
      for (const [prepare, says] of [
        [
          'DELETE FROM app.customers;\nUPDATE nothing SET a = 1',
          /failed at line 2: relation "nothing" does not exist/,
        ],
        ['SELECT 1 / (count(*) - 300) FROM app.customers', /division by zero/],
        [
          'ALTER TABLE app.customers ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED; UPDATE app.customers SET id = 1',
          /duplicate key/,
        ],
        ['VACUUM', /cannot run inside a transaction block/],
      ] as const)
        await assert.rejects(
          restore({ ...how, prepare }, watched),
          (error: UserError) => error.code === 'prepare-failed' && says.test(error.message),
        )
    }
    assert.deepEqual([await databases(), await sides(), made.size > 7], [[], [], true])
    assert.deepEqual(await query(server, source, 'SELECT count(*)::int AS n FROM app.customers'), [
      { n: 300 },
    ])
  })
  test('meets the live database’s own settings, but none of its time limits', async () => {
    const { source, options } = await clone()
    await query(
      server,
      'postgres',
      `ALTER DATABASE ${source} SET search_path = app; ALTER DATABASE ${source} SET timezone = 'Asia/Tokyo'`,
    )
    await query(server, 'postgres', `ALTER DATABASE ${source} SET statement_timeout = '200ms'`)
    const prepare = `CREATE TABLE seen AS
        SELECT current_setting('timezone') AS zone, current_setting('row_security') AS rows,
        pg_sleep(0.5)::text AS slept;
      DELETE FROM customers WHERE id > 10`
    await restore(
      {
        ...options,
        mode: 'swap',
        label: 'production',
        target: withDatabase(options.target, source),
        confirm: confirmationOf(source, source),
        safetyBackup: false,
        prepare,
      },
      quietWork(),
    )
    assert.deepEqual(
      await query(
        server,
        source,
        'SELECT zone, rows, (SELECT count(*)::int FROM app.customers) AS n FROM app.seen',
      ),
      [{ zone: 'Asia/Tokyo', rows: 'on', n: 10 }],
    )
  })
})

describe('when all is done', () => {
  const after = {
    workingDirectory: '.',
    timeout: 20_000,
    environment: { OWN: 'kept', PATH: process.env['PATH'] ?? '' },
  }
  test('the command gets a connection to the restored database; the objective is checked', async () => {
    const { name, options } = await clone()
    const said: string[] = []
    const work: Work = {
      ...quietWork(),
      log: {
        ...quietWork().log,
        info: (text) => void said.push(plainText(text)),
        warning: (text) => void said.push(`warning: ${plainText(text)}`),
      },
    }
    const result = await restore(
      {
        ...options,
        ...after,
        postCommand:
          'psql -X -At -d "$DATABASE_URL" ' +
          '-c "SELECT current_database(), count(*) FROM app.customers"; echo "$OWN $PGDATABASE"',
        maxRestoreTime: 600_000,
      },
      work,
    )
    assert.deepEqual(result.postCommand?.output.split('\n'), [`${name}|300`, `kept ${name}`])
    assert.deepEqual([result.postCommand?.failed, result.objective?.held], [undefined, true])
    assert.ok(
      said.some((text) => /^The restore met max-restore-time: [\d.]+ s of 600 s/.test(text)),
    )
  })
  test('after a failed command nothing is dropped; an exceeded objective is a warning', async () => {
    const { source, options, databases } = await clone()
    const said: string[] = []
    const known: unknown[] = []
    const work: Work = {
      ...quietWork(),
      log: { ...quietWork().log, warning: (text) => void said.push(plainText(text)) },
    }
    const swap: BackupRestoreOptions = {
      ...options,
      ...after,
      mode: 'swap',
      label: 'production',
      target: withDatabase(options.target, source),
      confirm: confirmationOf(source, source),
      safetyBackup: false,
      known: (facts) => void known.push(facts),
    }
    const first = await restore(swap, quietWork())
    const result = await restore(
      { ...swap, postCommand: 'echo went wrong; exit 3', keepPrevious: 1, maxRestoreTime: 1 },
      work,
    )
    assert.match(result.postCommand?.failed ?? '', /ended with exit code 3; it said: went wrong/)
    assert.deepEqual(
      [
        result.cleaned,
        result.objective?.held,
        result.plan.filter(({ done }) => !done).map(({ step }) => plainText(step)),
      ],
      [
        undefined,
        false,
        ['Run the post-command', 'Drop previous databases that are older than keep-previous'],
      ],
    )
    assert.ok(said.some((text) => /exceeded max-restore-time: [\d.]+ s of 0.001 s/.test(text)))
    assert.deepEqual(await databases(), [first.previousDatabase, result.previousDatabase])
    assert.deepEqual(known.at(-1), {
      progress: 'done',
      database: source,
      lost: result.age,
      previousDatabase: result.previousDatabase,
    })
    const undone = await restore(
      { ...swap, task: 'undo', postCommand: 'psql -X -Atc "SELECT 7"' },
      quietWork(),
    )
    assert.equal(undone.postCommand?.output, '7')
  })
})
