import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  blocks,
  code,
  details,
  fence,
  list,
  md,
  table,
  text,
  truncate,
} from '../../../src/report/markdown/markdown.ts'

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

/** The text that a reader sees: character references and zero-width spaces undone. */
function seen(markdown: string): string {
  return markdown
    .replace(/&#(\d+);/g, (_, number: string) => String.fromCodePoint(Number(number)))
    .replaceAll('\u200b', '')
}

describe('a cell', () => {
  test('never ends a row or begins another cell, whatever it holds', () => {
    for (const raw of strings) {
      for (const cell of [raw, code(raw), md`before ${raw} after ${code(raw)}`]) {
        const lines = table(['a', 'b'], [[cell, 'end']]).markdown.split(/\r\n|[\n\r]/)
        assert.equal(lines.length, 3, JSON.stringify(raw))
        const cells = cellsOf(lines[2] as string)
        assert.equal(cells.length, 2, JSON.stringify(raw))
        assert.equal(cells[1], 'end', JSON.stringify(raw))
      }
    }
  })

  test('holds no tag, no comment, no code and no emphasis of its own', () => {
    for (const raw of strings) {
      const escaped = text(raw).markdown
      assert.doesNotMatch(escaped, /[<>`*[\]~$\\|]/, JSON.stringify(raw))
      assert.doesNotMatch(
        code(raw)
          .markdown.replace(/^<code>|<\/code>$/g, '')
          .replace(/^`[^`]*`$/, ''),
        /[<>`*[\]|\\]/,
        JSON.stringify(raw),
      )
    }
  })

  test('mentions nobody, refers to no issue and links nowhere', () => {
    for (const raw of strings) {
      const rendered = text(raw).markdown.replace(/&#(\d+);/g, (_, number: string) =>
        String.fromCodePoint(Number(number)),
      )
      assert.doesNotMatch(rendered, /@[a-z0-9]|#\d|GH-\d|:\/\/|www\./i, JSON.stringify(raw))
    }
  })

  test('begins no heading, list or quote', () => {
    for (const raw of strings)
      assert.doesNotMatch(text(raw).markdown, /^\s*([-+#>=]|\d+[.)])/, JSON.stringify(raw))
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
      assert.equal(seen(text(raw).markdown), raw)
      assert.equal(seen(code(raw).markdown.replace(/^(`|<code>)|(`|<\/code>)$/g, '')), raw)
    }
    assert.equal(code('public.order_items').markdown, '`public.order_items`')
    assert.equal(text('public.order_items lost 3').markdown, 'public.order_items lost 3')
  })
})

describe('a fence', () => {
  test('is ended by nothing that stands in it', () => {
    for (const raw of strings.map((each) => `${each}\n${each}\nlast`)) {
      const lines = fence(raw, 'text').markdown.split('\n')
      const bar = /^(`{3,})text$/.exec(lines[0] as string)?.[1] as string
      assert.ok(bar, JSON.stringify(raw))
      const ends = lines.findIndex(
        (line, i) => i > 0 && (/^ {0,3}(`{3,})\s*$/.exec(line)?.[1]?.length ?? 0) >= bar.length,
      )
      assert.equal(ends, lines.length - 1, JSON.stringify(raw))
    }
  })

  test('keeps the lines as they were, without terminal colours and control characters', () => {
    assert.equal(
      fence('\u001b[31mred\u001b[0m\r\nplain\ttab\u0007\n\n', 'text').markdown,
      '```text\nred\nplain\ttab\n```',
    )
  })
})

describe('a report that is too long', () => {
  const body = (lines: number): string =>
    blocks(
      md`## Verdict`,
      details(
        'folded',
        fence(Array.from({ length: lines }, (_, i) => `line ${i} äöü 漢字 😀`).join('\n'), 'text'),
      ),
      list(['end']),
    ).markdown

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

  test('leaves no fence and no fold open', () => {
    const cut = truncate(body(2000), 5000, 'bytes')
    assert.equal(cut.match(/^```/gm)?.length, 2)
    assert.equal(cut.match(/<details>/g)?.length, cut.match(/<\/details>/g)?.length)
    assert.match(cut.split('\n').at(-1) as string, /^\*\*This report was cut/)
    assert.doesNotMatch(cut, /\ufffd/)
  })
})
