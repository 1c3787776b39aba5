import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import { connect, type Session } from '../../../src/postgres/connection/session.ts'
import { readStates, type TableState } from '../../../src/postgres/fingerprint/columns.ts'
import {
  emptyPrint,
  measureParts,
  type MeasureOptions,
  mergePrints,
  type TablePrint,
} from '../../../src/postgres/fingerprint/content.ts'
import {
  type Fingerprint,
  measureCopy,
  readSupplement,
} from '../../../src/postgres/fingerprint/fingerprint.ts'
import {
  countLargeObjects,
  measureLargeObjects,
} from '../../../src/postgres/fingerprint/large-objects.ts'
import { printSchema } from '../../../src/postgres/fingerprint/schema.ts'
import { readSequences } from '../../../src/postgres/fingerprint/sequences.ts'
import { listTables, type Table, tableName } from '../../../src/postgres/fingerprint/tables.ts'
import { findPrograms } from '../../../src/postgres/programs/find-programs.ts'
import { override } from '../../support/override.ts'
import { freshDatabase, newestAndOldest, query, type Server } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

/** One thing of each kind that a fingerprint measures. */
const template = {
  name: 'measured',
  sql: `
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
    CREATE DOMAIN label AS text;
    CREATE TABLE items (id int, name text, note varchar(9), tag label, list int[], price numeric,
      double int GENERATED ALWAYS AS (twice(id)) STORED);
    INSERT INTO items VALUES (1, 'ab', 'c', 'x', '{1}', 1.0), (2, '', NULL, '', '{}', NULL),
      (3, 'p', 'q', 'y', NULL, 2), (3, 'p', 'q', 'y', NULL, 2);
    CREATE TABLE empty (a int, b int GENERATED ALWAYS AS (a) STORED);
    CREATE TABLE nothing ();
    INSERT INTO nothing DEFAULT VALUES;
    CREATE TABLE spread (id int) PARTITION BY HASH (id);
    CREATE TABLE spread_0 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE spread_1 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO spread SELECT generate_series(1, 10);
    CREATE TABLE days (day date) PARTITION BY RANGE (day);
    CREATE TABLE days_one PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE INDEX by_day ON days (day);
    CREATE SCHEMA "Odd";
    CREATE TABLE "Odd"."T t" (a int PRIMARY KEY);
    CREATE TABLE child (a int REFERENCES "Odd"."T t");
    CREATE INDEX by_a ON child (a);
    CREATE TABLE parent (a int);
    CREATE TABLE heir () INHERITS (parent);
    INSERT INTO heir VALUES (1);
    CREATE SEQUENCE numbers;
    CREATE SEQUENCE "Odd"."S";
    CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM items;
    SELECT lo_from_bytea(4001, 'one'), lo_from_bytea(4002, ''), lo_from_bytea(4003, repeat('x', 1500000)::bytea)`,
}

