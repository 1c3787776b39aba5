import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import {
  type BackupSelector,
  isSingle,
  parseSelector,
  type SelectorGroup,
  selectorText,
} from '../../src/repository/selector.ts'

const groups = ['one', 'several', 'external'] as const
const at = (time: string): BackupSelector => ({ kind: 'before', at: new Date(time) })

describe('the input backup', () => {
  const parsed: [typed: string, group: SelectorGroup, selector: BackupSelector][] = [
    ['latest', 'one', { kind: 'latest' }],
    [' latest-proven ', 'one', { kind: 'latest-proven' }],
    ['20261121T031500Z-ab12cd', 'one', { kind: 'id', id: '20261121T031500Z-ab12cd' }],
    [
      '20261121T031500Z-ab12cd-pre-restore',
      'one',
      { kind: 'id', id: '20261121T031500Z-ab12cd-pre-restore' },
    ],
    ['before: 2026-11-03T03:00:00Z', 'one', at('2026-11-03T03:00:00Z')],
    ['before:2026-11-03 03:00', 'one', at('2026-11-03T03:00:00Z')],
    ['before: 2026-11-03', 'one', at('2026-11-03T00:00:00Z')],
    ['before: 2026-01-31', 'one', at('2026-01-31T00:00:00Z')],
    ['before: 2026-11-03T03:30+0100', 'one', at('2026-11-03T02:30:00Z')],
    ['before: 2026-11-03T03:00:00.5 UTC', 'one', at('2026-11-03T03:00:00.500Z')],
    ['all', 'several', { kind: 'all' }],
    ['unproven', 'several', { kind: 'unproven' }],
    ['oldest-unproven', 'several', { kind: 'oldest-unproven' }],
    ['sample:3', 'several', { kind: 'sample', count: 3 }],
    ['file: some/shop dump.sql', 'external', external('file', 'some/shop dump.sql')],
    ['store:old/a.dump', 'external', external('store', 'old/a.dump')],
  ]
  for (const [typed, group, selector] of parsed)
    test(`"${typed}" is parsed, and its text is parsed to the same`, () => {
      assert.deepEqual(parseSelector(typed, groups), selector)
      assert.deepEqual(parseSelector(selectorText(selector), groups), selector)
      assert.equal(isSingle(selector), group === 'one')
      assert.deepEqual(parseSelector(typed, [group]), selector)
    })

  for (const [typed, group] of parsed.filter(([, group]) => group !== 'one'))
    test(`"${typed}" is refused where one backup is accepted`, () =>
      assert.throws(
        () => parseSelector(typed),
        group === 'external'
          ? refused('foreign-backup', /another tool/)
          : refused('bad-backup-id', /may be several/),
      ))

  for (const [typed, code] of [
    ['latest-prooven', 'bad-backup-id'],
    ['newest', 'bad-backup-id'],
    ['20261121T031500Z', 'bad-backup-id'],
    ['sample: 0', 'bad-backup-id'],
    ['sample: -1', 'bad-backup-id'],
    ['sample: 1000000', 'bad-backup-id'],
    ['before: yesterday', 'bad-backup-id'],
    ['before: 2026-11-31', 'bad-backup-id'],
    ['before: 2026-02-29T10:00', 'bad-backup-id'],
    ['before: 2026-11-03T25:00', 'bad-backup-id'],
    ['../../etc', 'bad-input'],
    ['a b', 'bad-input'],
    ['file:', 'bad-input'],
  ] as const)
    test(`"${typed}" is refused everywhere`, () =>
      assert.throws(
        () => parseSelector(typed, groups),
        refused(code, new RegExp(`backup is "${typed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}"`)),
      ))

  test('a refusal shows the beginning of a long text', () => {
    const shows = (typed: string, shown: string): void =>
      assert.throws(
        () => parseSelector(typed, ['one']),
        (error: UserError) => {
          assert.ok(error.message.includes(`is "${shown}"`), error.message)
          return true
        },
      )
    const long = 'x'.repeat(100)
    shows(long, 'x'.repeat(80))
    shows(`  file: ${long}`, `file: ${'x'.repeat(74)}`)
    shows(`before: ${long}`, `before: ${'x'.repeat(60)}`)
  })

  test('a refusal shows what the command accepts, and nothing else', () => {
    assert.throws(
      () => parseSelector('?', ['one']),
      (error: UserError) =>
        error.hint.includes('latest-proven') && !/sample|file:/.test(error.hint),
    )
    assert.throws(
      () => parseSelector('?', groups),
      (error: UserError) => /latest-proven.*sample: 3.*file: /.test(error.hint),
    )
  })
})

function external(scheme: 'file' | 'store', name: string): BackupSelector {
  return { kind: 'external', scheme, name }
}

function refused(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.ok(error.hint.length > 10)
    return true
  }
}

test('a misspelt keyword is suggested, if the command takes it; an id is written in full', () => {
  const hint = (typed: string, ...accepts: SelectorGroup[]): string => {
    try {
      parseSelector(typed, accepts)
    } catch (error) {
      if (error instanceof UserError) return error.hint
    }
    return ''
  }
  assert.match(hint('lastest', 'one'), /^Did you mean backup: latest\?/)
  assert.match(hint('unprovn', 'one', 'several'), /^Did you mean backup: unproven\?/)
  assert.doesNotMatch(hint('unprovn', 'one'), /Did you mean/)
  const cut = hint('20261121T210035', 'one')
  assert.doesNotMatch(cut, /Did you mean/)
  assert.match(cut, /looks like 20261121T031500Z-ab12cd, and is written in full/)
})
