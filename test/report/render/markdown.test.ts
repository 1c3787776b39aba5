import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import {
  type Block,
  callout,
  codeBlock,
  details,
  facts,
  list,
  next,
  paragraph,
  section,
  settings,
  steps,
  table,
  verdict,
} from '../../../src/report/blocks.ts'
import { renderMarkdown, renderText } from '../../../src/report/render/markdown.ts'
import { truncate } from '../../../src/report/render/truncate.ts'
import { code, either, input, link, strong, text, type Text } from '../../../src/text.ts'

/** Pieces that mean something to GitHub's Markdown, to HTML, to terminals or to nobody. */
const delicate = [
  '|',
  '\\',
  '\\|',
  '`',
  '``',
  '```',
  '~~~',
  '\n',
  '\r\n',
  '\r',
  '\t',
  '<',
  '>',
  '</td>',
  '<details>',
  '</details>',
  '<!--',
  '-->',
  '&',
  '&#124;',
  '&lt;',
  '*',
  '**',
  '_',
  '[',
  ']',
  '](',
  '![',
  '@admin',
  '@org/team',
  '#12',
  'GH-7',
  'https://evil.example/x',
  'www.evil.example',
  '$x$',
  '---',
  '| --- |',
  '# ',
  '- ',
  '1. ',
  '> ',
  '    ',
  '\u001b[31m',
  '\u0000',
  '\u202e',
  '\u2028',
  'é',
  '漢',
  '😀',
  'a',
  'orders',
  ' ',
  '::error::',
  '%0A',
]

/** A small generator with a seed, so that what fails can be run again. */
function randomStrings(count: number): string[] {
  let seed = 20261121
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  return Array.from({ length: count }, () =>
    Array.from({ length: next(9) }, () => delicate[next(delicate.length)]).join(''),
  )
}
const strings = [...delicate, ...randomStrings(4000)]

/**
 * Splits a row as GitHub does: a pipe ends a cell unless a backslash escapes it, inside code too.
 */
function cellsOf(row: string): string[] {
  return [...row.slice(1).matchAll(/((?:\\[\s\S]|[^|\\])*)\|/g)].map(([, cell]) =>
    (cell as string).trim(),
  )
}

/** The lines of a block, without the line end that ends every report. */
function linesOf(block: Block): string[] {
  return renderMarkdown([block])
    .replace(/\n$/, '')
    .split(/\r\n|[\n\r]/)
}