/** Each change of that database, and the parts of its fingerprint that are not as before. */
const changes: [title: string, sql: string, parts: string[]][] = [
  ['nothing', 'SELECT 1', []],
  [
    'a row',
    `INSERT INTO parent VALUES (1)`,
    ['tables public.parent hash', 'tables public.parent rows'],
  ],
  ['a row of an heir', 'UPDATE heir SET a = 2', ['tables public.heir hash']],
  ['the order of rows', `UPDATE items SET id = id WHERE id = 1`, []],
  ['a text', `UPDATE items SET name = 'aB' WHERE id = 1`, ['tables public.items hash']],
  [
    'where one text ends and the next begins',
    `UPDATE items SET name = 'a', note = 'Bc' WHERE id = 1`,
    ['tables public.items hash'],
  ],
  ['a text that is empty', `UPDATE items SET note = '' WHERE id = 2`, ['tables public.items hash']],
  [
    'a list that is NULL',
    `UPDATE items SET list = NULL WHERE id = 2`,
    ['tables public.items hash'],
  ],
  [
    'how a number is written',
    `UPDATE items SET price = 1.00 WHERE id = 1`,
    ['tables public.items hash'],
  ],
  [
    'two equal rows to two others',
    `UPDATE items SET name = 'r' WHERE id = 3`,
    ['tables public.items hash'],
  ],
  [
    'a generated column',
    `CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 3';
     UPDATE items SET id = id`,
    ['tables public.items generated'],
  ],
  [
    'a row of a table without columns',
    'INSERT INTO nothing DEFAULT VALUES',
    ['tables public.nothing hash', 'tables public.nothing rows'],
  ],
  [
    'a new table',
    'CREATE TABLE added (a int)',
    [
      'tables public.added bytes',
      'tables public.added hash',
      'tables public.added rows',
      'tables public.added table',
    ],
  ],
  ['a temporary table and sequence', 'CREATE TEMPORARY TABLE passing (a serial)', []],
  [
    'a hash partition',
    'DELETE FROM spread WHERE id = (SELECT min(id) FROM spread_1)',
    ['tables public.spread_1 hash', 'tables public.spread_1 rows'],
  ],
  ['a sequence that was called', `SELECT nextval('numbers')`, ['sequences public.numbers called']],
  [
    'a sequence that was called again',
    `SELECT nextval('numbers')`,
    ['sequences public.numbers last'],
  ],
  [
    'a sequence that was set',
    `SELECT setval('"Odd"."S"', 9223372036854775807)`,
    ['sequences "Odd"."S" called', 'sequences "Odd"."S" last'],
  ],
  ['a materialized view', 'REFRESH MATERIALIZED VIEW sums WITH NO DATA', ['matviews public.sums']],
  [
    'an index',
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_a'::regclass`,
    ['invalidIndexes public.by_a'],
  ],
  [
    'an index of a partitioned table',
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_day'::regclass`,
    ['invalidIndexes public.by_day'],
  ],
  ['a key', 'ALTER TABLE child DISABLE TRIGGER ALL', ['idleKeys public.child child_a_fkey']],
  ['an extension', 'DROP EXTENSION plpgsql', ['extensions plpgsql']],
  ['the bytes of a large object', `SELECT lo_put(4003, 1400000, 'y')`, ['largeObjects hash']],
  [
    'the size of a large object',
    `SELECT lo_put(4001, 3, 'y')`,
    ['largeObjects bytes', 'largeObjects hash'],
  ],
  [
    'an empty large object',
    `SELECT lo_create(4004)`,
    ['largeObjects attributes', 'largeObjects count', 'largeObjects hash'],
  ],
  [
    'a comment on a large object',
    `COMMENT ON LARGE OBJECT 4001 IS 'x'`,
    ['largeObjects attributes'],
  ],
  [
    'a grant on a large object',
    'GRANT SELECT ON LARGE OBJECT 4001 TO PUBLIC',
    ['largeObjects attributes'],
  ],
]

const content: MeasureOptions = { inTransaction: false, depth: 'content' }

async function tablePrints(session: Session, options = content): Promise<TablePrint[]> {
  const parts = (await listTables(session)).map((table) => ({ table, bytes: table.bytes }))
  return mergePrints(await measureParts(session, parts, options))
}

/** What a session measures, without the schema: each value by the way to it. */
async function measure(session: Session): Promise<Map<string, unknown>> {
  await session.query('BEGIN')
  const largeObjects = await measureLargeObjects(session)
  await session.query('ROLLBACK')
  const { invalidIndexes, idleKeys = [], ...records } = await readSupplement(session)
  const parts: Record<string, object> = {
    tables: Object.fromEntries((await tablePrints(session)).map((print) => [print.table, print])),
    sequences: await readSequences(session),
    largeObjects,
    invalidIndexes: Object.fromEntries(invalidIndexes.map((name) => [name, true])),
    idleKeys: Object.fromEntries(idleKeys.map((name) => [name, true])),
    ...records,
  }
  const found = new Map<string, unknown>()
  const walk = (value: unknown, way: string): void => {
    if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) walk(inner, `${way} ${key}`)
    else found.set(way, value)
  }
  for (const [key, value] of Object.entries(parts)) walk(value, key)
  return found
}

