import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderMarkdown } from '../../src/report/terminal.ts'

const show = (markdown: string, width = 40, colour = false): string[] =>
  renderMarkdown(markdown, { width, colour }).split('\n')

test('a table is aligned, and its widest column wraps to fit the screen', () => {
  const table =
    '| What | Rows |\n| --- | ---: |\n| a name that is long and goes on and on | 7 |\n| `cities` | 171,075 |'
  assert.deepEqual(show(table, 30), [
    'What                      Rows',
    '─────────────────────  ───────',
    'a name that is long          7',
    'and goes on and on',
    'cities                 171,075',
  ])
  assert.ok(show(table, 30).every((line) => line.length <= 30))
})

test('a table without a head is shown without a rule; an emoji takes two columns', () => {
  assert.deepEqual(show('| | |\n| --- | --- |\n| ✅ | yes |\n| x | no |'), ['✅  yes', 'x   no'])
})

test('text wraps between words, and in a word that is longer than a line', () => {
  assert.deepEqual(show('one two three', 8), ['one two', 'three'])
  assert.deepEqual(show('- abcdefghij', 7), ['• abcde', '  fghij'])
})

test('what is folded is set in, code is set off, a diagram is named', () => {
  const text =
    '<details>\n<summary>More</summary>\n\n```sql\nSELECT 1\n```\n\n```mermaid\npie title Sizes\n  "a" : 1\n```\n\n</details>\nafter'
  assert.deepEqual(show(text), [
    '▸ More',
    '    │ SELECT 1',
    '',
    '    (a chart, on GitHub: Sizes)',
    'after',
  ])
})

test('references are characters again, marks are gone, colour only where it is wanted', () => {
  assert.deepEqual(
    show('**bold** `a|b` <code>c&#124;d</code> &#60;i&#62; a\u200b@b [text](https://x)', 80),
    ['bold a|b c|d <i> a@b text'],
  )
  assert.deepEqual(show('## head', 40, true), ['\u001b[1mhead\u001b[0m'])
})
