import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawProgress } from '../../src/cli/terminal.ts'
import { tellProgress } from '../../src/stream/progress.ts'
import { plainText } from '../../src/text.ts'

test('a bar, and the words beside it, in one line of the terminal', () => {
  assert.equal(drawProgress('half', 0.5, 40), `${'█'.repeat(7)}${'░'.repeat(6)} half`)
  assert.equal(drawProgress('x'.repeat(200), 2, 80).length, 80)
  assert.equal(drawProgress('none', -1, 30), `${'░'.repeat(10)} none`)
})

test('where a line can be drawn over, progress is drawn and not told; elsewhere it is a line of the log', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'] })
  const told: string[] = []
  const drawn: [string, number][] = []
  const counter = { name: 'read', done: 30_000_000, total: 120_000_000 }
  const stops = [
    tellProgress(
      {
        info: (text) => told.push(plainText(text)),
        progress: (text, share) => drawn.push([text, share]),
      },
      [counter],
    ),
    tellProgress({ info: (text) => told.push(`log: ${plainText(text)}`) }, [counter]),
  ]
  for (let i = 0; i < 5; i++) {
    t.mock.timers.tick(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const stop of stops) stop()
  assert.deepEqual([drawn.length, drawn[0]?.[1]], [5, 0.25])
  assert.match(drawn[0]?.[0] ?? '', /^30 of 120 MB read \(25 %\)/)
  assert.deepEqual(
    told.map((line) => line.slice(0, 24)),
    ['log: 30 of 120 MB read ('],
  )
})
