import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type Block,
  callout,
  codeBlock,
  details,
  facts,
  list,
  next,
  paragraph,
  pie,
  type Report,
  section,
  settings,
  steps,
  table,
  verdict,
} from '../../../src/report/blocks.ts'
import { renderTerminal } from '../../../src/report/render/terminal.ts'
import { code, either, input, link, strong, text } from '../../../src/text.ts'
import { hostile } from '../results.ts'

const show = (blocks: Report, width = 40, colour = false): string[] =>
  renderTerminal(blocks, { width, colour }).split('\n')

describe('a table', () => {
  test('is aligned, and its widest column wraps to fit the screen', () => {
    const cities = table(
      ['What', 'Rows'],
      [
        ['a name that is long and goes on and on', '7'],
        [text`${code('cities')}`, '171,075'],
      ],
      ['left', 'right'],
    )
    const shown = [
      'What                      Rows',
      '─────────────────────  ───────',
      'a name that is long          7',
      'and goes on and on',
      'cities                 171,075',
    ]
    assert.deepEqual(show([cities], 30), shown)
    assert.ok(show([cities], 30).every((line) => line.length <= 30))
  })
  test('is as wide as it needs to be, and a column has at least six columns', () => {
    const two = table(['', ''], [['abcdefghij', 'klmnopqrst']])
    const widthsAt = (width: number): number[] =>
      (show([two], width)[1] ?? '').split('  ').map((rule) => rule.length)
    assert.deepEqual(widthsAt(22), [10, 10])
    assert.deepEqual(widthsAt(21), [9, 10])
    assert.deepEqual(widthsAt(20), [9, 9])
    assert.deepEqual(widthsAt(14), [6, 6])
    assert.deepEqual(widthsAt(10), [6, 6])
    assert.deepEqual(show([two], 10).slice(2), ['abcdef  klmnop', 'ghij    qrst'])
  })
  test('has a narrow column for narrow cells', () => {
    assert.deepEqual(show([table(['', 'b'], [['x', 'no']])]).slice(1), ['─  ──', 'x  no'])
  })
  test('breaks words only if it must', () => {
    const age = table(['Id', 'Age'], [['20261117T031045Z-k3v9', 'one day and two hours']])
    assert.deepEqual(show([age], 32).slice(2), [
      '20261117T031045Z-k3v9  one day',
      '                       and two',
      '                       hours',
    ])
    const marked = table(['Id', 'Age'], [['x 20261117T031045Z-k3v9', 'one day and two hours']])
    assert.deepEqual(show([marked], 32).slice(2, 4), [
      'x                      one day',
      '20261117T031045Z-k3v9  and two',
    ])
    assert.deepEqual(show([age], 28).slice(2), [
      '20261117T031045Z-k3v  one',
      '9                     day',
      '                      and',
      '                      two',
      '                      hours',
    ])
  })
  test('gives an emoji two columns', () => {
    assert.deepEqual(
      show([
        table(
          ['', 'b'],
          [
            ['✅', 'yes'],
            ['x', 'no'],
          ],
        ),
      ]).slice(2),
      ['✅  yes', 'x   no'],
    )
  })
})

test('keys and values are two columns, and a long value wraps in its own', () => {
  assert.deepEqual(
    show(
      [
        facts([
          ['Backup', 'one'],
          ['Read from', 'a place far away'],
        ]),
      ],
      20,
    ),
    ['Backup     one', 'Read from  a place', '           far away'],
  )
})

test('text wraps between words, and in a word that is longer than a line', () => {
  assert.deepEqual(show([paragraph('one two three')], 8), ['one two', 'three'])
  assert.deepEqual(show([paragraph('a bcdefgh')], 8), ['a', 'bcdefgh'])
  assert.deepEqual(show([list(['abcdefghij'])], 7), ['• abcde', '  fghij'])
})

test('a word does not break where its style changes', () => {
  assert.deepEqual(show([paragraph(text`see it (${code('now')}), please`)], 12), [
    'see it',
    '(now),',
    'please',
  ])
})

test('folded blocks are open and indented, code is set apart, blocks have a line between them', () => {
  const folded = details('More', codeBlock('SELECT 1\n', 'sql'), paragraph('done'))
  assert.deepEqual(show([folded, callout('warning', 'careful')]), [
    '▸ More',
    '    │ SELECT 1',
    '',
    '  done',
    '',
    '⚠️ careful',
  ])
})

test('steps are numbered, and marked once one of them is done', () => {
  const plan = ['a', 'b'].map((step) => ({ step, done: false }))
  assert.deepEqual(show([steps(plan)]), ['1. a', '2. b'])
  assert.deepEqual(show([steps([{ step: 'a', done: true }, ...plan.slice(1)])]), [
    '1. ✅ a',
    '2. ▢  b',
  ])
})

test('a chart is drawn as bars with their figures', () => {
  const chart = pie('Sizes', [
    { name: 'a', value: 4096 },
    { name: 'bb', value: 2048 },
  ])
  assert.deepEqual(show(chart ? [chart] : []), [
    'Sizes',
    'a   4.0 KiB  ██████████',
    'bb  2.0 KiB  █████',
  ])
})

