import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verify } from '../../src/verify/verify.ts'
import { connect } from '../../src/postgres/connection/session.ts'
import { newStore } from '../support/copies.ts'
import { majors, startOwnServer } from '../support/own-server.ts'
import { quietWork } from '../support/start-servers.ts'

const count = 10_000

test(`${count} tables: a few processes, never a full lock table, and every table is there`, async () => {
  // the oldest has room for the fewest locks; what a server has by default
  const server = await startOwnServer(majors().at(-1), {
    max_locks_per_transaction: '64',
    max_connections: '100',
  })
  await server.create('many', 'SELECT 1')
  for (let first = 1; first <= count; first += 1000) {
    await server.query(
      'many',
      `DO $$ BEGIN FOR i IN ${first}..${first + 999} LOOP
         EXECUTE format('CREATE TABLE t%s AS SELECT %s AS a', i, i);
       END LOOP; END $$`,
    )
  }
  const store = await newStore()
  const watcher = await connect(server.to('postgres'), quietWork())
  const seen = { locks: 0, processes: 0, said: '' }
  let running = true
  const watching = (async () => {
    for (; running; await sleep(100)) {
      const [row] = await watcher.query<{ n: number }>(
        'SELECT count(*)::int4 AS n FROM pg_catalog.pg_locks WHERE NOT fastpath',
      )
      seen.locks = Math.max(seen.locks, row?.n ?? 0)
    }
  })()
  const work = quietWork()
  const log = {
    ...work.log,
    info: (text: string) => void (seen.said += `${text}\n`),
    debug: (text: string) => void (seen.processes += Number(/pg_dump (-Fc|-s)/.test(text))),
  }
  try {
    const made = await store.backup(server.to('many'), {}, { ...work, log })
    assert.deepEqual([made.tables, made.rows], [count, count])
  } finally {
    running = false
    await watching
    await watcher.end()
  }
  assert.equal(seen.processes, 2)
  assert.match(seen.said, /10000 tables, and room for about 6400 locks/)
  assert.ok(seen.locks >= count && seen.locks < 1.15 * count, `${seen.locks} locks at once`)
  const { fingerprint } = (await store.found()).manifest
  assert.equal(
    new Set(fingerprint.tables.map(({ hash }) => hash)).size,
    count,
    'each table’s own row',
  )
  const result = await verify(store.reading, quietWork())
  assert.deepEqual([result.level, result.differences], ['identical', []])
})
