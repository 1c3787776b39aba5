import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, suggestName } from '../../src/errors/suggest.ts'

test('the distance counts added, removed, changed and swapped letters', () => {
  for (const [a, b, distance] of [
    ['', '', 0],
    ['label', 'label', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['label', 'labels', 1],
    ['lbel', 'label', 1],
    ['lobel', 'label', 1],
    ['lable', 'label', 1],
    ['kitten', 'sitting', 3],
    // a letter that was swapped is not edited again
    ['ca', 'abc', 3],
  ] as const) {
    assert.equal(editDistance(a, b), distance, `${a} ${b}`)
    assert.equal(editDistance(b, a), distance, `${b} ${a}`)
  }
})

test('a name is suggested if at most a third of its letters differ, or two', () => {
  const names = ['target-url', 'label', 'jobs']
  assert.equal(suggestName('targt-url', names), 'target-url')
  assert.equal(suggestName('TARGET_URL', names), 'target-url')
  assert.equal(suggestName('targe-rl', names), 'target-url')
  assert.equal(suggestName('lable', names), 'label')
  assert.equal(suggestName('obs', names), 'jobs')
  assert.equal(suggestName('target', names), undefined)
  assert.equal(suggestName('zzzzzzzz', names), undefined)
  assert.equal(suggestName('label', []), undefined)
})
