import assert from 'node:assert/strict'
import { globSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { UserError } from '../../../src/errors.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { restoreReport } from '../../../src/report/restore/restore.ts'
import { parseSelector } from '../../../src/repository/selector.ts'
import { confirmationOf } from '../../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../../src/restore/options.ts'
import { restore } from '../../../src/restore/restore.ts'
import type { RestoredTables, RestoreResult } from '../../../src/restore/result.ts'
import type { Held } from '../../../src/work.ts'
import { plainText } from '../../../src/text.ts'
import { newStore, type Store } from '../../support/copies.ts'
import { newestAndOldestMajor, type OwnServer, startOwnServer } from '../../support/own-server.ts'
import { quietWork } from '../../support/start-servers.ts'
import { renderMarkdown } from '../../../src/report/render/markdown.ts'
import { contentsOf, createTarget, type Target } from '../own-target.ts'

/** Tables of a database, restored into the live one: as copies, or in place of the live tables. */
const shop = `
    CREATE SCHEMA "odd schema";
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial,
      customer int NOT NULL CONSTRAINT "buys it" REFERENCES customers,
      total numeric CHECK (total >= 0), twice numeric GENERATED ALWAYS AS (total * 2) STORED,
      m mood DEFAULT 'sad');
    CREATE INDEX "by total" ON orders (total);
    COMMENT ON TABLE orders IS 'what was bought';
    COMMENT ON COLUMN orders.total IS 'in euros';
    COMMENT ON CONSTRAINT "buys it" ON orders IS 'who';
    CREATE TABLE lines (id int PRIMARY KEY, ordered int REFERENCES orders ON DELETE CASCADE, n int);
    CREATE TABLE log (at timestamptz DEFAULT now(), what text);
    CREATE FUNCTION noted() RETURNS trigger
      LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.log (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE TRIGGER emptied AFTER TRUNCATE ON orders EXECUTE FUNCTION noted();
    ALTER TABLE orders ENABLE ALWAYS TRIGGER emptied;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON orders USING (customer = 1);
    CREATE POLICY theirs ON lines USING (ordered IN (SELECT o.id FROM orders o));
    GRANT SELECT ON orders TO pg_monitor;
    CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
    CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM orders;
    CREATE TABLE "odd schema"."Table ""of"" things" ("a b" text, "select" int);
    CREATE TABLE parts (id int, k text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    CREATE TABLE "odd schema".parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000);
    CREATE TABLE moods (m mood, n int) PARTITION BY HASH (m);
    CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE animals (name text); CREATE TABLE dogs (bark text) INHERITS (animals);
    CREATE TABLE "no columns" ();
    INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 10) i;
    INSERT INTO orders (customer, total) SELECT i % 10 + 1, i FROM generate_series(1, 300) i;
    INSERT INTO lines SELECT i, i, i FROM generate_series(1, 300) i;
    INSERT INTO "odd schema"."Table ""of"" things" VALUES ('it''s', 1), (NULL, 2), (E'\\\\N\t', 3);
    INSERT INTO parts SELECT i, 'k' || i FROM generate_series(1, 200) i;
    INSERT INTO moods SELECT (ARRAY['sad', 'happy'])[i % 2 + 1]::mood, i FROM generate_series(1, 20) i;
    INSERT INTO animals VALUES ('cat'); INSERT INTO dogs VALUES ('rex', 'wuff');
    INSERT INTO "no columns" DEFAULT VALUES; INSERT INTO "no columns" DEFAULT VALUES;
    REFRESH MATERIALIZED VIEW sums;
    TRUNCATE log`
/** Only this file uses them, so that a test can compare everything on one. */
const servers = await Promise.all(newestAndOldestMajor().map((major) => startOwnServer(major)))
const [newest] = servers as [OwnServer, ...OwnServer[]]

interface Bench {
  server: OwnServer
  target: Target
  store: Store
  /** Databases of the server, before any restore. */
  databases: string[]
  sql: (text: string) => Promise<Record<string, unknown>[]>
  one(text: string): Promise<unknown>
  restore(
    options: Partial<BackupRestoreOptions>,
    work?: ReturnType<typeof quietWork>,
  ): Promise<RestoreResult & { restoredTables: RestoredTables }>
}

async function bench(server: OwnServer = newest, largeTable = 16 << 20, more = ''): Promise<Bench> {
  const target = await createTarget(server, `${shop};${more}`)
  const store = await newStore()
  await store.backup(target.connection, { largeTable })
  const sql = (text: string): Promise<Record<string, unknown>[]> => server.query(target.name, text)
  return {
    databases: await server.databases(),
    server,
    target,
    store,
    sql,
    one: async (text) => Object.values((await sql(text))[0] ?? {})[0],
    restore: async (options, work = quietWork()) => {
      const result = await restore(
        {
          ...store.reading,
          target: target.connection,
          confirm: confirmationOf(target.name, target.name),
          dryRun: false,
          jobs: 2,
          ...options,
        },
        work,
      )
      assert.ok(result.restoredTables)
      return { ...result, restoredTables: result.restoredTables }
    },
  }
}

/** The rows of a table, in a fixed order. */
const rowsOf = (table: string): string =>
  `SELECT coalesce(json_agg(t ORDER BY t::text), '[]')::text AS rows FROM ${table} t`
/**
 * Everything in a database but what a restore of tables can add: relations with their oids, files,
 * constraints, triggers.
 */
const everything = `SELECT (SELECT json_agg(json_build_array(c.oid, n.nspname, c.relname, c.relkind,
      c.relfilenode, c.relacl::text) ORDER BY c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'
    AND n.nspname NOT LIKE '%restored%')::text
  || (SELECT json_agg(json_build_array(k.oid, k.conname, pg_get_constraintdef(k.oid)) ORDER BY k.oid)
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
    WHERE n.nspname IN ('public', 'odd schema'))::text
  || (SELECT json_agg(json_build_array(oid, tgname, tgenabled) ORDER BY oid)
    FROM pg_trigger WHERE NOT tgisinternal)::text AS all`
/** Neither a database nor a staging schema is left. */
async function nothingLeft({ server, sql, databases }: Bench): Promise<void> {
  assert.deepEqual(await server.databases(), databases)
  assert.deepEqual(await sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'`), [])
}
const isError =
  (code: string, ...texts: RegExp[]) =>
  (error: UserError): boolean => {
    assert.equal(error.code, code, `${error.message} ${error.stack ?? ''}`)
    for (const text of texts) assert.match(`${error.message} ${error.hint}`, text)
    return true
  }

for (const server of servers) {
  describe(`PostgreSQL ${server.major}: copies`, () => {
    test('tables are copied into new schemas, with rows, indexes and keys; nothing else changes', async () => {
      const b = await bench(server)
      const original = await b.one(rowsOf('orders'))
      const odd = await b.one(rowsOf('"odd schema"."Table ""of"" things"'))
      await b.sql(
        `DELETE FROM lines;
          DELETE FROM orders WHERE id > 5;
          TRUNCATE log;
          DELETE FROM "odd schema"."Table ""of"" things"`,
      )
      const before = await b.one(everything)
      const result = await b.restore({
        tables: ['public.orders', '"odd schema"."Table ""of"" things"'],
      })
      const { restoredTables, rows } = result
      assert.equal(await b.one(everything), before)
      assert.equal(restoredTables.schemas.length, 2)
      const [own = '', other = ''] = ['public', 'odd schema'].map((name) =>
        restoredTables.schemas.find((schema) => schema.startsWith(`${name}_restored_`)),
      )
      assert.match(own, /^public_restored_\d{8}T\d{6}$/)
      assert.equal(await b.one(rowsOf(`"${own}".orders`)), original)
      assert.equal(await b.one(rowsOf(`"${other}"."Table ""of"" things"`)), odd)
      assert.equal(rows, 303)
      assert.equal(await b.one('SELECT count(*)::int FROM orders'), 5)
      assert.deepEqual(
        (
          await b.sql(
            `SELECT indexname AS i FROM pg_indexes WHERE schemaname = '${own}' ORDER BY 1`,
          )
        ).map(({ i }) => i),
        ['by total', 'orders_pkey'],
      )
      // its own sequences, as they stood; no foreign key, no trigger, no policy
      assert.equal(
        await b.one(`INSERT INTO "${own}".orders (customer, total) VALUES (77, 1) RETURNING id`),
        301,
      )
      assert.equal(await b.one('SELECT count(*)::int FROM log'), 0)
      assert.equal(
        await b.one(
          `SELECT count(*)::int FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
            WHERE contype = 'f' AND nspname = '${own}'`,
        ),
        0,
      )
      assert.equal(
        await b.one(`SELECT relrowsecurity FROM pg_class WHERE oid = '"${own}".orders'::regclass`),
        false,
      )
      // what the report says to type works as it stands
      const [look = '', , drop = ''] = [
        ...renderMarkdown(restoreReport(result)).matchAll(/```sql\n([\s\S]*?)\n```/g),
      ].map(([, typed]) => typed ?? '')
      assert.deepEqual(
        await b.sql(look),
        [
          { table: 'public.orders', live: '5', restored: '301' },
          { table: '"odd schema"."Table ""of"" things"', live: '0', restored: '3' },
        ].toSorted((x, y) => (x.table < y.table ? -1 : 1)),
      )
      await b.sql(drop)
      assert.deepEqual(
        await b.sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '%restored%'`),
        [],
      )
      await nothingLeft(b)
    })

    test('a partition tree is copied as a whole; a single leaf or child is detached', async () => {
      const b = await bench(server)
      const { restoredTables } = await b.restore({
        tables: ['parts', 'moods', 'dogs', '"no columns"'],
      })
      const [own = '', other = ''] = ['public', 'odd schema'].map((name) =>
        restoredTables.schemas.find((schema) => schema.startsWith(`${name}_`)),
      )
      assert.equal(await b.one(`SELECT count(*)::int FROM "${own}".parts`), 200)
      assert.equal(await b.one(`SELECT count(*)::int FROM "${other}".parts_2`), 101)
      assert.equal(await b.one(`SELECT count(*)::int FROM "${own}".moods`), 20)
      assert.equal(await b.one(`SELECT count(*)::int FROM "${own}"."no columns"`), 2)
      assert.equal(await b.one(`SELECT bark FROM "${own}".dogs`), 'wuff')
      assert.equal(await b.one('SELECT count(*)::int FROM animals'), 2)
      const leaf = await b.restore({ tables: ['parts_1'] })
      assert.equal(await b.one('SELECT count(*)::int FROM parts'), 200)
      assert.equal(
        await b.one(`SELECT count(*)::int FROM "${leaf.restoredTables.schemas[0] ?? ''}".parts_1`),
        99,
      )
    })
  })

  describe(`PostgreSQL ${server.major}: replaced tables`, () => {
    test('a replaced table keeps its identity; foreign keys, triggers and views stay', async () => {
      const b = await bench(server)
      const original = await b.one(rowsOf('orders'))
      const shape = `SELECT 'orders'::regclass::oid::text
        || (SELECT json_agg(json_build_array(conname, pg_get_constraintdef(oid),
          obj_description(oid)) ORDER BY conname) FROM pg_constraint)::text
        || (SELECT json_agg(json_build_array(oid, tgname, tgenabled) ORDER BY oid)
          FROM pg_trigger WHERE NOT tgisinternal)::text
        || (SELECT relacl::text FROM pg_class WHERE relname = 'orders')`
      const before = await b.one(shape)
      await b.sql(
        `UPDATE orders SET total = 0;
          DELETE FROM orders WHERE id BETWEEN 290 AND 295;
          INSERT INTO orders (customer, total) VALUES (1, 5);
          TRUNCATE log`,
      )
      const { restoredTables, warnings } = await b.restore({ tables: ['orders'], replace: true })
      assert.equal(await b.one(rowsOf('orders')), original)
      assert.equal(await b.one(shape), before)
      assert.equal(await b.one('SELECT count(*)::int FROM log'), 0)
      assert.equal(await b.one('SELECT count(*)::int FROM lines'), 294, 'lines are not restored')
      assert.deepEqual(restoredTables.tables, [
        { table: 'public.orders', into: 'public.orders', how: 'replaced', rows: 300 },
      ])
      assert.deepEqual(restoredTables.keys.sort(), ['buys it', 'lines_ordered_fkey'])
      assert.ok(
        warnings.some((warning) =>
          plainText(warning).includes('REFRESH MATERIALIZED VIEW public.sums;'),
        ),
        warnings.map((each) => plainText(each)).join(),
      )
      // forward only: it had given 301
      assert.equal(
        await b.one('INSERT INTO orders (customer, total) VALUES (1, 5) RETURNING id'),
        302,
      )
      await nothingLeft(b)
    })

    test('a table dropped with CASCADE is re-created with everything that was dropped with it', async () => {
      const b = await bench(server)
      const original = await b.one(rowsOf('orders'))
      const shape = `SELECT (SELECT json_agg(json_build_array(conrelid::regclass, conname,
          pg_get_constraintdef(oid), obj_description(oid))
          ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE conrelid <> 0)::text
        || (SELECT json_agg(json_build_array(tgname, tgenabled, pg_get_triggerdef(oid))
          ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal)::text
        || (SELECT json_agg(json_build_array(policyname, tablename, qual) ORDER BY policyname) FROM pg_policies)::text
        || (SELECT json_agg(json_build_array(indexdef) ORDER BY indexname) FROM pg_indexes
          WHERE tablename = 'orders')::text
        || (SELECT relacl::text || relrowsecurity || obj_description(oid) || col_description(oid, 4)
          || pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'orders')
          || pg_get_viewdef('spent'::regclass)`
      const before = await b.one(shape)
      await b.sql('DROP TABLE orders CASCADE')
      const { restoredTables, warnings } = await b.restore({ tables: ['orders'], replace: true })
      assert.equal(await b.one(rowsOf('orders')), original)
      assert.equal(await b.one(shape), before)
      assert.equal(restoredTables.tables[0]?.how, 'created')
      assert.deepEqual(restoredTables.keys.sort(), [
        'public.lines lines_ordered_fkey',
        'public.orders buys it',
      ])
      assert.ok(
        warnings.some((warning) => plainText(warning).includes('MATERIALIZED VIEW public.sums')),
        warnings.map((each) => plainText(each)).join(),
      )
      assert.equal(
        await b.one('INSERT INTO orders (customer, total) VALUES (1, 5) RETURNING id'),
        301,
      )
      assert.equal(await b.one('SELECT count(*)::int FROM log'), 1)
      await nothingLeft(b)
    })

    test('partitions, children, tables without columns, a dropped schema, extra live columns', async () => {
      const b = await bench(server)
      const all = [
        'parts',
        'moods',
        'animals',
        'dogs',
        '"no columns"',
        '"odd schema"."Table ""of"" things"',
      ]
      const before = await Promise.all(all.map((table) => b.one(rowsOf(table))))
      await b.sql(
        `DROP SCHEMA "odd schema" CASCADE;
          UPDATE moods SET m = 'sad';
          DELETE FROM "no columns";
          UPDATE animals SET name = 'x';
          ALTER TABLE customers ADD since int DEFAULT 7;
          UPDATE customers SET since = 8`,
      )
      const { warnings } = await b.restore({ tables: all, replace: true })
      assert.deepEqual(await Promise.all(all.map((table) => b.one(rowsOf(table)))), before)
      assert.equal(await b.one('SELECT count(*)::int FROM "odd schema".parts_2'), 101)
      assert.equal(warnings.length, 0, warnings.map((each) => plainText(each)).join())
      const second = await b.restore({ tables: ['customers'], replace: true })
      assert.equal(await b.one('SELECT sum(since)::int FROM customers'), 70)
      assert.ok(
        second.warnings.some((warning) => /customers.*since/.test(plainText(warning))),
        second.warnings.map((each) => plainText(each)).join(),
      )
    })

    test('sequences are moved forward, wherever they stand, and never back', async () => {
      const b = await bench(
        server,
        16 << 20,
        `
        CREATE TABLE a (id serial, n int);
        CREATE TABLE b (id serial, n int);
        CREATE TABLE c (id serial, n int);
        CREATE TABLE d (id serial, n int);
        CREATE TABLE down (id int);
        CREATE SEQUENCE falling INCREMENT -1 OWNED BY down.id;
        ALTER TABLE down ALTER id SET DEFAULT nextval('falling');
        CREATE SEQUENCE shared;
        CREATE SEQUENCE ahead;
        CREATE TABLE e (id int DEFAULT nextval('shared'), f text DEFAULT 'f' || nextval('ahead'));
        INSERT INTO a (n) SELECT generate_series(1, 10);
        INSERT INTO b (n) SELECT generate_series(1, 10);
        INSERT INTO c (n) SELECT generate_series(1, 10);
        INSERT INTO d (n) SELECT generate_series(1, 10);
        INSERT INTO e SELECT FROM generate_series(1, 10);
        INSERT INTO down SELECT FROM generate_series(1, 10)`,
      )
      await b.sql(`ALTER SEQUENCE a_id_seq RESTART WITH 1000000;
        SELECT setval('b_id_seq', 500);
        ALTER SEQUENCE c_id_seq RESTART;
        SELECT setval('d_id_seq', 10, false);
        ALTER SEQUENCE shared RESTART;
        ALTER SEQUENCE ahead RESTART WITH 70;
        ALTER SEQUENCE falling RESTART;
        CREATE SEQUENCE unknown;
        ALTER TABLE e ADD g int DEFAULT nextval('unknown')`)
      const { warnings } = await b.restore({
        tables: ['a', 'b', 'c', 'd', 'e', 'down'],
        replace: true,
        safetyBackup: false,
      })
      const next = await b.sql(
        `SELECT nextval('a_id_seq')::int AS a, nextval('b_id_seq')::int AS b,
          nextval('c_id_seq')::int AS c, nextval('d_id_seq')::int AS d,
          nextval('shared')::int AS shared, nextval('ahead')::int AS ahead,
          nextval('falling')::int AS falling`,
      )
      assert.deepEqual(next, [
        { a: 1_000_000, b: 501, c: 11, d: 11, shared: 11, ahead: 70, falling: -11 },
      ])
      assert.ok(
        warnings.some((warning) =>
          /public\.e takes values from the sequence public\.unknown/.test(plainText(warning)),
        ),
        warnings.map((each) => plainText(each)).join(),
      )
      assert.ok(
        !warnings.some((warning) => /shared|ahead/.test(plainText(warning))),
        warnings.map((each) => plainText(each)).join(),
      )
    })

    test('a tree with partitions that the backup lacks is not replaced', async () => {
      const b = await bench(server)
      await b.sql(
        `CREATE TABLE parts_9 PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
          INSERT INTO parts VALUES (1500);
          DELETE FROM parts WHERE id < 50`,
      )
      const [before, rows] = [await b.one(everything), await b.one(rowsOf('parts'))]
      await assert.rejects(
        b.restore({ tables: ['parts'], replace: true, safetyBackup: false }),
        isError('partitions-differ', /public\.parts_9\./, /DETACH/),
      )
      assert.deepEqual([await b.one(everything), await b.one(rowsOf('parts'))], [before, rows])
      await b.restore({ tables: ['parts_1'], replace: true, safetyBackup: false })
      assert.equal(await b.one('SELECT count(*)::int FROM parts'), 201)
      await b.sql('ALTER TABLE parts DETACH PARTITION parts_9')
      await b.restore({ tables: ['parts'], replace: true, safetyBackup: false })
      assert.equal(await b.one('SELECT count(*)::int FROM parts'), 200)
      await nothingLeft(b)
    })

    test('keys that somebody switched off stay off, and one that is not enforced is not called checked', async () => {
      const b = await bench(server)
      if (server.major >= 18)
        await b.sql(
          'ALTER TABLE lines ADD CONSTRAINT lax FOREIGN KEY (n) REFERENCES orders NOT ENFORCED',
        )
      await b.sql(`
        ALTER TABLE lines ADD CONSTRAINT late FOREIGN KEY (n) REFERENCES orders NOT VALID;
        ALTER TABLE orders ADD region int,
          ADD CONSTRAINT tree FOREIGN KEY (region) REFERENCES parts;
        CREATE TABLE refers (id int, o int REFERENCES orders) PARTITION BY RANGE (id);
        CREATE TABLE refers_1 PARTITION OF refers DEFAULT`)
      await b.store.backup(b.target.connection)
      await b.sql('ALTER TABLE lines DISABLE TRIGGER ALL; ALTER TABLE refers DISABLE TRIGGER ALL')
      const states = `SELECT json_agg(json_build_array(t.tgrelid::regclass::text, k.conname,
        t.tgfoid::regproc::text, t.tgenabled)
        ORDER BY 1::text, t.tgrelid::regclass::text, k.conname, t.tgfoid::regproc::text)::text
        AS all FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint`
      const before = await b.one(states)
      assert.match(String(before), /"D"/)
      const { restoredTables, warnings } = await b.restore({
        tables: ['orders'],
        replace: true,
        safetyBackup: false,
      })
      assert.equal(await b.one(states), before)
      assert.ok(
        restoredTables.keys.includes('buys it') &&
          !restoredTables.keys.includes('late') &&
          !restoredTables.keys.includes('lax'),
        restoredTables.keys.join(),
      )
      assert.ok(!warnings.some((warning) => /switched off/.test(plainText(warning))))
      await b.sql('INSERT INTO lines VALUES (2000, 99999, 1)')
    })

    test('rows that a foreign key forbids roll all back, and are counted', async () => {
      const b = await bench(server)
      await b.sql(
        'DELETE FROM lines; DELETE FROM orders WHERE customer IN (3, 4); DELETE FROM customers WHERE id IN (3, 4)',
      )
      const [before, orders] = [await b.one(everything), await b.one(rowsOf('orders'))]
      await assert.rejects(
        b.restore({ tables: ['orders'], replace: true }),
        isError('foreign-key-violated', /"buys it"/, /60 rows/),
      )
      assert.equal(await b.one(everything), before)
      assert.equal(await b.one(rowsOf('orders')), orders)
      await nothingLeft(b)
      await b.restore({ tables: ['orders', 'customers'], replace: true })
      assert.equal(await b.one('SELECT count(*)::int FROM orders'), 300)
      // the other way: rows of another table that would point to nothing
      await b.sql(
        'INSERT INTO orders (customer, total) VALUES (1, 1); INSERT INTO lines SELECT 1000, max(id), 1 FROM orders',
      )
      await assert.rejects(
        b.restore({ tables: ['orders'], replace: true }),
        isError('foreign-key-violated', /"lines_ordered_fkey"/, /1 row /),
      )
      await b.sql('DROP TABLE orders CASCADE')
      await assert.rejects(
        b.restore({ tables: ['orders'], replace: true }),
        isError('foreign-key-violated', /"lines_ordered_fkey"/, /1 row /),
      )
      assert.equal(await b.one(`SELECT to_regclass('orders')`), null)
      await nothingLeft(b)
    })
  })
}

test('only archives that hold the rows are read; all others may be missing', async () => {
  const b = await bench(newest, 8192)
  const archives = globSync(join(b.store.folder, '**/rows/*'))
  assert.ok(archives.length > 2)
  const { manifest } = await b.store.found()
  const needed = manifest.objects
    .filter(({ kind, tables }) => kind === 'base' || tables?.includes('public.customers'))
    .map(({ name }) => name)
  for (const file of archives) if (!needed.some((name) => file.endsWith(name))) rmSync(file)
  assert.ok(globSync(join(b.store.folder, '**/rows/*')).length < archives.length)
  const { restoredTables, rows } = await b.restore({ tables: ['customers'], replace: true })
  assert.equal(rows, 10)
  assert.ok(restoredTables.archives.read < restoredTables.archives.all)
  await assert.rejects(b.restore({ tables: ['orders'], replace: true }), isError('object-missing'))
})

test('a name that the backup lacks is an error with the nearest names, before anything is created', async () => {
  const b = await bench()
  await assert.rejects(
    b.restore({ tables: ['order'], dryRun: true }),
    isError('unknown-table', /public\.order\b/, /public\.orders/),
  )
  await assert.rejects(
    b.restore({ tables: ['odd schema.Table'], dryRun: true }),
    isError('unknown-table', /"odd schema"\."Table ""of"" things"/),
  )
  await assert.rejects(
    b.restore({ schemas: ['od schema'], dryRun: true }),
    isError('unknown-schema', /odd schema/),
  )
  await assert.rejects(b.restore({ tables: ['spent'] }), isError('unknown-table'))
  await assert.rejects(b.restore({ tables: ['a.b.c'] }), isError('bad-input'))
  await assert.rejects(
    b.restore({ tables: ['moods_0'], replace: true }),
    isError('partition-alone', /public\.moods/),
  )
  const before = await contentsOf(b.server)
  const dry = await b.restore({ tables: ['PARTS', 'public.orders'], dryRun: true })
  assert.deepEqual(await contentsOf(b.server), before)
  assert.deepEqual(
    dry.plan.map(({ done }) => done),
    [false, false],
  )
  await nothingLeft(b)
})

test('a whole schema, definitions alone, rows alone', async () => {
  const b = await bench()
  const odd = await b.one(rowsOf('"odd schema"."Table ""of"" things"'))
  await b.sql(
    `DELETE FROM "odd schema"."Table ""of"" things";
      DROP TABLE lines;
      UPDATE customers SET name = $$new$$ WHERE id = 10`,
  )
  await b.restore({ schemas: ['odd schema'], replace: true })
  assert.equal(await b.one(rowsOf('"odd schema"."Table ""of"" things"')), odd)
  await assert.rejects(
    b.restore({ tables: ['lines'], replace: true, contents: 'data' }),
    isError('table-missing', /public\.lines/),
  )
  const made = await b.restore({
    tables: ['lines', 'customers'],
    replace: true,
    contents: 'schema',
  })
  assert.deepEqual(
    made.restoredTables.tables.map(({ table, how }) => [table, how]),
    [
      ['public.lines', 'created'],
      ['public.customers', 'untouched'],
    ],
  )
  assert.equal(await b.one('SELECT name FROM customers WHERE id = 10'), 'new')
  assert.equal(await b.one('SELECT count(*)::int FROM lines'), 0)
  await assert.rejects(b.sql('INSERT INTO lines VALUES (1, 99999, 1)'), /lines_ordered_fkey/)
  await b.restore({ tables: ['lines'], replace: true, contents: 'data' })
  assert.equal(await b.one('SELECT count(*)::int FROM lines'), 300)
  const empty = await b.restore({ tables: ['orders'], contents: 'schema' })
  assert.equal(
    await b.one(`SELECT count(*)::int FROM "${empty.restoredTables.schemas[0] ?? ''}".orders`),
    0,
  )
})

test('a missing type, a missing column and a refused row are errors that name them', async () => {
  const b = await bench()
  await b.sql('DROP TABLE orders CASCADE; DROP TABLE moods CASCADE; DROP TYPE mood')
  await assert.rejects(b.restore({ tables: ['orders'] }), isError('dependency-missing', /mood/))
  await assert.rejects(
    b.restore({ tables: ['orders'], replace: true }),
    isError('dependency-missing', /mood/),
  )
  await b.sql('ALTER TABLE customers DROP COLUMN name')
  await assert.rejects(
    b.restore({ tables: ['customers'], replace: true }),
    isError('columns-differ', /lacks: name/),
  )
  await b.sql(`ALTER TABLE parts_1 ADD CONSTRAINT "only small" CHECK (id < 50) NOT VALID`)
  await assert.rejects(
    b.restore({ tables: ['parts_1'], replace: true }),
    isError('replace-refused', /only small/),
  )
  assert.equal(await b.one('SELECT count(*)::int FROM parts'), 200)
  await nothingLeft(b)
})

test('a live table that changes the values is not committed', async () => {
  const b = await bench()
  await b.sql('ALTER TABLE parts_1 DROP CONSTRAINT parts_1_pkey CASCADE').catch(() => {})
  await b.sql(
    'CREATE TABLE "odd schema".keep AS SELECT 1; ALTER TABLE customers ALTER name TYPE char(40)',
  )
  await assert.rejects(
    b.restore({ tables: ['customers'], replace: true }),
    isError('restored-differs', /public\.customers/),
  )
  await nothingLeft(b)
})

test('the inputs that the report prints bring back what the tables held before', async () => {
  const b = await bench()
  await b.sql('UPDATE orders SET total = 7; INSERT INTO customers VALUES (77, $$late$$)')
  const [orders, customers] = [await b.one(rowsOf('orders')), await b.one(rowsOf('customers'))]
  const events: string[] = []
  const quiet = quietWork()
  const log = { ...quiet.log, info: (text: string) => void events.push(text) }
  const work = { ...quiet, log, hold: (thing: Held) => void events.push(thing.kind) }
  const result = await b.restore({ tables: ['orders'], replace: true, safetyBackup: true }, work)
  const stored = events.findIndex((text) => text.startsWith('The safety backup is stored'))
  assert.ok(
    stored > events.findIndex((text) => text.startsWith('Restoring rows')),
    'after the build',
  )
  assert.ok(
    stored >= 0 && stored < events.indexOf('schema'),
    'before anything is made in the live database',
  )
  assert.deepEqual(
    result.plan.map(({ step, done }) => [plainText(step).split(' ')[0], done]),
    [
      ['Restore', true],
      ['Back', true],
      ['In', true],
    ],
  )
  assert.ok(
    (result.restoredTables.unsaved ?? 0) > 0 &&
      (result.restoredTables.unsaved ?? 0) < result.timings.total,
  )
  await b.sql('INSERT INTO customers VALUES (78, $$later$$)')
  const report = renderMarkdown(restoreReport(result))
  assert.match(report, /The tables were locked [\d.]+ m?s after its snapshot/)
  const typed = /```yaml\n([\s\S]*?)```/.exec(report)?.[1] ?? ''
  const value = (name: string): string =>
    new RegExp(`^${name}: (.*)$`, 'm').exec(typed)?.[1]?.replaceAll("'", '') ?? ''
  assert.equal(value('replace'), 'true')
  const tables = [
    ...(/^tables: \|\n((?: {2}.*\n)+)/m.exec(typed)?.[1] ?? '').matchAll(/^ {2}(.*)$/gm),
  ].map(([, line]) => line as string)
  const back = await b.restore({
    backup: parseSelector(value('backup')),
    label: value('label'),
    tables,
    replace: true,
    safetyBackup: false,
  })
  assert.equal(await b.one(rowsOf('orders')), orders)
  assert.equal(await b.one(rowsOf('(SELECT * FROM customers WHERE id <> 78)')), customers)
  assert.equal(await b.one('SELECT count(*)::int FROM customers WHERE id = 78'), 1)
  assert.equal(back.restoredTables.unsaved, undefined)
  // made anew: the safety backup lacks it
  await b.sql('DROP TABLE lines')
  const anew = renderMarkdown(
    restoreReport(
      await b.restore({ tables: ['lines', 'orders'], replace: true, safetyBackup: true }),
    ),
  )
  assert.match(anew, /tables: \|\n {2}public\.orders\nreplace: /)
  assert.match(anew, /DROP TABLE "public"\."lines";/)
  await nothingLeft(b)
})

test('writers go on, their rows in other tables stay, and a locked table is named', async () => {
  const b = await bench()
  let running = true
  let [written, refused] = [0, 0]
  const writer = async (): Promise<void> => {
    const session = await connect(b.target.connection, quietWork())
    while (running) {
      try {
        await session.query(
          `INSERT INTO public.log (what) VALUES ('writer');
            UPDATE public.orders SET total = total + 1
              WHERE id = ${1 + Math.floor(Math.random() * 300)}`,
        )
        written++
      } catch {
        refused++
      }
    }
    await session.end()
  }
  await b.sql('ALTER TABLE orders DISABLE TRIGGER noted')
  const writers = Array.from({ length: 4 }, writer)
  try {
    const { restoredTables } = await b.restore({ tables: ['orders'], replace: true })
    assert.equal(restoredTables.tables[0]?.rows, 300)
  } finally {
    running = false
    await Promise.all(writers)
  }
  assert.equal(await b.one('SELECT count(*)::int FROM log'), written)
  assert.equal(refused, 0)
  assert.ok(written > 0)
  const holder = await connect(b.target.connection, quietWork())
  await holder.query('BEGIN; SELECT count(*) FROM public.orders')
  await assert.rejects(
    b.restore({ tables: ['orders'], replace: true, lockTimeout: 500 }),
    isError('target-busy', /process \d+/),
  )
  await holder.query('COMMIT')
  await holder.end()
  await nothingLeft(b)
})

test('a disabled key that the role cannot disable is a warning; so is a foreign sequence', async () => {
  const b = await bench(
    newest,
    16 << 20,
    `CREATE SEQUENCE alien; CREATE TABLE f (id int DEFAULT nextval('alien'), o int REFERENCES orders)`,
  )
  const owner = `owner_${b.target.name}`
  await b.sql(
    `CREATE ROLE "${owner}" LOGIN CREATEDB PASSWORD 'p';
      GRANT CREATE ON DATABASE "${b.target.name}" TO "${owner}";
      ALTER TABLE orders OWNER TO "${owner}";
      ALTER TABLE lines OWNER TO "${owner}";
      ALTER TABLE customers OWNER TO "${owner}";
      ALTER TABLE f OWNER TO "${owner}";
      GRANT ALL ON SCHEMA public TO "${owner}";
      GRANT ALL ON log TO "${owner}"`,
  )
  try {
    await b.sql('ALTER TABLE lines DISABLE TRIGGER ALL')
    const { warnings, restoredTables } = await b.restore({
      target: { ...b.target.connection, user: owner, password: 'p' },
      tables: ['orders', 'f'],
      replace: true,
      safetyBackup: false,
    })
    assert.ok(
      warnings.some((warning) =>
        /"lines_ordered_fkey" of public\.lines was switched off/.test(plainText(warning)),
      ),
      warnings.map((each) => plainText(each)).join(),
    )
    assert.ok(
      !warnings.some((warning) => /"buys it"/.test(plainText(warning))),
      warnings.map((each) => plainText(each)).join(),
    )
    assert.ok(
      warnings.some((warning) =>
        /may not read or set the sequence public\.alien, /.test(plainText(warning)),
      ),
      warnings.map((each) => plainText(each)).join(),
    )
    assert.equal(restoredTables.tables.find(({ table }) => table === 'public.orders')?.rows, 300)
    await nothingLeft(b)
  } finally {
    await b.sql(
      `REASSIGN OWNED BY "${owner}" TO CURRENT_USER; DROP OWNED BY "${owner}"; DROP ROLE "${owner}"`,
    )
  }
})

test('stopped at any moment, it replaces all or nothing, and leaves nothing behind', async () => {
  const b = await bench()
  const original = await b.one(rowsOf('orders'))
  const damage = async (): Promise<void> =>
    void (await b.sql(
      `UPDATE orders SET total = 7;
        DELETE FROM lines WHERE id > 200;
        DELETE FROM orders WHERE id > 200;
        ALTER SEQUENCE orders_id_seq RESTART;
        TRUNCATE log`,
    ))
  const met = new Map<string, number>()
  const marks = [
    /^Restoring all definitions/,
    /^Restoring 1 table/,
    /^hold schema/,
    /^Copying the rows/,
    /^Replacing/,
    /^Moved the sequence/,
    /^release schema/,
    /^release database/,
  ]
  for (const mark of marks) {
    for (const delay of [0, 3, 20]) {
      await damage()
      const [damaged, all] = [await b.one(rowsOf('orders')), await b.one(everything)]
      const stop = new AbortController()
      const held: Held[] = []
      let seen = false
      const at = (text: string): void => {
        if (seen || !mark.test(text)) return
        seen = true
        if (delay === 0) stop.abort(new Error('stopped'))
        else setTimeout(() => stop.abort(new Error('stopped')), delay)
      }
      const quiet = quietWork(stop.signal)
      const hold = (thing: Held): void => {
        held.push(thing)
        at(`hold ${thing.kind}`)
      }
      const release = (thing: Held): void => {
        const index = held.findIndex((other) => JSON.stringify(other) === JSON.stringify(thing))
        assert.ok(index >= 0, 'released what was held')
        held.splice(index, 1)
        at(`release ${thing.kind}`)
      }
      const failure = await b
        .restore(
          { tables: ['orders'], replace: true, safetyBackup: false },
          { ...quiet, log: { ...quiet.log, info: at }, hold, release },
        )
        .then(
          () => undefined,
          (error: Error) => error,
        )
      assert.ok(seen, `${mark} was met`)
      assert.deepEqual(held, [], String(mark))
      await nothingLeft(b)
      const now = await b.one(rowsOf('orders'))
      const state = now === damaged ? 'as it was' : now === original ? 'replaced' : 'neither'
      assert.notEqual(state, 'neither', `${mark} ${delay}`)
      if (state === 'as it was') {
        assert.equal(await b.one(everything), all)
        assert.match(String(failure?.message), /stopped/)
      }
      met.set(state, (met.get(state) ?? 0) + 1)
    }
  }
  assert.ok(
    (met.get('as it was') ?? 0) >= 6 && (met.get('replaced') ?? 0) >= 3,
    JSON.stringify([...met]),
  )
})
