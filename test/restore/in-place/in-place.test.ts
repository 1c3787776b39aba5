import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { globSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UserError } from '../../../src/errors.ts'
import type { Connection } from '../../../src/postgres/connection/connection.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { measureCopy } from '../../../src/postgres/fingerprint/fingerprint.ts'
import { findPrograms } from '../../../src/postgres/programs/find-programs.ts'
import { readManifest, writeManifest } from '../../../src/repository/manifest.ts'
import { confirmationOf } from '../../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../../src/restore/options.ts'
import { restore } from '../../../src/restore/restore.ts'
import type { RestoreResult } from '../../../src/restore/result.ts'
import type { Work } from '../../../src/work.ts'
import { plainText } from '../../../src/text.ts'
import { newStore, type Store, temporaryFolder } from '../../support/copies.ts'
import { startOwnServer } from '../../support/own-server.ts'
import {
  freshDatabase,
  newestServer,
  query,
  type Server,
  newestAndOldest,
} from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'
import { waitForSession } from '../own-target.ts'

/**
 * A restore inside the target itself, by a role that owns it and may do nothing else: one
 * transaction, all or nothing.
 */
const newest = newestServer()
const owned = `
  CREATE SCHEMA "odd schema";
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE FUNCTION double(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2';
  CREATE FUNCTION text_with_commit() RETURNS text LANGUAGE sql AS $$ SELECT '
BEGIN;

SELECT pg_catalog.lo_open(1);
SELECT $1;
COMMIT;
' $$;
  CREATE FUNCTION act_with_commit() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; /*
BEGIN;

SELECT pg_catalog.lo_open('1', 131072);
COMMIT;
*/ END $$;
  CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, m mood, p positive);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, total int,
    twice int GENERATED ALWAYS AS (double(total)) STORED);
  CREATE TABLE "odd schema"."Table ""of"" $1 things" ("$1" text, ":x" int);
  CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
  CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
  CREATE VIEW sums AS SELECT customer, sum(total) FROM orders GROUP BY customer;
  CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM orders;
  ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
  GRANT SELECT ON customers TO pg_monitor;
  COMMENT ON TABLE orders IS 'BEGIN;
COMMIT;';
  INSERT INTO customers (name, m, p) SELECT 'c' || i, 'happy', i FROM generate_series(1, 20) i;
  INSERT INTO orders (customer, total) SELECT i % 20 + 1, i FROM generate_series(1, 500) i;
  INSERT INTO "odd schema"."Table ""of"" $1 things" VALUES (E'BEGIN;\\n\\nCOMMIT;\\n\\\\.', 1), (NULL, 2), ('', 3);
  INSERT INTO parts SELECT generate_series(1, 30);
  REFRESH MATERIALIZED VIEW seen;
  SELECT lo_from_bytea(0, decode(repeat('00ff', 50000), 'hex')); SELECT lo_from_bytea(0, 'small');
  DO $$ BEGIN EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L',
    (SELECT max(oid) FROM pg_largeobject_metadata),
    E'\\nBEGIN;\\n\\nSELECT pg_catalog.lo_open(''1'', 131072);\\nCOMMIT;\\n'); END $$`

interface Bench {
  server: Server
  name: string
  target: Connection
  store: Store
  id: string
  sql(text: string): Promise<Record<string, unknown>[]>
  restore(
    options?: Partial<BackupRestoreOptions>,
    work?: ReturnType<typeof quietWork>,
  ): Promise<RestoreResult>
  /** All that can be seen of the target, by its own fingerprint. */
  print(): Promise<string>
}

