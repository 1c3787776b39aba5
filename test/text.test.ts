import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inputs } from '../src/github/descriptions/inputs.ts'
import { code, either, input, join, onlyFromFile, plainText, text } from '../src/text.ts'

describe('a text', () => {
  test('shows an input as a line of a workflow, or as a flag', () => {
    const cases: [Parameters<typeof input>, workflow: string, terminal: string][] = [
      [['confirm'], 'confirm', '--confirm'],
      [['confirm', 'shop'], 'confirm: shop', '--confirm shop'],
      [['confirm', "Bob's shop"], "confirm: Bob's shop", "--confirm 'Bob'\\''s shop'"],
      [['undo', true], 'undo: true', '--undo'],
      [['safety-backup', false], 'safety-backup: false', '--safety-backup=false'],
      [
        ['decrypt-with', { secret: 'BACKUP_KEY' }],
        'decrypt-with: ${{ secrets.BACKUP_KEY }}',
        '--decrypt-with-file FILE',
      ],
      [['decrypt-with'], 'decrypt-with', '--decrypt-with-file'],
    ]
    for (const [given, workflow, terminal] of cases) {
      const value = text`Set ${input(...given)} and run it again.`
      assert.equal(plainText(value), `Set ${workflow} and run it again.`)
      assert.equal(plainText(value, 'terminal'), `Set ${terminal} and run it again.`)
    }
  })

  test('knows the inputs that a command line takes only from a file', () => {
    const secrets = inputs.filter(({ secret }) => secret === 'always').map(({ name }) => name)
    assert.deepEqual([...onlyFromFile].sort(), secrets.sort())
  })

  test('does not change a value that looks like an input', () => {
    assert.equal(plainText(text`It says ${'confirm: shop'}.`, 'terminal'), 'It says confirm: shop.')
  })

  test('shows each surface its own words', () => {
    const value = text`See ${either('the job summary', 'the report above')}.`
    assert.equal(plainText(value), 'See the job summary.')
    assert.equal(plainText(value, 'terminal'), 'See the report above.')
  })

  test('is a string if nothing in it is marked', () => {
    assert.equal(text`${3} tables of ${'shop'}`, '3 tables of shop')
    assert.equal(text``, '')
    assert.equal(join(['a', text`b${1}`], ', '), 'a, b1')
  })

  test('contains other texts, and joins their plain parts', () => {
    const inner = text`drop ${code('orders')} first`
    assert.deepEqual(text`Please ${inner}, then wait.`, [
      'Please drop ',
      { kind: 'code', code: 'orders' },
      ' first, then wait.',
    ])
    assert.equal(plainText(join([inner, 'x'], '; ')), 'drop orders first; x')
  })
})

test('a line break in a template is a space, and one in a value stays', () => {
  const value = 'a\n  b'
  assert.equal(
    text`one
      two ${value}
      three`,
    'one two a\n  b three',
  )
})

test('a value that YAML would read as something else is in quotes', () => {
  const shown = (value: string): string => plainText(text`${input('backup', value)}`)
  assert.equal(shown('before: 2026-11-20'), "backup: 'before: 2026-11-20'")
  assert.equal(shown("*it's"), "backup: '*it''s'")
  assert.equal(shown('latest'), 'backup: latest')
})
