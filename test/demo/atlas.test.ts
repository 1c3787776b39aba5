import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAtlas } from '../../scripts/demo/atlas.ts'
import { freshDatabase, query, newestAndOldest } from '../support/servers.ts'

for (const server of newestAndOldest()) {
  test(`the sample database loads on PostgreSQL ${server.version}, with what trips backups`, async () => {
    const { name, connection } = await freshDatabase(server)
    await loadAtlas(server.bindir, connection)
    const one = async (sql: string): Promise<unknown> =>
      Object.values((await query(server, name, sql))[0] ?? {})[0]

    const tables = await query(
      server,
      name,
      "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
    const rows: Record<string, unknown> = {}
    for (const { name: table } of tables)
      rows[String(table)] = await one(`SELECT count(*)::int FROM ${String(table)}`)
    assert.deepEqual(rows, {
      airports: 3376,
      cities: 171_075,
      countries: 247,
      districts: 47_643,
      earthquakes: 1707,
      flights: 20_000,
      maps: 1,
      regions: 3865,
      renamed: 1,
    })
    assert.equal(
      await one("SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND convalidated"),
      8,
    )
    assert.equal(
      await one('SELECT last_value::int = max(id) FROM city_numbers, cities GROUP BY last_value'),
      true,
    )
    assert.equal(await one("SELECT string_agg(DISTINCT quadrant, ' ') FROM cities"), 'NE NW SE SW')
    assert.equal(await one('SELECT sum(cities)::int FROM cities_a_country'), 171_075)
    assert.equal(
      await one("SELECT (convert_from(lo_get(content), 'UTF8')::jsonb) ->> 'type' FROM maps"),
      'Topology',
    )
    assert.equal(
      await one("SELECT count(*)::int FROM cities WHERE name = 'wien' AND country = 'AT'"),
      1,
      'names compare without case (citext), and the rename is there',
    )
    assert.equal(
      await one("SELECT name FROM places WHERE district = 'Reykjavíkurborg' ORDER BY name LIMIT 1"),
      'Reykjavík',
    )
    assert.equal(
      await one("SELECT details ->> 'magType' FROM earthquakes WHERE id = 'ci37868143'"),
      'ml',
    )
  })
}