async function bench(server: Server = newest, sql = owned): Promise<Bench> {
  const { name } = await freshDatabase(server)
  const role = `plain_${randomBytes(4).toString('hex')}`
  await query(server, 'postgres', `CREATE ROLE ${role} LOGIN PASSWORD 'pw' NOCREATEDB NOSUPERUSER`)
  await query(server, 'postgres', `ALTER DATABASE ${name} OWNER TO ${role}`)
  const target = { ...server.to(name), user: role, password: 'pw' }
  const sqlAs = (text: string): Promise<Record<string, unknown>[]> =>
    query(server, name, `SET SESSION AUTHORIZATION ${role}; ${text}`)
  await sqlAs(sql)
  const store = await newStore()
  const { id } = await store.backup(target, { largeTable: 8192 })
  return {
    server,
    name,
    target,
    store,
    id,
    sql: sqlAs,
    restore: (options = {}, work = quietWork()) =>
      restore(
        {
          ...store.reading,
          target,
          confirm: confirmationOf(name, name),
          dryRun: false,
          mode: 'in-place',
          jobs: 2,
          ...options,
        },
        work,
      ),
    print: async () => {
      const programs = await findPrograms(server.major, ['pg_dump'], [server.bindir], quietWork())
      return JSON.stringify(
        await measureCopy(
          programs,
          server.to(name),
          { encoding: 'UTF8', readers: 1, depth: 'content' },
          quietWork(),
        ),
      )
    },
  }
}

const damage = `DROP TABLE orders CASCADE;
  DROP SCHEMA "odd schema" CASCADE;
  UPDATE customers SET name = 'x';
  CREATE SCHEMA other;
  CREATE TABLE other.t AS SELECT 1 AS a;
  CREATE FUNCTION double(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
  CREATE VIEW v AS SELECT * FROM customers;
  CREATE TYPE pair AS (a int, b customers);
  CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
  CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
  CREATE COLLATION mine FROM "C";
  CREATE TEXT SEARCH CONFIGURATION conf (COPY = english);
  CREATE STATISTICS st ON id, name FROM customers;
  CREATE PUBLICATION pub FOR TABLE customers;
  CREATE CAST (text AS mood) WITH INOUT;
  CREATE SEQUENCE alone;
  ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO pg_monitor;
  ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
  GRANT CREATE ON SCHEMA public TO pg_monitor;
  SELECT lo_unlink(max(oid)) FROM pg_largeobject_metadata;
  SELECT lo_from_bytea(0, 'new')`

const isError =
  (code: string, ...texts: RegExp[]) =>
  (error: UserError): boolean => {
    assert.equal(error.code, code, `${error.message} ${error.stack ?? ''}`)
    for (const text of texts) assert.match(`${error.message} ${error.hint}`, text)
    return true
  }
const nothing = (): void => {}
const fixed = (text: string): string => text.replace(/"bytes":\d+/g, '"bytes":0')