/** The ways whose values differ. A table grows without notice. */
function differing(before: Map<string, unknown>, after: Map<string, unknown>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((way) => before.get(way) !== after.get(way))
    .filter((way) => !way.endsWith(' bytes') || way === 'largeObjects bytes' || !before.has(way))
    .sort()
}

async function inDatabase<T>(
  server: Server,
  body: (session: Session, name: string) => Promise<T>,
  from: typeof template | null = template,
): Promise<T> {
  const { name, connection } = await freshDatabase(server, from ?? undefined)
  const session = await connect(connection, quietWork())
  try {
    return await body(session, name)
  } finally {
    await session.end()
  }
}

/** A session that keeps the statements that it was given. */
function recorded(session: Session): { session: Session; statements: string[] } {
  const statements: string[] = []
  const query = <Row extends object>(text: string, values?: unknown[]): Promise<Row[]> => {
    statements.push(text)
    return session.query<Row>(text, values)
  }
  return { session: override(session, { query }), statements }
}

for (const server of newestAndOldest())
  describe(`PostgreSQL ${server.major}`, () => {
    test('each change is seen in its part of the fingerprint, and in no other', () =>
      inDatabase(server, async (session, name) => {
        let before = await measure(session)
        for (const [title, sql, parts] of changes) {
          await query(server, name, sql)
          const after = await measure(session)
          assert.deepEqual(differing(before, after), parts, title)
          before = after
        }
      }))

    test('the tables of a database, with what is to know of each', () =>
      inDatabase(server, async (session) => {
        const tables = await listTables(session)
        assert.deepEqual(
          tables.map((table) => [
            tableName(table),
            table.columns.map(({ name }) => name).join(),
            table.comparedAt,
            table.partOf,
            ['blocks', 'unreadable', 'condition'].filter((key) => key in table).join(),
          ]),
          [
            ['"Odd"."T t"', 'a', undefined, undefined, ''],
            ['public.child', 'a', undefined, undefined, ''],
            ['public.days_one', 'day', undefined, 'public.days', ''],
            ['public.empty', 'a,b', undefined, undefined, ''],
            ['public.heir', 'a', undefined, undefined, ''],
            ['public.items', 'double,id,list,name,note,price,tag', undefined, undefined, ''],
            ['public.nothing', '', undefined, undefined, ''],
            ['public.parent', 'a', undefined, undefined, ''],
            ['public.spread_0', 'id', 'public.spread', 'public.spread', ''],
            ['public.spread_1', 'id', 'public.spread', 'public.spread', ''],
          ],
        )
        const items = tables.find(({ name }) => name === 'items')
        assert.deepEqual(items?.columns.slice(-2), [
          { name: 'price', number: 6, type: 'numeric', base: 1700, generated: 'no' },
          { name: 'tag', number: 4, type: 'public.label', base: 25, generated: 'no' },
        ])
        assert.equal(items.columns[0]?.generated, 'stored')
        assert.ok(items.bytes >= 8192)
      }))

    test('an empty table has the print that is made without reading it', () =>
      inDatabase(server, async (session) => {
        const tables = await listTables(session)
        await session.query('TRUNCATE public.spread')
        for (const depth of ['content', 'counts'] as const) {
          const prints = await tablePrints(session, { ...content, depth })
          for (const name of ['empty', 'child', 'spread_0']) {
            const table = tables.find((each) => each.name === name)
            assert.ok(table)
            const print = prints.find((each) => each.table === tableName(table))
            assert.deepEqual(emptyPrint(table, depth), { ...print, bytes: 0 }, name)
          }
        }
        assert.ok(tables.find(({ name }) => name === 'spread_0')?.comparedAt)
      }))

    test('counting reads no content', () =>
      inDatabase(server, async (session) => {
        const counted = recorded(session)
        const prints = await tablePrints(counted.session, { ...content, depth: 'counts' })
        assert.ok(prints.every((print) => !('hash' in print) && !('generated' in print)))
        const items = prints.find(({ table }) => table === 'public.items')
        assert.equal(items?.rows, 4)
        assert.ok(!counted.statements.some((statement) => statement.includes('hashtext')))
        await session.query('BEGIN')
        assert.deepEqual(await countLargeObjects(session), { count: 3 })
      }))

    test('a table of many columns has each in its hash and in its states', () =>
      inDatabase(
        server,
        async (session) => {
          const columns = Array.from({ length: 601 }, (_, i) => `c${i} int DEFAULT ${i}`)
          await session.query(`CREATE TABLE public.wide (${columns.join(', ')})`)
          await session.query('INSERT INTO public.wide DEFAULT VALUES')
          const hashes = new Set<string | undefined>()
          for (const column of [undefined, 'c0', 'c24', 'c300', 'c600']) {
            if (column) await session.query(`UPDATE public.wide SET ${column} = -1`)
            const [print] = await tablePrints(session)
            hashes.add(print?.hash)
          }
          assert.equal(hashes.size, 5)
          const [state] = (await readStates(session)).values()
          assert.deepEqual(
            [state?.columns.size, state?.columns.get(300)?.total, state?.columns.get(601)?.total],
            [601, '299', '-1'],
          )
        },
        null,
      ))

    test('states have each column’s values, whatever its type', () =>
      inDatabase(server, async (session) => {
        await session.query(
          `CREATE TABLE public.typed AS SELECT n::int4 AS id, n::numeric(9, 2) AS price,
             ('a' || n)::char(5) AS code, ARRAY[n] AS list FROM generate_series(1, 3) n`,
        )
        await session.query('INSERT INTO public.typed (id) VALUES (4)')
        const states = [...(await readStates(session)).values()]
        const of = (name: string): TableState => {
          const found = states.find(({ table }) => table === `public.${name}`)
          assert.ok(found)
          return found
        }
        const typed = of('typed')
        assert.deepEqual(
          [typed.rows, typed.partOf, of('spread_0').partOf],
          [4, undefined, 'public.spread'],
        )
        assert.ok(typed.bytes >= 8192 && typed.file > 0 && typed.oid > 0)
        const [id, price, code, list] = [1, 2, 3, 4].map((number) => typed.columns.get(number))
        assert.deepEqual(
          [id, price, code, list].map((column) => [
            column?.name,
            column?.type,
            column?.kind,
            column?.values,
            column?.bytes,
            column?.total,
          ]),
          [
            ['id', 'integer', 'number', 4, 4, '10'],
            ['price', 'numeric(9,2)', 'number', 3, 12, '6'],
            ['code', 'character(5)', 'text', 3, 6, undefined],
            ['list', 'integer[]', 'other', 3, 9, undefined],
          ],
        )
        // what a change of the type keeps
        await session.query(
          'ALTER TABLE public.typed ALTER price TYPE numeric, ALTER code TYPE text',
        )
        await session.query('DELETE FROM public.typed WHERE id = 4')
        await session.query('INSERT INTO public.typed (id) VALUES (4)')
        await session.query('UPDATE public.typed SET price = pg_catalog.trim_scale(price)')
        const after = (await readStates(session)).get(typed.oid)
        assert.notEqual(after?.file, typed.file)
        assert.equal(after?.columns.get(2)?.exact, price?.exact)
        assert.notEqual(after?.columns.get(2)?.hash, price?.hash)
        assert.equal(after?.columns.get(3)?.hash, code?.hash)
        await session.query('UPDATE public.typed SET price = 4 - price')
        const swapped = (await readStates(session)).get(typed.oid)?.columns.get(2)
        assert.deepEqual([swapped?.total, swapped?.hash], ['6', after?.columns.get(2)?.hash])
        assert.ok(!('exact' in (list ?? {})))
        assert.deepEqual(
          [...of('empty').columns.values()].map(({ values, hash, bytes }) => [values, hash, bytes]),
          [
            [0, '0', 0],
            [0, '0', 0],
          ],
        )
      }))

    test('a state has the kind of each column, and a virtual column has none', () =>
      inDatabase(
        server,
        async (session) => {
          const virtual = server.major >= 18
          await session.query(`CREATE TABLE public.kinds (a int8, b int4, c int2, d float4, e float8,
            f numeric, g text, h varchar, i char(2), j bool, k oid
            ${virtual ? ', l int GENERATED ALWAYS AS (b) VIRTUAL' : ''})`)
          const [state] = (await readStates(session)).values()
          assert.deepEqual(
            [...(state?.columns.values() ?? [])].map(({ kind }) => kind),
            [
              ...Array<string>(6).fill('number'),
              ...Array<string>(3).fill('text'),
              'other',
              'other',
            ],
          )
          const [table] = await listTables(session)
          assert.deepEqual(
            table?.columns.map(({ generated }) => generated),
            [...Array<string>(11).fill('no'), ...(virtual ? ['virtual'] : [])],
          )
        },
        null,
      ))

    test('many sequences are read in few statements', () =>
      inDatabase(
        server,
        async (session) => {
          await session.query(`DO $$ BEGIN FOR i IN 1..400 LOOP
            EXECUTE format('CREATE SEQUENCE public.s%s START %s', i, i); END LOOP; END $$`)
          const { session: watched, statements } = recorded(session)
          const values = await readSequences(watched)
          assert.equal(Object.keys(values).length, 400)
          for (const i of [1, 200, 201, 400])
            assert.deepEqual(values[`public.s${i}`], { last: `${i}`, called: false })
          assert.equal(statements.length, 1 + 2)
        },
        null,
      ))

    test('many large objects add up, and another user’s are refused', () =>
      inDatabase(
        server,
        async (session, name) => {
          await session.query('SELECT lo_create(10000 + i) FROM generate_series(1, 1001) i')
          await session.query(`SELECT lo_put(11001, 0, 'last')`)
          await session.query('BEGIN')
          const print = await measureLargeObjects(session)
          assert.deepEqual([print.count, print.bytes], [1001, 4])
          await session.query('ROLLBACK')
          const role = `reader_${name}`
          await session.query(`CREATE ROLE ${role} NOLOGIN`)
          try {
            await session.query(`BEGIN`)
            await session.query(`SET LOCAL ROLE ${role}`)
            await assert.rejects(
              measureLargeObjects(session),
              (error: UserError) =>
                error.code === 'no-permission' && /large object/.test(error.hint),
            )
            await session.query('ROLLBACK')
            await assert.rejects(
              measureLargeObjects(session),
              (error: Error) => !(error instanceof UserError),
              'without a transaction',
            )
          } finally {
            await session.query(`DROP ROLE ${role}`)
          }
        },
        null,
      ))

    test('a table whose index needs the search_path is named, among others', () =>
      inDatabase(server, async (session, name) => {
        await query(
          server,
          name,
          `CREATE FUNCTION counted(int) RETURNS bigint LANGUAGE sql IMMUTABLE
             AS 'SELECT $1 + count(*) FROM public.parent';
           CREATE TABLE lost (a int);
           INSERT INTO lost VALUES (1);
           CREATE INDEX ON lost (counted(a));
           SET check_function_bodies = off;
           CREATE OR REPLACE FUNCTION counted(int) RETURNS bigint LANGUAGE sql IMMUTABLE
             AS 'SELECT $1 + count(*) FROM parent'`,
        )
        for (const inTransaction of [true, false]) {
          if (inTransaction) await session.query('BEGIN')
          const locked: string[] = []
          const before = async (tables: readonly Table[]): Promise<void> => {
            locked.push(tables.map((table) => table.name).join())
            await Promise.resolve()
          }
          await assert.rejects(
            tablePrints(session, { ...content, inTransaction, before }),
            (error: UserError) =>
              error.code === 'table-unreadable' &&
              error.message.startsWith('public.lost cannot be read with an empty search_path: '),
          )
          assert.match(locked[0] ?? '', /,heir,items,lost,/)
          assert.equal(locked.at(-1), 'lost')
          if (inTransaction) await session.query('ROLLBACK')
        }
        await session.query('DROP TABLE public.lost')
        await session.query('REVOKE ALL ON public.items FROM CURRENT_USER')
        await session.query(`CREATE ROLE other_${name} NOLOGIN`)
        try {
          await session.query(`SET ROLE other_${name}`)
          await assert.rejects(
            tablePrints(session),
            (error: Error & { code?: string }) =>
              !(error instanceof UserError && error.code === 'table-unreadable'),
          )
        } finally {
          await session.query('RESET ROLE')
          await session.query(`DROP ROLE other_${name}`)
        }
      }))

    test('the locks of each query are released in a transaction', () =>
      inDatabase(server, async (session) => {
        await session.query('BEGIN')
        const read: number[] = []
        const tables = (await listTables(session)).filter(({ name }) => name === 'items')
        const before = async (): Promise<void> =>
          void (await session.query('LOCK TABLE public.items IN ACCESS SHARE MODE'))
        await measureParts(
          session,
          tables.map((table) => ({ table, bytes: 5 })),
          { ...content, inTransaction: true, before, onRead: (bytes) => read.push(bytes) },
        )
        const [locks] = await session.query<{ count: number }>(
          `SELECT count(*)::int4 AS count FROM pg_locks
           WHERE relation = 'public.items'::regclass AND pid = pg_backend_pid()`,
        )
        assert.deepEqual([locks?.count, read], [0, [5]])
      }))

    test('a copy is measured to the depth that is asked for', () =>
      inDatabase(server, async (session, name) => {
        const programs = await findPrograms(server.major, ['pg_dump'], [server.bindir], quietWork())
        const read: [number, number][] = []
        const of = (depth: Fingerprint['kind'], readers: number): Promise<Fingerprint> =>
          measureCopy(
            programs,
            server.to(name),
            {
              encoding: 'UTF8',
              readers,
              depth,
              onRead: (bytes, total) => read.push([bytes, total]),
            },
            quietWork(),
          )
        const print = await of('content', 3)
        const total = (await listTables(session)).reduce((sum, { bytes }) => sum + bytes, 0)
        assert.deepEqual(new Set(read.map(([, whole]) => whole)), new Set([total]))
        assert.equal(
          read.reduce((sum, [bytes]) => sum + bytes, 0),
          total,
        )
        assert.deepEqual(
          print.tables,
          (await tablePrints(session)).toSorted((a, b) => (a.table < b.table ? -1 : 1)),
        )
        assert.equal(print.kind, 'content')
        assert.deepEqual([print.largeObjects?.count, print.largeObjects?.bytes], [3, 1_500_003])
        assert.deepEqual(print.sequences['public.numbers'], {
          before: { last: '1', called: false },
          after: { last: '1', called: false },
        })
        assert.ok('TABLE public.items' in print.schema && 'DATABASE' in print.schema)
        assert.deepEqual(Object.keys(print.supplement.extensions), ['plpgsql'])
        assert.ok(!('idleKeys' in print.supplement))
        const counts = await of('counts', 1)
        assert.deepEqual(counts.largeObjects, { count: 3 })
        assert.ok(counts.tables.length > 0 && counts.tables.every(({ hash }) => hash === undefined))
        assert.deepEqual(counts.schema, print.schema)
        const none = await of('none', 1)
        assert.deepEqual(none, {
          kind: 'none',
          tables: [],
          schema: {},
          sequences: print.sequences,
          supplement: print.supplement,
        })
      }))

    test('a schema is read in its snapshot, and waits for no lock for long', () =>
      inDatabase(server, async (session, name) => {
        const programs = await findPrograms(server.major, ['pg_dump'], [server.bindir], quietWork())
        const schema = (options: object): ReturnType<typeof printSchema> =>
          printSchema(programs, server.to(name), { encoding: 'UTF8', ...options }, quietWork())
        await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
        const [exported] = await session.query<{ id: string }>(
          'SELECT pg_catalog.pg_export_snapshot() AS id',
        )
        const before = await schema({})
        await query(server, name, 'CREATE TABLE later (a int)')
        assert.deepEqual(await schema({ snapshot: exported?.id }), before)
        assert.ok('TABLE public.later' in (await schema({})))
        await session.query('ROLLBACK')
        await session.query('BEGIN')
        await session.query('LOCK TABLE public.items')
        await assert.rejects(schema({ lockWait: 50 }), UserError)
      }))
  })
