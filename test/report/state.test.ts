import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { stateAfter } from '../../src/report/restore/state.ts'
import type { KnownFacts } from '../../src/restore/options.ts'
import { plainText } from '../../src/text.ts'

const restore = {
  task: 'restore',
  mode: 'swap',
  target: { database: 'shop' },
  tables: [],
  schemas: [],
} as const
const busy = new UserError('target-busy', 'busy')
const lost = new UserError('commit-unknown', 'lost')
const state = (
  error: unknown,
  known: KnownFacts,
  asked: Partial<Parameters<typeof stateAfter>[1]> = {},
): string => plainText(stateAfter(error, { ...restore, ...asked }, known))

test('a failure before anything began changed nothing', () => {
  for (const task of ['restore', 'undo', 'clean'] as const)
    assert.equal(state(busy, {}, { task }), 'Nothing was changed.')
})

test('before the swap or the commit, the target is unchanged', () => {
  const begun = { progress: 'begun' } as const
  assert.equal(state(busy, begun), 'shop is unchanged.')
  assert.equal(state(busy, begun, { mode: 'new' }), 'shop was not created.')
  assert.equal(
    state(busy, begun, { tables: ['public.orders'] }),
    'The existing tables of shop are unchanged.',
  )
})

test('during the swap or the commit, a refusal leaves the target; anything else is unknown', () => {
  const changing = { progress: 'changing' } as const
  assert.equal(state(busy, changing), 'shop is unchanged.')
  for (const error of [lost, new UserError('connection-lost', 'gone'), new Error('killed')])
    assert.equal(state(error, changing), 'shop was either restored completely, or is unchanged.')
  assert.equal(
    state(lost, changing, { task: 'undo' }),
    'shop was either swapped back completely, or is unchanged.',
  )
  assert.match(state(busy, changing, { task: 'clean' }), /^The log names each database/)
})

test('afterwards the target is changed, and the previous database is named', () => {
  assert.equal(
    state(busy, { progress: 'done', previousDatabase: 'shop_before_1' }),
    'shop is restored: the failure came after that. The previous database is kept as shop_before_1.',
  )
  assert.match(state(busy, { progress: 'done' }, { task: 'undo' }), /^shop is swapped back: /)
})
