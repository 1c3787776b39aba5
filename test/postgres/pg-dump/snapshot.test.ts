import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type Session } from '../../../src/postgres/connection/session.ts'
import { listTables } from '../../../src/postgres/fingerprint/tables.ts'
import { planArchives } from '../../../src/postgres/pg-dump/archive-plan.ts'
import { withUniqueApplicationName } from '../../../src/postgres/connection/client.ts'
import { startDump } from '../../../src/postgres/pg-dump/pg-dump.ts'
import { Drift, openReader, takeSnapshot } from '../../../src/postgres/pg-dump/snapshot.ts'
import { findPrograms } from '../../../src/postgres/programs/find-programs.ts'
import { freshDatabase, servers } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

/** The longest lock wait of an application's sessions by the server's clock, until `done`. */
async function longestWait(
  observer: Session,
  application: string,
  done: Promise<unknown>,
): Promise<number> {
  let isDone = false
  void done.finally(() => (isDone = true))
  let longest = 0
  while (!isDone) {
    const [row] = await observer.query<{ waited: number }>(
      `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 * 1000
         AS waited
       FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
       WHERE a.application_name = $1 AND NOT l.granted`,
      [application],
    )
    longest = Math.max(longest, row?.waited ?? 0)
    await sleep(20)
  }
  return longest
}

for (const server of servers()) {
  test(`PostgreSQL ${server.major}: all give up a lock before deadlock_timeout, and throw Drift`, async () => {
    const { connection } = await freshDatabase(server, {
      name: 'one-table',
      sql: 'CREATE TABLE t AS SELECT 1 AS a',
    })
    const named = withUniqueApplicationName(connection)
    const application = named.settings['PGAPPNAME'] ?? ''
    const work = quietWork()
    const programs = await findPrograms(server.major, ['pg_dump'], [server.bindir], work)
    const [snapshot, holder, observer] = await Promise.all([
      takeSnapshot(named, work),
      connect(connection, work),
      connect(connection, work),
    ])
    try {
      const tables = await listTables(snapshot.session)
      const parts = tables.map((table) => ({ table, bytes: table.bytes }))
      const [plan] = await planArchives(snapshot.session, tables, {
        largeTable: 2 ** 30,
        archives: 1,
        encoding: 'UTF8',
      })
      assert.ok(plan)
      const [limit] = await observer.query<{ timeout: number }>(
        `SELECT setting::float8 AS timeout FROM pg_catalog.pg_settings
         WHERE name = 'deadlock_timeout'`,
      )
      await holder.query('BEGIN')
      await holder.query('LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE')
      const dumpOptions = { snapshot: snapshot.id, encoding: 'UTF8', plan }
      const readerOptions = { lockFirst: true, depth: 'content' } as const
      for (const [who, lock] of [
        ['pg_dump', () => startDump(programs, named, dumpOptions, work)],
        ['a reader', () => openReader(snapshot, parts, readerOptions, work)],
        ['the snapshot', () => snapshot.lock(tables)],
      ] as const) {
        const refused = assert.rejects(lock(), Drift)
        const waited = await longestWait(observer, application, refused)
        await refused
        assert.ok(waited > 300, `${who} waited ${waited} ms`)
        assert.ok(waited < (limit?.timeout ?? 0), `${who} waited ${waited} ms`)
      }
    } finally {
      await Promise.all([snapshot.end(), holder.end(), observer.end()])
    }
  })
}