for (const server of newestAndOldest())
  describe(`PostgreSQL ${server.major}`, () => {
    test('an owner without CREATEDB restores everything, and newer objects are gone', async () => {
      const b = await bench(server)
      const before = fixed(await b.print())
      await b.sql(damage)
      assert.notEqual(fixed(await b.print()), before)
      const result = await b.restore()
      assert.deepEqual(result.inPlace?.differences, [])
      assert.deepEqual(result.warnings, [])
      assert.ok(result.plan.every(({ done }) => done))
      const { schema: then, ...others } = JSON.parse(before) as { schema: Record<string, string> }
      const { schema: now, ...same } = JSON.parse(fixed(await b.print())) as {
        schema: Record<string, string>
      }
      assert.deepEqual(same, others)
      assert.deepEqual(now, then)
      assert.deepEqual(await b.sql('SELECT text_with_commit() AS t'), [
        { t: '\nBEGIN;\n\nSELECT pg_catalog.lo_open(1);\nSELECT $1;\nCOMMIT;\n' },
      ])
    })

    test('after every kind of failure the target is unchanged', async () => {
      const b = await bench(server)
      await b.sql(damage)
      const before = await b.print()
      const unharmed = async (): Promise<void> => assert.equal(await b.print(), before)
      const [manifest = ''] = globSync(join(b.store.folder, '**/manifest.json'))
      const good = readManifest(readFileSync(manifest, 'utf8'), 'x')
      // a row less than the fingerprint says
      const tables = good.fingerprint.tables.map((print) =>
        print.table === 'public.orders' ? { ...print, rows: print.rows + 1 } : print,
      )
      writeFileSync(
        manifest,
        writeManifest({ ...good, fingerprint: { ...good.fingerprint, tables } }),
      )
      await assert.rejects(
        b.restore(),
        isError('restored-differs', /public\.orders/, /rolled back/),
      )
      await unharmed()
      writeFileSync(manifest, writeManifest(good))
      // an archive that is cut in its middle, and one that is damaged
      const [archive = ''] = globSync(join(b.store.folder, '**/rows/*'))
      const whole = readFileSync(archive)
      writeFileSync(archive, whole.subarray(0, whole.length - 20))
      await assert.rejects(b.restore(), isError('object-damaged'))
      await unharmed()
      const flipped = Buffer.from(whole)
      flipped[whole.length - 20] = (flipped[whole.length - 20] ?? 0) ^ 1
      writeFileSync(archive, flipped)
      await assert.rejects(b.restore(), isError('object-damaged'))
      await unharmed()
      writeFileSync(archive, whole)
      // we are stopped, and the server ends our session, each at every step
      for (const step of [
        /^Emptying/,
        /^Restoring types/,
        /^Restoring rows/,
        /^Restoring indexes/,
      ]) {
        const at = (body: () => void): Work => {
          const stop = new AbortController()
          const work = quietWork(stop.signal)
          return {
            ...work,
            log: {
              ...work.log,
              info: (text) =>
                void (
                  step.test(plainText(text)) &&
                  setTimeout(
                    () => (body === nothing ? stop.abort(new Error('stopped')) : body()),
                    5,
                  )
                ),
            },
          }
        }
        await assert.rejects(b.restore({}, at(nothing)), /stopped/)
        await unharmed()
        const terminated = b.restore(
          {},
          at(
            () =>
              void query(
                server,
                'postgres',
                `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${b.name}'
                  AND xact_start IS NOT NULL`,
              ),
          ),
        )
        await assert.rejects(
          terminated,
          isError('server-failed', /terminating connection/, /rolled back/),
        )
        await unharmed()
      }
    })
  })

test('after a SIGKILL in the middle, the target is unchanged', async () => {
  const b = await bench(
    newest,
    `${owned}; CREATE TABLE fat AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 400000) g`,
  )
  const before = await b.print()
  const code = `import { restore } from '${new URL('../../../src/restore/restore.ts', import.meta.url).href}'
    import { openStorage } from '${new URL('../../../src/storage/open.ts', import.meta.url).href}'
    import { quietWork } from '${new URL('../../support/start-servers.ts', import.meta.url).href}'
    const given = JSON.parse(process.env.GIVEN)
    await restore({ ...given, sources: [openStorage(given.url)] }, quietWork())`
  const given = {
    ...b.store.reading,
    sources: undefined,
    url: `file://${b.store.folder}`,
    target: b.target,
    confirm: confirmationOf(b.name, b.name),
    dryRun: false,
    mode: 'in-place',
    jobs: 2,
  }
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    env: { ...process.env, GIVEN: JSON.stringify(given) },
    stdio: 'ignore',
  })
  const gone = new Promise((resolve) => child.once('close', resolve))
  const copying = `SELECT FROM pg_stat_activity WHERE datname = '${b.name}' AND query LIKE 'COPY public.fat%'`
  for (let i = 0; i < 1000 && (await query(newest, 'postgres', copying)).length === 0; i++)
    await sleep(10)
  assert.equal((await query(newest, 'postgres', copying)).length, 1)
  child.kill('SIGKILL')
  await gone
  for (
    let i = 0;
    i < 1000 &&
    (await query(newest, 'postgres', `SELECT FROM pg_stat_activity WHERE datname = '${b.name}'`))
      .length;
    i++
  )
    await sleep(10)
  assert.equal(await b.print(), before)
})

