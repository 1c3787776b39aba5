import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergePrints, measureParts, type Part } from '../../../src/postgres/fingerprint/content.ts'
import { listTables } from '../../../src/postgres/fingerprint/tables.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { freshDatabase, newestAndOldest, query } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

for (const server of newestAndOldest()) {
  test(`PostgreSQL ${server.major}: ranges of blocks add up to the print of the whole table`, async () => {
    // with holes, and with rows in its last block
    const sql = `CREATE TABLE t (a int, b text, c int GENERATED ALWAYS AS (a * 2) STORED);
      INSERT INTO t SELECT g, repeat(md5(g::text), 5) FROM generate_series(1, 20000) g;
      DELETE FROM t WHERE a % 3 = 0 OR a BETWEEN 5000 AND 9000;
      UPDATE t SET b = b || 'x' WHERE a % 7 = 0;
      VACUUM t;
      INSERT INTO t VALUES (-1, 'last')`
    const { connection } = await freshDatabase(server)
    const session = await connect(connection, quietWork())
    try {
      for (const statement of sql.split(';'))
        await session.query(statement.replace(/(TABLE|INTO|FROM|UPDATE|VACUUM) t\b/, '$1 public.t'))
      const [whole] = await listTables(session)
      assert.ok(whole)
      const [size] = await session.query<{ blocks: number }>(
        `SELECT (pg_catalog.pg_relation_size('public.t') / 8192)::int4 AS blocks`,
      )
      const blocks = size?.blocks ?? 0
      assert.ok(blocks > 300)
      const measure = async (parts: Part[]): Promise<unknown> =>
        mergePrints(await measureParts(session, parts, { inTransaction: false, depth: 'content' }))
      const expected = await measure([{ table: whole, bytes: 1 }])
      for (const cuts of [
        [1],
        [blocks - 1],
        [blocks],
        [7, 100, 101, 250],
        Array.from({ length: 40 }, (_, i) => 5 * (i + 1)),
      ]) {
        const bounds = [undefined, ...cuts, undefined]
        const parts = bounds.slice(1).map((to, i): Part => {
          const from = bounds[i]
          return {
            table: whole,
            bytes: 1,
            ...(from === undefined ? {} : { from }),
            ...(to === undefined ? {} : { to }),
          }
        })
        assert.deepEqual(await measure(parts), expected, cuts.join())
      }
      const most = await measure([{ table: whole, bytes: 1, from: 1 }])
      assert.notDeepEqual(most, expected, 'a missing range changes the print')
    } finally {
      await session.end()
    }
  })
}

for (const server of newestAndOldest())
  test(`PostgreSQL ${server.major}: the hash of a row is that of fingerprints stored before`, async () => {
    const { connection } = await freshDatabase(server)
    const session = await connect(connection, quietWork())
    try {
      await session.query(`CREATE TABLE public.t AS SELECT true AS bool, '\\x00ff'::bytea AS bytea,
        8::int8 AS int8, 2::int2 AS int2, 4 AS int4, 5::oid AS oid, '{"a": 1}'::json AS json,
        '{"b": 1}'::jsonb AS jsonb, 0.1::float4 AS float4, 0.1::float8 AS float8,
        '2026-11-01'::date AS date, '03:00'::time AS time, '03:00+01'::timetz AS timetz,
        '2026-11-01 03:00'::timestamp AS stamp, '2026-11-01 03:00+01'::timestamptz AS zoned,
        '1 day 2:00'::interval AS interval, 1.50::numeric AS numeric, 'ü'::text AS text,
        'a'::char(3) AS padded, 'b'::varchar(5) AS varied, ARRAY[1, NULL] AS list,
        '00000000-0000-4000-8000-000000000000'::uuid AS uuid, '10.0.0.1'::inet AS inet,
        NULL::text AS nothing`)
      const tables = await listTables(session)
      const parts = tables.map((table) => ({ table, bytes: 1 }))
      const [print] = await measureParts(session, parts, { inTransaction: false, depth: 'content' })
      assert.equal(print?.hash, '273515985273791501')
    } finally {
      await session.end()
    }
  })

for (const server of newestAndOldest())
  test(`PostgreSQL ${server.major}: another error of a function in an index is thrown unchanged`, async () => {
    const { name, connection } = await freshDatabase(server)
    const body = (text: string): string =>
      `CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ${text}';`
    const table = 'CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE INDEX ON t (f(a));'
    await query(server, name, `${body('$1')} ${table} ${body('1 / 0')}`)
    const session = await connect(connection, quietWork())
    try {
      const parts = (await listTables(session)).map((table) => ({ table, bytes: 1 }))
      await assert.rejects(
        measureParts(session, parts, { inTransaction: false, depth: 'content' }),
        (error: Error & { code?: string }) => error.code === '22012',
      )
    } finally {
      await session.end()
    }
  })
