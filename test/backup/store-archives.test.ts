import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zstdDecompressSync } from 'node:zlib'
import { libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { connect } from '../../src/postgres/connection/session.ts'
import { newStore } from '../support/copies.ts'
import { dropOddSubscription, loadOddObjects } from '../support/odd-objects.ts'
import { freshDatabase, newestServer, query, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/** The entries of an archive that hold data, as pg_restore lists them. */
function dataOf(bindir: string, archive: Buffer): string[] {
  // it reads the archive's head, and lets go of the rest
  const listed = spawnSync(join(bindir, 'pg_restore'), ['-l'], { input: archive, encoding: 'utf8' })
  assert.deepEqual([listed.status, listed.stderr], [0, ''])
  return [...listed.stdout.matchAll(/^\d+; \d+ \d+ ((?:TABLE DATA|BLOBS?) .*)$/gm)].map(
    ([, entry = '']) => entry,
  )
}

for (const server of servers()) {
  test(`PostgreSQL ${server.major}: rows are in one archive each when all tables leave the base one`, async () => {
    const { name, connection } = await freshDatabase(server)
    await loadOddObjects(server, name, server.major >= 17 ? ['check', 'login'] : ['check'])
    try {
      const store = await newStore()
      const made = await store.backup(connection, { largeTable: 1, recipients: 'none', jobs: 7 })
      const { manifest } = await store.found()
      const archives = manifest.objects.filter(({ kind }) => kind !== 'recovery-guide')
      assert.deepEqual([made.archives, archives.length], [16, 16])
      assert.deepEqual(
        [...new Set(archives.map(({ kind }) => kind))],
        ['base', 'rows', 'large-objects'],
      )
      const held = archives.flatMap((object) => {
        const stored = readFileSync(join(store.folder, 'test', made.id, object.name))
        return dataOf(
          server.bindir,
          object.plain?.compression === 'zstd' ? zstdDecompressSync(stored) : stored,
        )
      })
      const whole = execFileSync(join(server.bindir, 'pg_dump'), ['-Fc'], {
        env: { ...process.env, ...libpqEnvironment(connection) },
        maxBuffer: 1 << 30,
      })
      assert.deepEqual(held.sort(), dataOf(server.bindir, whole).sort())
      const named = archives.flatMap(({ tables }) => tables ?? [])
      assert.deepEqual(
        named.filter(
          (table) => !manifest.fingerprint.tables.some((print) => print.table === table),
        ),
        [],
        'the manifest names them as the fingerprint does',
      )
      assert.ok(named.length > 80 && new Set(named).size === named.length)
    } finally {
      await dropOddSubscription(server, name)
    }
  })
}

const server = newestServer()
const sizes =
  'CREATE TABLE small AS SELECT 1 AS a; ' +
  'CREATE TABLE middle AS SELECT g, repeat(md5(g::text), 10) AS v FROM generate_series(1, 3000) g; ' +
  'CREATE TABLE big AS SELECT g, repeat(md5(g::text), 10) AS v FROM generate_series(1, 30000) g'

test('tables leave the base archive from the given size on, also when they were never vacuumed', async () => {
  const { connection } = await freshDatabase(server, { name: 'sizes', sql: sizes })
  const store = await newStore()
  await store.backup(connection, { largeTable: 5 << 20 })
  assert.deepEqual(
    (await store.found()).manifest.objects.map(({ kind, tables }) => [kind, tables]),
    [
      ['base', undefined],
      ['rows', ['public.big']],
      ['recovery-guide', undefined],
    ],
  )
  await store.backup(connection, { largeTable: 500 << 10 })
  assert.deepEqual(
    (await store.found()).manifest.objects.flatMap(({ tables = [] }) => tables),
    ['public.big', 'public.middle'],
  )
  assert.equal((await store.backup(connection)).archives, 1)
})

for (const { limit, archives, own } of [
  { limit: 20, archives: 5, own: 10 },
  // one reader and one archive are the least, with the session, the snapshot and who waits for it
  { limit: 8, archives: 1, own: 5 },
])
  test(`of ${limit} connections, a backup uses at most ${own}, with ${archives} archives`, async () => {
    const tables = Array.from({ length: 12 }, (_, i) => `CREATE TABLE t${i} AS SELECT ${i} AS a`)
    const { name, connection } = await freshDatabase(server, {
      name: 'twelve',
      sql: tables.join(';'),
    })
    const store = await newStore()
    await query(server, 'postgres', `ALTER DATABASE ${name} CONNECTION LIMIT ${limit}`)
    const other = await connect(connection, quietWork())
    let most = 0
    let running = true
    const watching = (async () => {
      for (let before = 0; running; await sleep(5)) {
        const [row] = await other.query<{ n: number }>(
          `SELECT count(*)::int4 AS n FROM pg_catalog.pg_stat_activity
           WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()`,
        )
        // a session that has ended may be listed for a moment longer
        most = Math.max(most, Math.min(before, row?.n ?? 0))
        before = row?.n ?? 0
      }
    })()
    try {
      const made = await store.backup(connection, { largeTable: 1, jobs: 4 })
      assert.deepEqual([made.archives, made.rows], [archives, 12])
    } finally {
      running = false
      await watching
      await other.end()
    }
    assert.ok(most > 2 && most <= own, `${most} connections`)
  })

test('counts has rows and no hashes, none has neither, and both say so', async () => {
  const { connection } = await freshDatabase(server, { name: 'sizes', sql: sizes })
  const store = await newStore()
  const counted = await store.backup(connection, { fingerprint: 'counts' })
  assert.equal(counted.rows, 33_001)
  const { fingerprint } = (await store.found()).manifest
  assert.deepEqual(
    fingerprint.tables.map(({ table, rows, hash }) => [table, rows, hash]),
    [
      ['public.big', 30_000, undefined],
      ['public.middle', 3000, undefined],
      ['public.small', 1, undefined],
    ],
  )
  const bare = await store.backup(connection, { fingerprint: 'none' })
  assert.equal(bare.rows, undefined)
  assert.deepEqual(
    { ...(await store.found()).manifest.fingerprint, supplement: undefined },
    { kind: 'none', tables: [], schema: {}, sequences: {}, supplement: undefined },
  )
})