test('owner: drop restores event triggers, leaves out grants, and compares the definitions', async () => {
  const b = await bench()
  const eventTrigger = `CREATE FUNCTION public.heard() RETURNS event_trigger
      LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER "hears ddl" ON ddl_command_end EXECUTE FUNCTION public.heard();
    COMMENT ON EVENT TRIGGER "hears ddl" IS 'it hears'`
  await query(newest, b.name, eventTrigger)
  await b.store.backup(newest.to(b.name))
  await query(newest, b.name, 'DROP EVENT TRIGGER "hears ddl"; DROP TABLE public.orders CASCADE')
  const { inPlace, warnings } = await b.restore({
    target: newest.to(b.name),
    owner: 'drop',
    safetyBackup: false,
  })
  assert.deepEqual([inPlace?.differences, inPlace?.schemaCompared, warnings], [[], true, []])
  assert.deepEqual(
    await query(
      newest,
      b.name,
      `SELECT evtname, obj_description(oid) AS said FROM pg_event_trigger`,
    ),
    [{ evtname: 'hears ddl', said: 'it hears' }],
  )
  assert.deepEqual(
    await query(
      newest,
      b.name,
      `SELECT tableowner, has_table_privilege('pg_monitor', 'public.customers', 'SELECT') AS granted
        FROM pg_tables WHERE tablename = 'customers'`,
    ),
    [{ tableowner: newest.connection.user, granted: false }],
  )
})