test('a bar has a quarter of the screen, and at most 24 columns', () => {
  const barsAt = (width: number): string[] => {
    const parts = [10, 5, 0].map((value) => ({ name: 'x', value }))
    const chart = { kind: 'chart', shape: 'pie', title: '', unit: 'bytes', parts } as const
    return show([chart], width).map((line) => line.replace(/^[^█]*/, ''))
  }
  for (const [width, bar] of [
    [200, 24],
    [43, 10],
  ] as const)
    assert.deepEqual(barsAt(width), ['', '█'.repeat(bar), '█'.repeat(bar / 2), '█'])
})

test('an input is a flag, and inputs to type are one line of flags', () => {
  const where = either('the job summary', 'above')
  assert.deepEqual(
    show(
      [
        paragraph(
          text`Set ${input('safety-backup', false)} or ${input('target-url', { secret: 'X' })}; see ${where}.`,
        ),
        settings([
          ['storage', "s3://b/p?x=1&y=it's"],
          ['tables', ['orders', '"odd schema"."T"']],
          ['dry-run', 'true'],
        ]),
        settings([
          ['label', 'two\nlines'],
          ['target-url', { secret: 'DATABASE_URL' }],
        ]),
      ],
      80,
    ),
    [
      'Set --safety-backup=false or --target-url-file FILE; see above.',
      '',
      `  │ --storage 's3://b/p?x=1&y=it'\\''s' --tables orders --tables '"odd schema"."T"' --dry-run`,
      '',
      "  │ --label $'two\\x0Alines' --target-url-file FILE",
    ],
  )
})

test('a value that looks like an input stays as it is', () => {
  const value = 'confirm: shop, dry-run: true'
  assert.deepEqual(show([paragraph(text`${value} ${code(value)}`)], 80), [`${value} ${value}`])
})

test('a link shows its address, unless its text is the address', () => {
  assert.deepEqual(
    show([paragraph(text`${link('here', 'https://x/y')} ${link('https://x', 'https://x')}`)]),
    ['here (https://x/y) https://x'],
  )
})

test('colours are there only where they are wanted', () => {
  const blocks: Block[] = [verdict('pass', 'head'), paragraph(text`a ${strong('b')} ${code('c')}`)]
  assert.deepEqual(show(blocks), ['✅ head', '', 'a b c'])
  assert.deepEqual(show(blocks, 40, true), [
    '\u001b[1m✅ head\u001b[0m',
    '',
    'a \u001b[1mb\u001b[0m \u001b[36mc\u001b[0m',
  ])
})

test('each kind of block has its own style, and a column is as wide as what is seen', () => {
  const parts = [
    { name: '表 a', value: 4096 },
    { name: 'a name that wraps', value: 41 },
  ]
  const styled = renderTerminal(
    [
      section(text`now ${code('shop')} ${input('keep', '7')}`, 'pass'),
      facts([['Key', text`a ${strong(text`b ${code('c')}`)}${strong('d')}`]]),
      table(
        ['Name', 'Rows'],
        [[text`${code('public.a')}`, text`${strong('7')}`]],
        ['left', 'right'],
      ),
      codeBlock('SELECT 1\n\n', 'sql'),
      { kind: 'chart', shape: 'pie', title: 'Sizes', unit: 'bytes', parts },
      next('see:', details('More', paragraph('done'))),
      next('run.'),
    ],
    { width: 24, colour: true },
  )
  assert.deepEqual(
    styled
      .replaceAll('\u001b[1m', '<b>')
      .replaceAll('\u001b[2m', '<dim>')
      .replaceAll('\u001b[36m', '<code>')
      .replaceAll('\u001b[0m', '</>')
      .split('\n'),
    [
      '<b>✅ now shop --keep 7</>',
      '',
      'Key  a <b>b </><code>c</><b>d</>',
      '',
      '<b>Name</>      <b>Rows</>',
      '<dim>────────  ────</>',
      '<code>public.a</>     <b>7</>',
      '',
      '<dim>  │ </>SELECT 1',
      '',
      '<b>Sizes</>',
      '表 a     4.0 KiB  <code>██████</>',
      'a name      41 B  <code>█</>',
      'that',
      'wraps',
      '',
      '<b>Next:</> see:',
      '',
      '▸ More',
      '  done',
      '',
      '<b>Next:</> run.',
    ],
  )
})

test('no text of any block commands the terminal or moves the cursor', () => {
  const raw = `${hostile}\u001b[2J\u001b]0;title\u0007\r\b\u202e\u009b31m`
  const styled = text`${raw} ${code(raw)} ${strong(raw)} ${link(raw, raw)} ${input('confirm', raw)}`
  const shown = renderTerminal(
    [
      verdict('fail', styled),
      section(styled),
      paragraph(styled),
      facts([[styled, styled]]),
      table([styled], [[styled]]),
      list([styled]),
      steps([{ step: styled, done: true }]),
      codeBlock(raw, 'text'),
      settings([
        ['label', raw],
        ['tables', [raw]],
      ]),
      details(raw, paragraph(styled)),
      callout('warning', styled),
      next(styled, list([styled])),
      { kind: 'chart', shape: 'pie', title: raw, unit: 'bytes', parts: [{ name: raw, value: 1 }] },
    ],
    { width: 80, colour: false },
  )
  assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  assert.match(shown, /@admin #12/)
})

test('a long message takes time that grows with its length', () => {
  const began = Date.now()
  show([facts([['a', 'x '.repeat(50_000)]]), codeBlock(`${'\n'.repeat(100_000)}x`, 'text')])
  assert.ok(Date.now() - began < 4000)
})
