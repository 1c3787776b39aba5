import assert from 'node:assert/strict'
import { test } from 'node:test'
import { levels } from '../../src/repository/level.ts'
import {
  isPartial,
  type Proof,
  proofName,
  readProof,
  writeProof,
} from '../../src/repository/proof.ts'

const proof: Proof = {
  format: 1,
  backup: '20261101T030000Z-aa0001',
  manifest: 'a'.repeat(64),
  at: '2026-11-20T12:00:00.000Z',
  proven: false,
  level: 'counted',
  differences: {
    count: 1,
    first: [{ kind: 'content', object: 'public.t', expected: 'a', found: 'b' }],
  },
  checks: [{ name: 'orders', passed: true, outcome: '3' }],
  objectives: [{ name: 'restore-time', limit: 1 }],
  versions: { holdfast: '0.1.0' },
  timings: { total: 2000 },
}

test('a proof reads as it was written, a member a line', () => {
  const text = writeProof(proof)
  assert.deepEqual(readProof(text), proof)
  assert.ok(text.startsWith('{\n "format": 1,\n') && text.endsWith('\n}\n'))
})

test('what is no proof is none', () => {
  for (const text of ['', 'x', 'null', '{}']) assert.equal(readProof(text), undefined, text)
  for (const wrong of [
    { format: 2 },
    { level: 'sure' },
    { level: undefined },
    { at: 'today' },
    { proven: 1 },
  ])
    assert.equal(readProof(JSON.stringify({ ...proof, ...wrong })), undefined)
})

test('its name has the time and, of a partial one, the level', () => {
  const at = new Date('2026-11-20T12:00:00.123Z')
  assert.equal(proofName(at, 'abc'), 'proofs/20261120T120000123Z-abc.json')
  assert.equal(proofName(at, 'abc', 'stored'), 'proofs/20261120T120000123Z-abc-stored.json')
  assert.ok(!isPartial(proofName(at, 'abc')))
  assert.deepEqual(
    levels.filter((level) => isPartial(proofName(at, 'abc', level))),
    ['stored', 'readable', 'restored', 'counted'],
  )
})