test('a failure after the commit is a warning', async () => {
  const b = await bench()
  const folder = temporaryFolder()
  for (const name of ['psql', 'pg_restore'])
    symlinkSync(join(newest.bindir, name), join(folder, name))
  writeFileSync(
    join(folder, 'pg_dump'),
    `#!/bin/sh\n[ "$1" = --version ] && exec '${newest.bindir}/pg_dump' --version\n` +
      `echo 'pg_dump: no today' >&2; exit 1\n`,
    { mode: 0o755 },
  )
  await b.sql('DELETE FROM orders')
  const { inPlace, warnings, plan } = await b.restore({ bindirs: [folder], safetyBackup: false })
  assert.match(
    warnings.map((warning) => plainText(warning)).join('\n'),
    /^The schema was not compared \(.*no today/,
  )
  assert.equal(inPlace?.schemaCompared, false)
  assert.ok(plan.every(({ done }) => done))
  assert.deepEqual(await b.sql('SELECT count(*)::int AS n FROM orders'), [{ n: 500 }])
})

test('a refused commit is a rollback; after a lost connection the outcome is unknown', async () => {
  // while rows come in, a check makes what acts at the end of the transaction
  const late = (act: string): string => `
    CREATE TABLE aa (v int); CREATE TABLE kept (v int); INSERT INTO kept VALUES (1);
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${act}; RETURN NULL; END $$;
    CREATE FUNCTION plans(a int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
    CREATE TABLE zz (v int CHECK (public.plans(v))); INSERT INTO zz VALUES (1);
    CREATE OR REPLACE FUNCTION plans(a int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      EXECUTE 'CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.aa '
        || 'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.act()';
      INSERT INTO public.aa VALUES (1); DELETE FROM public.aa; RETURN true; END $$`
  const refused = await bench(
    newest,
    late(`RAISE EXCEPTION 'not at the end' USING ERRCODE = '23514'`),
  )
  const before = await refused.print()
  await assert.rejects(
    refused.restore({ safetyBackup: false }),
    isError('restore-failed', /not at the end/, /rolled back/),
  )
  assert.equal(await refused.print(), before)
  const broken = await bench(
    newest,
    late('PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())'),
  )
  await assert.rejects(
    broken.restore({ safetyBackup: false }),
    isError('commit-unknown', /terminating connection/),
  )
})

test('a second restore is refused while one in place runs, in any mode', async () => {
  const b = await bench()
  const swap: Partial<BackupRestoreOptions> = {
    mode: 'swap',
    target: newest.to(b.name),
    safetyBackup: false,
  }
  const holder = await connect(b.target, quietWork())
  await holder.query('BEGIN; SELECT count(*) FROM public.customers')
  const { running, reached } = startAndWait(b, { safetyBackup: false }, /^Emptying/)
  try {
    await reached
    await refusedWhileRunning(b, {})
    await refusedWhileRunning(b, { dryRun: true })
    await refusedWhileRunning(b, swap)
  } finally {
    await holder.query('COMMIT')
    await holder.end()
  }
  assert.ok((await running).plan.every(({ done }) => done))
})

test('a restore in place is refused while a swap of the same target runs', async () => {
  const b = await bench()
  const gate = await connect(newest.to('postgres'), quietWork())
  await gate.query('SELECT pg_advisory_lock(1)')
  const [row] = await gate.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const swap: Partial<BackupRestoreOptions> = {
    mode: 'swap',
    target: newest.to(b.name),
    safetyBackup: false,
    prepare: waitForSession(row?.pid ?? 0),
  }
  const { running, reached } = startAndWait(b, swap, /^Done: ANALYZE/)
  try {
    await reached
    await refusedWhileRunning(b, {})
  } finally {
    await gate.end()
  }
  const { previousDatabase } = await running
  await query(newest, 'postgres', `DROP DATABASE "${previousDatabase}"`)
})

/** Starts a restore. `reached` settles when it logs a line that matches `mark`, or fails. */
function startAndWait(
  b: Bench,
  options: Partial<BackupRestoreOptions>,
  mark: RegExp,
): { running: Promise<RestoreResult>; reached: Promise<void> } {
  const quiet = quietWork()
  let reach = (): void => {}
  const reached = new Promise<void>((resolve) => (reach = resolve))
  const info = (text: string): void => void (mark.test(text) && reach())
  const running = b.restore(options, { ...quiet, log: { ...quiet.log, info } })
  return { running, reached: Promise.race([reached, running.then(() => {})]) }
}

async function refusedWhileRunning(
  b: Bench,
  options: Partial<BackupRestoreOptions>,
): Promise<void> {
  await assert.rejects(b.restore(options), isError('restore-running', new RegExp(b.name)))
}

test('the safety backup is the last step before the locks; the time between is measured', async () => {
  const b = await bench()
  const said: string[] = []
  const work = quietWork()
  // read by the base archive's fetching and counting, so that only the backup itself lies before
  // the transaction
  const { inPlace, safetyBackup } = await b.restore(
    { known: ({ safetyBackup: made }) => void (made && said.push('safety')) },
    {
      ...work,
      log: { ...work.log, info: (text) => void said.push(plainText(text)) },
      hold: (thing) => void said.push(thing.kind),
    },
  )
  const order = said.filter((text) => /^(folder|safety|Emptying.*)$/.test(text))
  assert.equal(
    order[0],
    'folder',
    'the base archive has its folder before the safety backup is made',
  )
  assert.equal(
    order.findIndex((text) => text.startsWith('Emptying')),
    order.indexOf('safety') + 1,
  )
  assert.ok(
    safetyBackup &&
      inPlace?.unsaved &&
      inPlace.unsaved > 0 &&
      inPlace.unsaved < safetyBackup.took + 5000,
  )
})

test('rows that a check refuses are an error, and everything is rolled back', async () => {
  const b = await bench(
    newest,
    `CREATE TABLE limits (most int);
      INSERT INTO limits VALUES (10);
      CREATE FUNCTION fits(a int) RETURNS boolean
        LANGUAGE sql AS 'SELECT a <= most FROM public.limits';
      CREATE TABLE a (v int CHECK (fits(v)));
      INSERT INTO a VALUES (5);
      UPDATE limits SET most = 1`,
  )
  const before = await b.print()
  await assert.rejects(b.restore(), isError('restore-failed', /a_v_check/, /rolled back/))
  assert.equal(await b.print(), before)
})

test('the restore waits for sessions that use the target, then names them', async () => {
  const b = await bench()
  const holder = await connect(b.target, quietWork())
  await holder.query('BEGIN; SELECT count(*) FROM public.orders')
  await assert.rejects(
    b.restore({ lockTimeout: 500 }),
    isError('target-busy', /process \d+/, /Nothing was changed/),
  )
  setTimeout(() => void holder.query('COMMIT').then(() => holder.end()), 700)
  const result = await b.restore({ lockTimeout: 20_000 })
  assert.ok(result.plan.every(({ done }) => done))
})

test('objects that cannot be dropped are named first, on a dry run too; definitions only', async () => {
  const b = await bench()
  await query(newest, b.name, `CREATE SCHEMA foreigner; CREATE TABLE public.theirs (a int)`)
  const hindered = async (...texts: RegExp[]): Promise<void> => {
    const { facts } = await b.restore({ dryRun: true })
    assert.deepEqual(
      facts?.obstacles.map(({ code }) => code),
      ['in-place-unsafe'],
    )
    for (const text of texts) assert.match(plainText(facts?.obstacles[0]?.message ?? ''), text)
    await assert.rejects(b.restore(), isError('in-place-unsafe', ...texts))
  }
  await hindered(/foreigner/, /public\.theirs/)
  await query(
    newest,
    b.name,
    `DROP SCHEMA foreigner;
      DROP TABLE public.theirs;
      CREATE SUBSCRIPTION "sub x" CONNECTION 'dbname=nowhere' PUBLICATION p
        WITH (connect = false, slot_name = NONE)`,
  )
  await hindered(/"sub x"/)
  await query(newest, b.name, 'DROP SUBSCRIPTION "sub x"')
  const before = await b.print()
  const dry = await b.restore({ dryRun: true })
  assert.deepEqual(
    dry.plan.map(({ done }) => done),
    [false, false, false, false, false],
  )
  assert.equal(await b.print(), before)
  assert.ok(
    dry.inPlace &&
      dry.inPlace.locks.needed > 20 &&
      dry.inPlace.locks.capacity > dry.inPlace.locks.needed,
  )
  assert.deepEqual([dry.facts?.obstacles, dry.facts?.connected, dry.facts?.notes], [[], [], []])
  assert.ok(dry.facts?.bytes && dry.facts.needed)
  await assert.rejects(b.restore({ contents: 'data' }), isError('bad-input'))
  const empty = await b.restore({ contents: 'schema' })
  assert.deepEqual(empty.inPlace?.differences, [])
  assert.deepEqual(await b.sql('SELECT count(*)::int AS n FROM orders'), [{ n: 0 }])
})

test('a transaction with too many locks is refused first', async () => {
  const server = await startOwnServer(newest.major, {
    max_connections: '20',
    max_locks_per_transaction: '10',
    max_prepared_transactions: '0',
  })
  await server.create(
    'many',
    `SELECT format('CREATE TABLE t%s (id serial PRIMARY KEY, v text)', i) FROM generate_series(1, 60) i`,
  )
  const session = await connect(server.to('many'), quietWork())
  for (let i = 1; i <= 60; i++)
    await session.query(`CREATE TABLE public.t${i} (id serial PRIMARY KEY, v text)`)
  await session.end()
  const store = await newStore()
  await store.backup(server.to('many'))
  const options: BackupRestoreOptions = {
    ...store.reading,
    target: server.to('many'),
    confirm: confirmationOf('many', 'many'),
    dryRun: false,
    mode: 'in-place',
  }
  const refused = isError('too-many-locks', /room for 200/, /max_locks_per_transaction = \d+/)
  await assert.rejects(restore(options, quietWork()), refused)
  assert.deepEqual(
    globSync(join(store.folder, '**/*pre-restore*')),
    [],
    'no safety backup was begun',
  )
  const { facts, inPlace } = await restore({ ...options, dryRun: true }, quietWork())
  assert.deepEqual(
    facts?.obstacles.map(({ code }) => code),
    ['too-many-locks'],
  )
  assert.ok(inPlace && inPlace.locks.needed > 200 && inPlace.locks.capacity === 200)
})
