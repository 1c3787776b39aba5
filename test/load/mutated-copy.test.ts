import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { compareFingerprints, levelOf } from '../../src/load/compare-fingerprints.ts'
import { measure } from '../../src/load/measure.ts'
import { loadBackup } from '../../src/load/load-backup.ts'
import { findPrograms } from '../../src/postgres/programs/find-programs.ts'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import { mapConcurrent } from '../../src/stream/map-concurrent.ts'
import { newStore } from '../support/copies.ts'
import { KillTable } from '../support/kill-table.ts'
import { chosen } from '../support/mutation-choice.ts'
import { freshDatabase, query, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { copyMutations, whole } from './copy-mutations.ts'

for (const server of servers())
  test(`PostgreSQL ${server.major}: each change to a restored copy is found at the promised level`, async () => {
    const source = await freshDatabase(server, { name: 'whole', sql: whole })
    const store = await newStore()
    await store.backup(source.connection)
    const found = await store.found()
    const programs = await findPrograms(
      server.major,
      ['pg_restore', 'pg_dump'],
      [server.bindir],
      quietWork(),
    )
    const restored = await freshDatabase(server)
    await loadBackup(
      found,
      store.reading.identities,
      programs,
      restored.connection,
      { tablespaces: false, jobs: 2 },
      quietWork(),
    )
    const look = async (
      connection: Connection,
    ): Promise<ReturnType<typeof compareFingerprints>> => {
      const copy = { connection, programs: { archive: programs, server: programs } }
      return compareFingerprints(
        found.manifest.fingerprint,
        await measure(copy, found.manifest, quietWork()),
        true,
      )
    }
    assert.deepEqual(await look(restored.connection), [], 'a copy that was left alone')
    const table = new KillTable(`a restored copy, PostgreSQL ${server.major}`)
    const mutations = chosen(
      Object.entries(copyMutations).filter(([, { from = 0 }]) => server.major >= from),
      server,
    )
    const run = async ([what, { sql, level }]: (typeof mutations)[number]): Promise<void> => {
      const name = `mutant_${randomBytes(6).toString('hex')}`
      await query(server, 'postgres', `CREATE DATABASE ${name} TEMPLATE ${restored.name}`)
      try {
        await query(server, name, sql).catch((error: Error) =>
          assert.fail(`${what}: ${error.message}`),
        )
        const differences = await look(server.to(name))
        const [first] = differences
        table.add({
          what,
          promised: level,
          reached: levelOf(differences, 'content'),
          by: first && `${first.object}: expected ${first.expected}, found ${first.found}`,
        })
      } finally {
        await query(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`)
      }
    }
    await mapConcurrent(mutations, 2, run, quietWork())
    table.check()
  })
