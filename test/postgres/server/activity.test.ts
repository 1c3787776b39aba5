import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../../src/postgres/connection/session.ts'
import { freeSpace } from '../../../src/postgres/server/activity.ts'
import { temporaryFolder } from '../../support/copies.ts'
import { newestServer } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

test('free space is told where the server’s folder is on this machine, and is no error where nobody may look', async () => {
  const session = await connect(newestServer().to('postgres'), quietWork())
  try {
    assert.ok(((await freeSpace(session)) ?? 0) > 0)
    const loop = join(temporaryFolder(), 'loop')
    symlinkSync(loop, loop)
    // what another user meets in a folder of the server's own (EACCES) is, for root, a link that
    // leads nowhere (ELOOP)
    const query = <Row extends object>(): Promise<Row[]> =>
      Promise.resolve([{ directory: loop }] as unknown as Row[])
    assert.equal(await freeSpace({ ...session, query }), undefined)
  } finally {
    await session.end()
  }
})