/** The text that a reader sees: character references and zero-width spaces undone. */
function seen(markdown: string): string {
  return markdown
    .replace(/&#(\d+);/g, (_, number: string) => String.fromCodePoint(Number(number)))
    .replaceAll('\u200b', '')
}

describe('a cell', () => {
  test('never ends a row or begins another cell, whatever it holds', () => {
    for (const raw of strings) {
      for (const cell of [raw, [code(raw)], text`before ${raw} after ${code(raw)}`]) {
        const lines = linesOf(table(['a', 'b'], [[cell, 'end']]))
        assert.equal(lines.length, 3, JSON.stringify(raw))
        const cells = cellsOf(lines[2] as string)
        assert.equal(cells.length, 2, JSON.stringify(raw))
        assert.equal(cells[1], 'end', JSON.stringify(raw))
      }
    }
  })

  test('holds no tag, no comment, no code and no emphasis of its own', () => {
    for (const raw of strings) {
      const escaped = renderText(raw)
      assert.doesNotMatch(escaped, /[<>`*[\]~$\\|]/, JSON.stringify(raw))
      assert.doesNotMatch(
        renderText([code(raw)])
          .replace(/^<code>|<\/code>$/g, '')
          .replace(/^`[^`]*`$/, ''),
        /[<>`*[\]|\\]/,
        JSON.stringify(raw),
      )
    }
  })

  test('mentions nobody, refers to no issue and links nowhere', () => {
    for (const raw of strings) {
      const rendered = renderText(raw).replace(/&#(\d+);/g, (_, number: string) =>
        String.fromCodePoint(Number(number)),
      )
      assert.doesNotMatch(rendered, /@[a-z0-9]|#\d|GH-\d|:\/\/|www\./i, JSON.stringify(raw))
    }
  })

  test('mentions no one where two pieces of a text meet', () => {
    assert.equal(renderText([either('see @', ''), 'admin']), 'see @\u200badmin')
  })

  test('begins no heading, list or quote', () => {
    for (const raw of strings)
      assert.doesNotMatch(renderText(raw), /^\s*([-+#>=]|\d+[.)])/, JSON.stringify(raw))
  })

  test('shows a reader what it was, but for line ends and marks that cannot be seen', () => {
    for (const raw of [
      'public.orders',
      'a|b',
      '50% <b>',
      'a_b',
      '_private',
      'x `y` \\ z',
      'C:\\|',
      'user@example.com',
      'see #12',
      '1. first',
    ]) {
      assert.equal(seen(renderText(raw)), raw)
      assert.equal(seen(renderText([code(raw)]).replace(/^(`|<code>)|(`|<\/code>)$/g, '')), raw)
    }
    assert.equal(renderText([code('public.order_items')]), '`public.order_items`')
    assert.equal(renderText([code('')]), '<code>&#32;</code>')
    assert.equal(renderText('public.order_items lost 3'), 'public.order_items lost 3')
  })
})

describe('a fence', () => {
  test('is ended by nothing that stands in it', () => {
    for (const raw of strings.map((each) => `${each}\n${each}\nlast`)) {
      const lines = linesOf(codeBlock(raw, 'text'))
      const bar = /^(`{3,})text$/.exec(lines[0] as string)?.[1] as string
      assert.ok(bar, JSON.stringify(raw))
      const ends = lines.findIndex(
        (line, i) => i > 0 && (/^ {0,3}(`{3,})\s*$/.exec(line)?.[1]?.length ?? 0) >= bar.length,
      )
      assert.equal(ends, lines.length - 1, JSON.stringify(raw))
    }
  })

  test('keeps the lines as they were, without terminal colours, and shows control characters', () => {
    assert.equal(
      renderMarkdown([codeBlock('\u001b[31mred\u001b[0m\r\nplain\ttab\u0007\n\n', 'text')]),
      '```text\nred\nplain\ttab\ufffd\n```\n',
    )
  })
})

const linesWith = (count: number): string =>
  Array.from({ length: count }, (_, i) => `line ${i} äöü 漢字 😀`).join('\n')

describe('a report that is too long', () => {
  const body = (lines: number): string =>
    renderMarkdown([
      verdict(undefined, 'Verdict'),
      details('folded', codeBlock(linesWith(lines), 'text')),
      list(['end']),
    ])

  test('is left as it is up to the limit', () => {
    const report = body(50)
    assert.equal(truncate(report, Buffer.byteLength(report), 'bytes'), report)
    assert.equal(truncate(report, report.length, 'characters'), report)
  })

  test('is cut to the limit, in bytes or in characters, and says so', () => {
    const report = body(2000)
    for (const limit of [1000, 1001, 1002, 1003, 20_000]) {
      const bytes = truncate(report, limit, 'bytes')
      assert.ok(Buffer.byteLength(bytes) <= limit)
      assert.ok(Buffer.byteLength(bytes) > limit - 500, 'no more is cut than has to be')
      assert.match(bytes, /This report was cut: it has [\d,]+ bytes/)
      const characters = truncate(report, limit, 'characters')
      assert.ok(characters.length <= limit)
      assert.match(characters, /This report was cut: it has [\d,]+ characters/)
    }
  })

  test('ends with what is open there, from the inside out, and a note', () => {
    const begun = ['a', '<details>', '</details>', '<details>', '```', '```', 'b', '<details>']
    const lines = [...begun, '````text', '```', '<details>', 'end']
    const kept = `${lines.join('\n')}\n`.length
    const report = [...lines, ...Array.from({ length: 100 }, () => 'more lines')].join('\n')
    const closed = (more: string[], limit: number): string =>
      [...lines, ...more, '````', '', '</details>', '', '</details>', '', note(limit)].join('\n')
    const note = (limit: number): string =>
      `**This report was cut: it has 1,179 characters, and GitHub shows ${limit}.**`
    assert.equal(report.length, 1179)
    for (const limit of [kept + 400, kept + 410])
      assert.equal(truncate(report, limit, 'characters'), closed([], limit))
    assert.equal(truncate(report, kept + 411, 'characters'), closed(['more lines'], kept + 411))
  })
  test('is no more than the note if there is no room to close what is open', () => {
    const report = `${'`'.repeat(500)}text\n${'x'.repeat(2000)}`
    assert.equal(
      truncate(report, 1000, 'bytes'),
      '**This report was cut: it has 2,505 bytes, and GitHub shows 1,000.**',
    )
  })

  test('keeps its verdict, however long the fence is that is cut', () => {
    for (const backticks of [380, 390, 500, 30_000]) {
      const output = `${'`'.repeat(backticks)}\n${linesWith(5000)}`
      const report = [verdict('fail', 'Failed'), details('folded', codeBlock(output, 'text'))]
      const cut = truncate(renderMarkdown(report), 65_536, 'characters')
      assert.match(cut, /^## ❌ Failed\n/, `${backticks}`)
      assert.ok(cut.length <= 65_536)
      const [, bar] = /^(`+)text$/m.exec(cut) ?? []
      if (bar !== undefined) assert.ok(cut.includes(`\n${bar}\n\n</details>`), 'no fence is open')
    }
  })

  test('is rendered in time that grows with its length', () => {
    const began = Date.now()
    renderMarkdown([codeBlock(`${'\n'.repeat(100_000)}x`, 'text'), paragraph(' '.repeat(100_000))])
    assert.ok(Date.now() - began < 2000)
  })

  test('leaves no fence and no fold open', () => {
    const cut = truncate(body(2000), 5000, 'bytes')
    assert.equal(cut.match(/^```/gm)?.length, 2)
    assert.equal(cut.match(/<details>/g)?.length, cut.match(/<\/details>/g)?.length)
    assert.match(cut.split('\n').at(-1) as string, /^\*\*This report was cut/)
    assert.doesNotMatch(cut, /\ufffd/)
  })
})

describe('a block', () => {
  /** Every kind of block, with the same text wherever a text can be. */
  const everywhere = (raw: string): Block[] => {
    const styled = text`${raw} ${code(raw)} ${strong(raw)} ${link(raw, `https://x/${raw}`)}`
    return [
      verdict('fail', styled),
      section(styled),
      paragraph(styled),
      facts([[styled, styled]]),
      table([styled], [[styled]]),
      list([styled]),
      steps([{ step: styled, done: true }]),
      details(raw, paragraph(styled)),
      callout('warning', styled),
      next(styled, list([styled])),
      { kind: 'chart', shape: 'pie', title: raw, unit: 'bytes', parts: [{ name: raw, value: 1 }] },
    ]
  }
  /** Which lines there are, by what GitHub takes them for. */
  const shape = (markdown: string): string[] =>
    markdown.split(/\r\n|[\n\r]/).map((line) => {
      const first = /^(#+|-|\d+\.|>|\||```\w*|<\/?(?:details|summary)>)/.exec(line)?.[0] ?? ''
      return line === '' ? 'empty' : `${first} ${line.startsWith('|') ? cellsOf(line).length : ''}`
    })

  test('of every kind keeps its lines and cells, whatever its texts hold', () => {
    const expected = shape(renderMarkdown(everywhere('orders')))
    for (const raw of strings.slice(0, 1000)) {
      const markdown = renderMarkdown(everywhere(raw))
      assert.deepEqual(shape(markdown), expected, JSON.stringify(raw))
      const outside = markdown.replace(/(?<!`)`[^`\n]+`(?!`)/g, '')
      assert.doesNotMatch(outside, /<(?!\/?(?:details|summary|code)>)/, JSON.stringify(raw))
      assert.equal(outside.match(/<\/details>/g)?.length, 1, JSON.stringify(raw))
    }
  })

  test('of inputs is YAML with one key an input, whatever the values hold', () => {
    for (const raw of strings) {
      const lines = linesOf(
        settings([
          ['label', raw],
          ['tables', [raw, raw]],
          ['undo', 'true'],
        ]),
      )
      const read = parse(lines.slice(1, -1).join('\n')) as Record<string, unknown>
      assert.deepEqual(Object.keys(read), ['label', 'tables', 'undo'], JSON.stringify(raw))
      assert.equal(String(read['label']), raw)
      assert.equal(read['undo'], true)
    }
  })
})

describe('an input', () => {
  test('is a line of a workflow, alone or with what to write there', () => {
    const where = either('as in the job summary', 'as above')
    const sentence = text`Set ${input('safety-backup', false)} or ${input('storage')}, ${where}.`
    assert.equal(
      renderText(sentence),
      'Set `safety-backup: false` or `storage`, as in the job summary.',
    )
    assert.equal(
      renderMarkdown([
        settings([
          ['storage', "s3://b/p?x=1&y=it's"],
          ['target-url', { secret: 'DATABASE_URL' }],
          ['tables', ['orders', '"odd schema"."T"']],
          ['dry-run', 'true'],
        ]),
      ]),
      "```yaml\nstorage: 's3://b/p?x=1&y=it''s'\ntarget-url: ${{ secrets.DATABASE_URL }}\n" +
        'tables: |\n  orders\n  "odd schema"."T"\ndry-run: true\n```\n',
    )
  })
  test('is only what was built as one: a value that looks like an input stays as it is', () => {
    const value = 'confirm: shop, dry-run: true'
    assert.equal(renderText(value), value)
    assert.equal(renderText([code(value)]), `\`${value}\``)
  })
})

describe('a link', () => {
  test('leads to a web page, and to nothing else', () => {
    assert.equal(renderText([link('a]b', 'https://x/y')]), '[a&#93;b](https://x/y)')
    for (const href of ['javascript:alert(1)', 'data:text/html,x', '//x', 'docs/errors.md#x'])
      assert.equal(renderText([link('here', href)]), 'here')
  })
  test('has what could end it as bytes of UTF-8', () => {
    assert.equal(
      renderText([link('here', "https://x/a b(c)_\u3000'd'")]),
      '[here](https://x/a%20b%28c%29%5F%E3%80%80%27d%27)',
    )
  })
  test('ends where it should, whatever its address holds', () => {
    for (const raw of strings) {
      const rendered = renderText([link('here', `https://x/${raw}`)])
      assert.match(rendered, /^\[here\]\([^\s()<>|\\`*[\]]+\)$/, JSON.stringify(raw))
    }
  })
})

test('text in bold is bold inside of every text', () => {
  const inner: Text = text`a ${code('b')} c*`
  assert.equal(renderText(text`x ${strong(inner)} y`), 'x **a `b` c&#42;** y')
  assert.equal(renderText([strong(' ')]), '')
})
