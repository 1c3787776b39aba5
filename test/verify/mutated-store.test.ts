import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Level } from '../../src/repository/level.ts'
import { verify } from '../../src/verify/verify.ts'
import { UserError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open.ts'
import { mapConcurrent } from '../../src/stream/map-concurrent.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { KillTable } from '../support/kill-table.ts'
import { chosen } from '../support/mutation-choice.ts'
import { freshDatabase, query, type Server, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { whole } from '../load/copy-mutations.ts'
import { storeMutations } from './store-mutations.ts'

/** Rows that no compression makes small: an archive of their own, of several chunks. */
const events = `CREATE TABLE events AS SELECT g AS id, sha256(g::text::bytea) AS what FROM generate_series(1, 12000) g`

for (const server of servers())
  test(`PostgreSQL ${server.major}: any change to a stored backup is found at the level promised`, async () => {
    const source = await freshDatabase(server, {
      name: 'whole, and events',
      sql: `${whole}; ${events}`,
    })
    const store = await newStore()
    const older = await store.backup(source.connection, { largeTable: 1 << 18 })
    await query(
      server,
      source.name,
      `UPDATE events SET what = 'x' WHERE id = 6000; INSERT INTO people (id) VALUES (500); SELECT lo_put(4711, 0, 'y')`,
    )
    const made = await store.backup(source.connection, { largeTable: 1 << 18 })
    const table = new KillTable(`a stored backup, PostgreSQL ${server.major}`)
    const mutations = chosen(
      Object.entries(storeMutations).filter(
        ([, { until = server.major }]) => server.major <= until,
      ),
      server,
    )
    const run = async (
      damage: (typeof mutations)[number][1]['damage'],
    ): Promise<{ level: Level; by: string | undefined }> => {
      const folder = temporaryFolder()
      cpSync(join(store.folder, 'test', made.id), join(folder, 'test', made.id), {
        recursive: true,
      })
      await damage({
        folder: join(folder, 'test', made.id),
        older: join(store.folder, 'test', older.id),
        identity: store.identity,
      })
      return levelReached(server, store, folder)
    }
    assert.deepEqual(
      await run(() => {}),
      { level: 'identical', by: undefined },
      'a backup that was left alone',
    )
    await mapConcurrent(
      mutations,
      2,
      async ([what, { level, damage }]) => {
        const { level: reached, by } = await run(damage)
        table.add({ what, promised: level, reached, by })
      },
      quietWork(),
    )
    table.check()
  })

/** How far a verify comes; one that refuses the backup has come nowhere. */
async function levelReached(
  server: Server,
  { reading }: Store,
  folder: string,
): Promise<{ level: Level; by: string | undefined }> {
  try {
    const { level, stoppedBy, limit } = await verify(
      { ...reading, sources: [openStorage(`file://${folder}`)], scratch: server.to('postgres') },
      quietWork(),
    )
    // an extension of another version is one that the server may lack: it is told as a limit, and
    // ends the proof all the same
    return { level, by: (stoppedBy ?? limit)?.replaceAll(folder, '') }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return { level: 'none', by: `${error.code}: ${error.message.replaceAll(folder, '')}` }
  }
}
