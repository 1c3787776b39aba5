import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { checkPage, checkProject, checkSource, checkWords } from '../../scripts/prose.ts'

const root = dirname(dirname(import.meta.dirname))

test('the pages have none of the words that the project does not use', () => {
  assert.deepEqual(checkProject(root), [])
})

describe('the prose linter', () => {
  test('finds words, with their line', () => {
    assert.deepEqual(
      checkWords('A backup.\nWhoever restores it, makes it anew.').map(({ line, found }) => [
        line,
        found,
      ]),
      [
        [2, 'Whoever'],
        [2, 'anew'],
      ],
    )
  })

  test('finds each phrase of the style guide', () => {
    for (const phrase of [
      'nobody sees it',
      'keep so many',
      'kept in its turn',
      'Mend that',
      'nothing speaks against it',
      'what there is',
      'beside the target',
      'it is told',
      'a cluster of ours',
      'is not to be had',
      'it was to be restored',
      'restored side by side',
      'one a line',
      'all but for one',
      'nor does it',
      'it stops, for it cannot go on',
      'it stood in the way',
      'lets go of the lock',
      '/** Gives a list. */',
    ])
      assert.equal(checkWords(phrase).length > 0, true, phrase)
  })

  test('leaves code, and plain words that look similar, alone', () => {
    for (const text of [
      'See `copy-beside.ts` and `told`.',
      'I recommend an amendment.',
      "the user 'nobody'",
      'Set it for example to 3, for the first time.',
    ])
      assert.deepEqual(checkWords(text), [], text)
  })

  test('skips code blocks and generated parts of a page, and finds long sentences', () => {
    const long = `${'word '.repeat(31)}end.`
    const page = [
      '# Title\n\n```sh\nmend\n```',
      '<!-- generated: x -->\n\nmend\n\n<!-- end -->',
      long,
      '- mend it\n',
    ].join('\n\n')
    assert.deepEqual(
      checkPage(page).map(({ line, found }) => [line, found.replace(/:.*/, '')]),
      [
        [15, 'mend'],
        [13, '32 words'],
      ],
    )
    assert.equal(checkPage(page, 'check').length, 3)
  })

  test('reads comments, strings and templates of the source, and no names or imports', () => {
    const source = [
      "import { mend } from './mend.ts'",
      '/** It is told. */',
      'export function told(nobody: string): string {',
      '  // mend this',
      "  const text = 'whoever'",
      '  return `${text} beside ${nobody} in its turn`',
      '}',
    ].join('\n')
    assert.deepEqual(
      checkSource('x.ts', source)
        .map(({ line, found }) => [line, found])
        .toSorted(([a], [b]) => Number(a) - Number(b)),
      [
        [2, 'told'],
        [4, 'mend'],
        [5, 'whoever'],
        [6, 'beside'],
        [6, 'in its turn'],
      ],
    )
  })
})
