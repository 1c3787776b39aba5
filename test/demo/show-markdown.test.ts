import assert from 'node:assert/strict'
import { test } from 'node:test'
import { showMarkdown } from '../../scripts/demo/show-markdown.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { restoreReport } from '../../src/report/restore/restore.ts'
import { verifyReport } from '../../src/report/verify/verify.ts'
import { hostile, restoreResult, unprovenResult } from '../report/results.ts'

const screen = { width: 80, colour: false }

test('the demo shows a job summary as text, without its markup', () => {
  for (const report of [restoreReport(restoreResult()), verifyReport(unprovenResult())]) {
    const shown = showMarkdown(renderMarkdown(report).trim(), screen)
    assert.doesNotMatch(shown, /\*\*|&#\d|^#|<summary>|^\|/m)
    assert.ok(shown.replace(/\s+/g, ' ').includes(hostile.replace(/\s+/g, ' ').slice(0, 20)))
  }
})

test('lists, code and charts are shown line by line', () => {
  const markdown = '- **Size:** `a|b`\n\n```sql\nSELECT 1\n```\n\n```mermaid\npie title Sizes\n```'
  assert.deepEqual(showMarkdown(markdown, screen).split('\n'), [
    '• Size: a|b',
    '',
    '  │ SELECT 1',
    '',
    '  (a chart, on GitHub: Sizes)',
  ])
})
