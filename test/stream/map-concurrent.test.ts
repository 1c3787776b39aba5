import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { mapConcurrent } from '../../src/stream/map-concurrent.ts'
import { Cancelled } from '../../src/errors.ts'
import { quietWork } from '../support/start-servers.ts'

test('at most width items run at once, start in order, and results keep the order', async () => {
  for (const width of [1, 3, 50]) {
    const begun: number[] = []
    let running = 0
    let most = 0
    const things = Array.from({ length: 20 }, (_, i) => i)
    const results = await mapConcurrent(
      things,
      width,
      async (thing) => {
        begun.push(thing)
        most = Math.max(most, ++running)
        await sleep((thing * 7) % 5)
        running--
        return thing * 2
      },
      quietWork(),
    )
    assert.deepEqual(
      [begun, results, most],
      [things, things.map((thing) => thing * 2), Math.min(width, 20)],
    )
  }
  assert.deepEqual(await mapConcurrent([], 2, async () => 1, quietWork()), [])
})

test('the first failure stops what runs, starts nothing more, and is thrown when all have ended', async () => {
  const ended: number[] = []
  const begun: number[] = []
  await assert.rejects(
    mapConcurrent(
      [0, 1, 2, 3, 4],
      3,
      async (thing, work) => {
        begun.push(thing)
        if (thing === 1) throw new Error('the cause')
        try {
          await sleep(60_000, undefined, { signal: work.signal })
        } finally {
          await sleep(20)
          ended.push(thing)
        }
      },
      quietWork(),
    ),
    /the cause/,
  )
  assert.deepEqual(
    [begun, ended],
    [
      [0, 1, 2],
      [0, 2],
    ],
  )
})

test('an item that may not run next to another waits, and later items pass it', async () => {
  const log: string[] = []
  await mapConcurrent(
    ['a1', 'a2', 'b1'],
    2,
    async (thing) => {
      log.push(`+${thing}`)
      await sleep(thing === 'a1' ? 60 : 5)
      log.push(`-${thing}`)
    },
    quietWork(),
    (thing, running) => !running.some((other) => other[0] === thing[0]),
  )
  assert.deepEqual(log, ['+a1', '+b1', '-b1', '-a1', '+a2', '-a2'])
})

test("a cancelled run throws the signal's reason, whatever failed because of it", async () => {
  const stop = new AbortController()
  const running = mapConcurrent(
    [0, 1, 2],
    2,
    (_thing, work) => sleep(60_000, undefined, { signal: work.signal }),
    quietWork(stop.signal),
  )
  stop.abort(new Cancelled())
  await assert.rejects(running, Cancelled)
})
