import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isPassing,
  levels,
  reaches,
  targetLevels,
  type Verdict,
  type VerdictFacts,
  verdictOf,
} from '../../src/repository/level.ts'

test('each level reaches itself and those before it', () => {
  for (const [i, level] of levels.entries())
    for (const [j, other] of levels.entries()) assert.equal(reaches(level, other), i >= j)
})

test('every level but the lowest can be asked for', () => {
  assert.deepEqual(targetLevels, levels.slice(1))
})

const [passed, failed] = [{ passed: true }, { passed: false }]

const verdicts: [title: string, facts: Partial<VerdictFacts>, verdict: Verdict, passes: boolean][] =
  [
    ['an identical copy', { proven: true, level: 'identical' }, 'proven', true],
    ['an identical copy, as requested', { proven: true, asked: 'identical' }, 'proven', true],
    ['a requested level', { level: 'counted', asked: 'counted' }, 'reached', true],
    ['less than all, where all was asked', { level: 'counted' }, 'limited', true],
    ['less than was asked', { level: 'counted', asked: 'identical' }, 'short', false],
    ['a fault', { level: 'readable', stoppedBy: 'gone' }, 'bad', false],
    [
      'a fault below what was asked',
      { level: 'none', asked: 'stored', stoppedBy: 'x' },
      'bad',
      false,
    ],
    ['a fault and a failed check', { stoppedBy: 'gone', checks: [failed] }, 'bad', false],
    ['passed checks', { proven: true, checks: [passed, passed] }, 'proven', true],
    ['a failed check', { proven: true, checks: [passed, failed] }, 'check-failed', false],
    [
      'a failed check that ended it',
      { proven: true, stoppedBy: 'a check', checks: [failed] },
      'check-failed',
      false,
    ],
    ['proven, and short of the checks', { proven: true, asked: 'accepted' }, 'short', false],
  ]

for (const [title, facts, verdict, passes] of verdicts)
  test(`${title}: ${verdict}`, () => {
    const found = verdictOf({ level: 'identical', proven: false, checks: [], ...facts })
    assert.equal(found, verdict)
    assert.equal(isPassing(found), passes)
  })
