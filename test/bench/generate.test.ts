import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { generate, rowsFor } from '../../scripts/bench/generate.ts'
import { freshDatabase, query, servers } from '../support/servers.ts'

const seen: string[] = []

for (const server of [servers()[0], servers().at(-1)]) {
  if (server === undefined) continue
  test(`the bench's database on PostgreSQL ${server.version}: its shape, and the same rows for a seed`, async () => {
    const { name, connection } = await freshDatabase(server)
    const env = {
      ...process.env,
      PGHOST: connection.host,
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGPASSWORD: connection.password ?? '',
      PGDATABASE: name,
    }
    await generate(
      join(server.bindir, 'psql'),
      env,
      { ...rowsFor(20e6), lines: 512 },
      7,
      new AbortController().signal,
    )

    const tables = await query(
      server,
      name,
      `SELECT relname AS name, pg_table_size(oid)::float8 AS bytes FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC`,
    )
    assert.equal(tables.length, 306)
    assert.equal(tables[0]?.name, 'events')
    const large = tables.filter(({ name: table }) => !String(table).startsWith('lookup_'))
    const bytes = large.reduce((sum, table) => sum + Number(table.bytes), 0)
    assert.ok(Math.abs(bytes / (20e6 * 0.93) - 1) < 0.15, `${bytes} bytes in the large tables`)
    assert.ok(Math.abs(Number(tables[0]?.bytes) / 10e6 - 1) < 0.1, 'half of it is events')

    const hashes = large.map(
      ({ name: table }) =>
        `SELECT '${String(table)}' AS name, sum(hashtextextended(t::text, 0))::text AS hash FROM ${String(table)} AS t`,
    )
    seen.push(
      JSON.stringify(
        await query(
          server,
          name,
          `SELECT * FROM (${hashes.join(' UNION ALL ')}) AS hashed ORDER BY 1`,
        ),
      ),
    )
    assert.equal(seen.at(-1), seen[0])
    const [keys] = await query(
      server,
      name,
      "SELECT count(*)::int AS keys FROM pg_constraint WHERE contype = 'f' AND convalidated",
    )
    assert.equal(keys?.keys, 304)
  })
}
