/** The bench's figures: what is made of measured runs, and what the document says of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readOptions } from '../../scripts/bench/options.ts'
import { chart, outcomeTable, render } from '../../scripts/bench/report.ts'
import {
  merge,
  type Outcome,
  type Results,
  type Run,
  type SizeResults,
} from '../../scripts/bench/results.ts'
import { clientMessages } from '../../scripts/bench/start-up.ts'
import { spread } from '../../scripts/bench/statistics.ts'
import { commonTargets, type Target, targetsOf } from '../../scripts/bench/targets.ts'

const run = (wall: number, more: Partial<Run> = {}): Run => ({
  wall,
  cpu: wall,
  serverCpu: 0,
  treeMemory: 5e7,
  ownMemory: 4e7,
  disk: 0,
  stored: 1e6,
  ...more,
})
const outcome = (name: string, runs: Run[], more: Partial<Outcome> = {}): Outcome => ({
  name,
  title: `Title of ${name}`,
  kind: name.startsWith('ours') ? 'ours' : 'peer',
  command: 'true',
  runs,
  ...more,
})
const sized = (size: number, backup: Outcome[], restore: Outcome[] = []): SizeResults => ({
  size,
  seed: 1,
  rounds: 3,
  jobs: 2,
  typed: `--size ${size}`,
  at: '2026-11-21T00:00:00.000Z',
  postgres: '18.6',
  database: { tables: 306, rows: 10, tableBytes: 1e9, indexBytes: 1e8, largest: 5e8 },
  baseBytes: 1e6,
  backup,
  restore,
})
const machine = {
  cpu: 'A processor',
  cores: 2,
  memory: 8e9,
  kernel: 'Linux 6',
  tools: [{ name: 'node', version: 'v24.0.0' }],
}
const all = (...sizes: SizeResults[]): Results => ({ format: 1, machine, sizes })

test('a spread is the middle of the sorted values and the outer two', () => {
  assert.deepEqual(spread([30, 4, 100]), { median: 30, min: 4, max: 100 })
  assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 })
  assert.deepEqual(spread([7]), { median: 7, min: 7, max: 7 })
  assert.equal(spread([]), undefined)
})

describe('targets', () => {
  const find = (targets: Target[], what: RegExp): Target =>
    targets.find((target) => what.test(target.what)) ?? assert.fail(`no target ${what}`)

  test('are judged by the ratio of medians', () => {
    const backup = [
      outcome('ours', [run(1000), run(9000), run(900)]),
      outcome('ours-content', [run(1800)]),
      outcome('usual', [run(5000)]),
      outcome('bare', [run(700)]),
    ]
    const targets = targetsOf(sized(1, backup))
    assert.deepEqual(find(targets, /usual/), {
      what: 'backup to S3: speed, against the usual recipe',
      target: '≥ 5 ×',
      measured: '5.00 ×',
      met: true,
    })
    const bare = find(targets, /to S3: time, against bare/)
    assert.deepEqual([bare.measured, bare.met], ['1.43 ×', false])
    const content = find(targets, /fingerprint/)
    assert.deepEqual([content.measured, content.met], ['0.80 ×', true])
  })

  test('that were not measured say so, and are neither met nor missed', () => {
    for (const target of targetsOf(sized(1, [outcome('usual', [], { failed: 'why' })])))
      assert.deepEqual([target.what, target.measured], [target.what, undefined])
    assert.match(render(all(sized(1, []))), /\| not measured \|  \|/)
  })

  test('of memory and disk go by the worst run of any of ours', () => {
    const targets = targetsOf(
      sized(1, [
        outcome('ours', [run(1), run(1, { ownMemory: 300e6 })]),
        outcome('ours-folder', [run(1, { disk: 12 })]),
      ]),
    )
    assert.deepEqual(
      [find(targets, /own process/).met, find(targets, /own process/).measured],
      [false, '286 MiB'],
    )
    assert.deepEqual(
      [find(targets, /backup: disk/).met, find(targets, /backup: disk/).measured],
      [false, '12 bytes'],
    )
  })

  test('of growth compare the sizes', () => {
    const of = (memory: number): Outcome[] => [outcome('ours', [run(1, { ownMemory: memory })])]
    assert.equal(
      find(commonTargets(all(sized(1, of(1e8)), sized(10, of(1.05e8)))), /largest size/).met,
      true,
    )
    assert.equal(
      find(commonTargets(all(sized(1, of(1e8)), sized(10, of(1.2e8)))), /largest size/).met,
      false,
    )
    assert.equal(find(commonTargets(all(sized(1, of(1e8)))), /largest size/).met, undefined)
  })
})

describe('the document', () => {
  const outcomes = [
    outcome('ours', [run(2000), run(1000), run(3000)]),
    outcome('quick', [run(1000)]),
    outcome('gone', [], { missing: 'gone is not here' }),
    outcome('broken', [run(500)], { failed: 'it said | this' }),
  ]

  test('has a row for every contestant, the failed and the missing too', () => {
    const rows = outcomeTable(outcomes, 'backup').split('\n')
    assert.equal(rows.length, 2 + outcomes.length)
    assert.match(rows[2] ?? '', /\| 2\.00 \(1\.00–3\.00\) \| 1\.00 \|/)
    assert.match(rows[3] ?? '', /\| 1\.00 \| 0\.50 \|/)
    assert.match(rows[4] ?? '', /not measured: gone is not here/)
    assert.match(rows[5] ?? '', /failed: it said \\\| this/)
    assert.equal(
      new Set(rows.map((row) => row.replaceAll('\\|', '').split('|').length)).size,
      1,
      'each row has as many cells',
    )
  })

  test('draws the quickest first', () => {
    assert.match(
      chart('backup', outcomes),
      /x-axis \["quick", "ours"\]\n {2}y-axis "seconds" 0 --> 2\n {2}bar \[1\.00, 2\.00\]/,
    )
  })

  test('lists where Holdfast is behind: each missed target, each better peer', () => {
    const text = render(
      all(
        sized(4, [
          outcome('ours', [run(2000)]),
          outcome('usual', [run(4000)]),
          outcome('quick', [run(1000)]),
        ]),
      ),
    )
    assert.match(
      text,
      /- Not met: 4 GB: backup to S3: speed, against the usual recipe: 2\.00 × \(target ≥ 5 ×\)\./,
    )
    assert.match(text, /- 4 GB, backup, faster than ours: quick \(0\.50 ×\)\./)
    assert.match(text, /npm run bench -- --size 4\n/)
  })

  test('names no path of the machine it was made on', () => {
    const text = render(
      all(sized(1, [outcome('broken', [], { failed: "can't open /tmp/bench-1/x: no such file" })])),
    )
    assert.match(text, /failed: can't open … no such file/)
  })
})

describe('results of several runs', () => {
  test('come together by size; a newer part replaces the older', () => {
    const first = all(sized(1, [outcome('ours', [run(1)])], [outcome('ours', [run(2)])]))
    const second = merge(first, all(sized(10, [outcome('ours', [run(3)])])))
    const third = merge(
      second,
      all({ ...sized(1, [outcome('ours', [run(4)])]), typed: '--size 1 --only backup' }),
    )
    const walls = third.sizes.map(({ size, backup, restore }) => [
      size,
      backup[0]?.runs[0]?.wall,
      restore[0]?.runs[0]?.wall,
    ])
    assert.deepEqual(walls, [
      [1, 4, 2],
      [10, 3, undefined],
    ])
    assert.equal(third.sizes[0]?.typed, '--size 1\n--size 1 --only backup')
  })

  test('of another machine are not mixed', () => {
    const older = { ...all(sized(1, [])), machine: { ...machine, cores: 64 } }
    assert.deepEqual(
      merge(older, all(sized(4, []))).sizes.map(({ size }) => size),
      [4],
    )
  })
})

describe('the command line', () => {
  test('has defaults, and keeps what shapes the figures', () => {
    const options = readOptions(['--size', '4', '--only', 'backup', '--results', 'x.json'])
    assert.deepEqual(
      [options.size, options.rounds, options.only, options.typed],
      [4, 3, ['backup'], '--size 4 --rounds 3 --only backup --jobs 2'],
    )
    assert.deepEqual(readOptions([]).only, ['backup', 'restore', 'start-up'])
  })

  test('refuses what it cannot read', () => {
    assert.throws(() => readOptions(['--size', 'big']), /--size must be a number/)
    assert.throws(
      () => readOptions(['--rounds', '0']),
      /--rounds must be a whole number of 1 or more/,
    )
    assert.throws(
      () => readOptions(['--only', 'nothing']),
      /--only must be one of backup, restore, start-up/,
    )
  })
})

test("the first query is found in a client's messages, however they are cut", () => {
  const length = (bytes: number): Buffer => {
    const buffer = Buffer.alloc(4)
    buffer.writeUInt32BE(bytes)
    return buffer
  }
  const message = (type: string, body: string): Buffer =>
    Buffer.concat([Buffer.from(type), length(body.length + 4), Buffer.from(body)])
  const tls = Buffer.concat([length(8), Buffer.from([4, 210, 22, 47])])
  const startUp = Buffer.concat([
    length(8 + 8),
    Buffer.from([0, 3, 0, 0]),
    Buffer.from('user\0Q\0\0'),
  ])
  const stream = Buffer.concat([
    tls,
    startUp,
    message('p', 'Q secret P'),
    message('Q', 'SELECT 1\0'),
  ])
  for (const size of [1, 3, 7, stream.length]) {
    const read = clientMessages()
    const types: string[] = []
    for (let at = 0; at < stream.length; at += size)
      types.push(...read(stream.subarray(at, at + size)))
    assert.deepEqual(types, ['', '', 'p', 'Q'], `in pieces of ${size}`)
  }
})
