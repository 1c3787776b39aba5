import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UserError } from '../../src/errors.ts'
import type { Work } from '../../src/work.ts'
import { newStore } from '../support/copies.ts'
import { newestAndOldestMajor, startOwnServer } from '../support/own-server.ts'
import { primarySettings, startStandby } from '../support/standby.ts'
import { quietWork } from '../support/start-servers.ts'

for (const major of newestAndOldestMajor())
  describe(`PostgreSQL ${major}: a backup of a hot standby`, async () => {
    const primary = await startOwnServer(major, { ...primarySettings, autovacuum: 'off' })
    // a second or more to dump: what happens on the primary meets it in the middle
    await primary.create(
      'app',
      `CREATE TABLE a_big AS SELECT g AS a, repeat('x', 1000000) AS b FROM generate_series(1, 200) g;
       CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 1000) g; CREATE SEQUENCE counter`,
    )
    const standby = await startStandby(primary, {
      max_standby_streaming_delay: '50ms',
      max_standby_archive_delay: '50ms',
    })
    await standby.caughtUp()
    after(async () => {
      await standby.stop()
      await primary.stop()
    })
    /**
     * Takes away rows that a snapshot may still have to see, and a table that a dump has locked.
     */
    const disturb = async (): Promise<void> => {
      await primary.query('app', 'TRUNCATE t; INSERT INTO t SELECT generate_series(1, 1000)')
      await primary.query('app', 'DELETE FROM t WHERE a % 3 = 0')
      await primary.query('app', 'VACUUM t')
      await primary.query(
        'app',
        `SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'test', '')`,
      )
    }
    /** Work that tells when all locks are held and the dump begins to flow. */
    const at = (begin: () => void): Work => ({
      ...quietWork(),
      hold: (held) => {
        if (held.kind === 'backup') begin()
      },
    })

    test('is like any other while nothing collides', async () => {
      const store = await newStore()
      const result = await store.backup(standby.to('app'))
      assert.deepEqual([result.rows, result.attempts], [1200, 1])
    })

    test('starts over when the replay has ended its snapshot, and leaves just one whole backup', async () => {
      const store = await newStore()
      let disturbed: Promise<void> | undefined
      const result = await store.backup(
        standby.to('app'),
        {},
        at(() => void (disturbed ??= disturb())),
      )
      await disturbed
      assert.ok(result.attempts >= 2, `${result.attempts}`)
      assert.ok(
        Object.values(await standby.conflicts('app')).some((count) => count > 0),
        'the standby has cancelled something of ours',
      )
      assert.equal(result.rows, 200 + 667)
      const names = await Array.fromAsync(store.storage.list('', { signal: quietWork().signal }))
      assert.ok(
        names.every(({ key }) => key.includes(result.id)),
        names.map(({ key }) => key).join('\n'),
      )
    })

    test(
      'gives up in the end where the replay never stops, and says what to set',
      { timeout: 420_000 },
      async () => {
        const store = await newStore()
        const stop = new AbortController()
        const always = (async () => {
          while (!stop.signal.aborted) await disturb().then(() => sleep(50))
        })()
        try {
          await assert.rejects(store.backup(standby.to('app')), (error: UserError) => {
            assert.equal(error.code, 'standby-conflict', String(error.stack))
            assert.match(error.message, /^database-url: .*standby/)
            for (const setting of [/hot_standby_feedback/, /max_standby_streaming_delay/])
              assert.match(error.hint, setting)
            return true
          })
        } finally {
          stop.abort()
          await always
        }
        assert.deepEqual(
          await Array.fromAsync(store.storage.list('', { signal: quietWork().signal })),
          [],
        )
      },
    )
  })
