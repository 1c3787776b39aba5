import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../../src/postgres/connection/session.ts'
import { freeSpace } from '../../../src/postgres/server/statistics.ts'
import { temporaryFolder } from '../../support/copies.ts'
import { newestServer } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

test('free space is known on the server’s machine, and undefined if its folder is unreadable', async () => {
  const session = await connect(newestServer().to('postgres'), quietWork())
  try {
    assert.ok(((await freeSpace(session)) ?? 0) > 0)
    const loop = join(temporaryFolder(), 'loop')
    symlinkSync(loop, loop)
    // root may read every folder, so a link that leads nowhere (ELOOP) stands for EACCES
    const query = <Row extends object>(): Promise<Row[]> =>
      Promise.resolve([{ directory: loop }] as unknown as Row[])
    assert.equal(await freeSpace({ ...session, query }), undefined)
  } finally {
    await session.end()
  }
})
