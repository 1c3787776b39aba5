import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergePrints, measureParts, type Part } from '../../../src/postgres/fingerprint/content.ts'
import { listTables } from '../../../src/postgres/fingerprint/tables.ts'
import { connect } from '../../../src/postgres/connection/session.ts'
import { freshDatabase, newestAndOldest } from '../../support/servers.ts'
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
