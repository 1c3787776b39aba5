import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { rehearsalReport, rehearsalVerdict } from '../../src/report/rehearsal.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { plainText } from '../../src/text.ts'
import { harmfulRehearsal, rehearsalResult } from './results.ts'
import { firstLine } from './reading.ts'

describe('the report of a rehearsal', () => {
  test('of a good migration is short', () => {
    const report = renderMarkdown(rehearsalReport(rehearsalResult()))
    assert.equal(firstLine(report), '## ✅ Migration passed on a copy of `production`')
    assert.match(
      report,
      new RegExp(
        /It took \*\*850 ms\*\* on a restored copy: 1,234,567 rows before and after; /.source +
          /schema: 1 added, 0 removed, 0 changed/.source,
      ),
    )
    assert.doesNotMatch(report, /finding|\*\*Next/)
  })
  test('of a harmful one says what is lost, with the remedy beside it', () => {
    const report = renderMarkdown(rehearsalReport(harmfulRehearsal()))
    assert.equal(firstLine(report), '## ❌ Migration would lose data in `production`')
    assert.deepEqual(
      [...report.matchAll(/^- (\S+) \S.* \(`([\w-]+)`\): /gm)].map(
        ([, mark, word]) => `${mark} ${word}`,
      ),
      ['❌ column-dropped', '⚠️ table-rewritten', 'ℹ️ values-updated'],
    )
    assert.match(
      report,
      new RegExp(
        /^- ❌ `public\.orders\.total` \(`column-dropped`\): /.source +
          /\*\*The column held 900,000 values that are not null; they are gone\.\*\* /.source +
          /Stop reading it first, and keep a copy\.$/.source,
        'm',
      ),
    )
    assert.match(report, /would permanently delete \*\*900,000 values or rows\*\* in `/)
    assert.match(report, /`public\.clients` \(was `public\.customers`\)/)
    assert.equal(
      plainText(rehearsalVerdict(harmfulRehearsal())),
      'The migration must not be merged: public.orders.total: ' +
        'The column held 900,000 values that are not null; they are gone.',
    )
  })
  test('of a command that failed or hung says so, and shows what it wrote', () => {
    const failed = rehearsalResult({ verdict: 'fail', exitCode: 3, output: 'boom\n' })
    assert.match(
      renderMarkdown(rehearsalReport(failed)),
      /\*\*The command failed with exit code 3\*\*/,
    )
    assert.match(renderMarkdown(rehearsalReport(failed)), /```text\nboom\n```/)
    assert.match(plainText(rehearsalVerdict(failed)), /exit code 3/)
    const hung = rehearsalResult({
      verdict: 'fail',
      exitCode: null,
      timedOut: true,
      timings: { restore: 1, migration: 5000, total: 5001 },
    })
    assert.match(
      renderMarkdown(rehearsalReport(hung)),
      /exceeded its timeout and was stopped\*\* after 5\.0 s/,
    )
    assert.match(plainText(rehearsalVerdict(hung)), /exceeded its timeout/)
  })
})
