import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { batchFailure, batchReport, batchVerdict } from '../../src/report/verify/batch.ts'
import { verifyReport, verifyVerdict } from '../../src/report/verify/verify.ts'
import { plainText } from '../../src/text.ts'
import type { VerifyBatch } from '../../src/verify/batch.ts'
import { hostile, unprovenResult, verifyResult } from './results.ts'
import { firstLine, rows } from './reading.ts'

describe('the report of a verification', () => {
  test('ticks the ladder to its end when proven', () => {
    const report = renderMarkdown(verifyReport(verifyResult()))
    assert.match(firstLine(report), /^## ✅ Backup of `production` proven/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => mark === '✅')
        .map((row) => row[1]),
      ['stored', 'readable', 'restored', 'counted', '**identical**'],
    )
    assert.match(
      report,
      /data written after \*\*2026-11-21 03:10:45 UTC\*\* \(1 hour and 30 minutes before/,
    )
    assert.match(plainText(verifyVerdict(verifyResult())), /^Proven: /)
  })
  test('shows the level reached, what stopped it, and every difference', () => {
    const report = renderMarkdown(verifyReport(unprovenResult()))
    assert.match(firstLine(report), /^## ❌ .*not proven: do not rely on it$/)
    assert.match(report, /\*\*Cause:\*\* public\.orders has 899999 rows/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => /[✅❌–]/.test(mark as string))
        .map(([mark, level]) => `${mark} ${level}`),
      ['✅ stored', '✅ readable', '✅ **restored**', '❌ counted', '– identical'],
    )
    assert.match(report, /### 3 differences/)
    assert.ok(rows(report).some((row) => row.join() === '`public.orders`,900000,899999,rows'))
    assert.match(report, /Take a new backup now/)
    assert.match(
      plainText(verifyVerdict(unprovenResult())),
      /^Not proven: .*"restored"\. public\.orders has/,
    )
  })
  test('stops at fifty differences, and says how many more there are', () => {
    const report = renderMarkdown(verifyReport(unprovenResult(1053)))
    assert.match(report, /### 1,053 differences/)
    assert.equal(
      rows(report).filter(([, , , kind]) => kind === 'rows' || kind === 'schema').length,
      50,
    )
    assert.match(report, /… and 1,003 more differences\./)
  })
})

describe('the report of a verification that was asked for more, or less', () => {
  const failed = verifyResult({
    checks: [
      { name: hostile, passed: false, outcome: 'gave false', took: 3 },
      { name: 'b', passed: true, outcome: 'gave true', took: 3 },
    ],
    stoppedBy: 'The check "a" gave false.',
  })
  test('that passes the user’s checks says so', () => {
    const report = renderMarkdown(
      verifyReport(
        verifyResult({
          level: 'accepted',
          checks: [{ name: 'a', passed: true, outcome: 'gave true', took: 3 }],
        }),
      ),
    )
    assert.match(firstLine(report), /proven: it restores, is identical, and passes your checks$/)
    assert.ok(rows(report).some((row) => row.slice(0, 2).join() === '✅,**accepted**'))
  })
  test('whose check failed says that the backup itself is good', () => {
    const report = renderMarkdown(verifyReport(failed))
    assert.match(firstLine(report), /one of your checks failed; the backup itself is good$/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => /[✅❌]/.test(mark as string))
        .slice(0, 6)
        .map(([mark, level]) => `${mark} ${level}`)
        .slice(-2),
      ['✅ **identical**', '❌ accepted'],
    )
    assert.match(
      plainText(verifyVerdict(failed)),
      /^A check failed: .* The backup itself is good: it is identical/,
    )
    assert.doesNotMatch(report, /do not rely on it|<img/)
  })
  test('whose check failed calls no backup good that is not proven, and no level failed that was not tried', () => {
    const checks = [{ name: 'a', passed: false, outcome: 'gave false', took: 3 }]
    const limit = 'Content was not measured.'
    const result = verifyResult({ proven: false, level: 'counted', limit, checks })
    const marks = rows(renderMarkdown(verifyReport(result))).map((row) => row.slice(0, 2).join(' '))
    assert.ok(marks.includes('– identical') && marks.includes('❌ accepted'))
    const report = renderMarkdown(
      batchReport({
        label: 'production',
        asked: 'all',
        several: true,
        there: 1,
        backups: [{ id: 'x', result }],
        age: [],
        took: 1,
      }),
    )
    assert.match(
      report,
      /^- ❌ `x`: no fault found, but a check failed: The check "a" gave false\.$/m,
    )
    assert.doesNotMatch(report, /is good/)
  })
  test('that ended where it was asked to is good so far, and says what is not known', () => {
    const result = verifyResult({
      level: 'readable',
      asked: 'readable',
      proven: false,
      server: { backup: '17.11', client: '17.11' },
      timings: { total: 900 },
    })
    assert.match(
      firstLine(renderMarkdown(verifyReport(result))),
      /✅ Backup of `production` is readable, as requested; no fault found$/,
    )
    assert.match(
      renderMarkdown(verifyReport(result)),
      /nothing beyond level "readable" was checked/,
    )
    assert.doesNotMatch(renderMarkdown(verifyReport(result)), /restored in|❌/)
    assert.match(
      plainText(verifyVerdict(result)),
      /^Passed: .* reached the requested level "readable"; no fault found/,
    )
  })
  test('that did not come as far as was asked fails, and is not called bad when nothing speaks against it', () => {
    const result = verifyResult({
      level: 'counted',
      asked: 'identical',
      proven: false,
      limit: 'Content was not measured.',
    })
    assert.match(
      plainText(verifyVerdict(result)),
      /^Not proven: .* Expected level "identical", reached "counted"\. No fault found\. Content was not measured\./,
    )
    assert.match(
      firstLine(renderMarkdown(verifyReport(result))),
      /^## ❌ .*counted, not identical as requested: no fault found/,
    )
    assert.doesNotMatch(renderMarkdown(verifyReport(result)), /do not rely on it/)
    const run: VerifyBatch = {
      label: 'production',
      asked: 'latest',
      several: false,
      there: 1,
      backups: [{ id: result.id, result }],
      age: [],
      took: 1000,
    }
    assert.deepEqual(
      [
        batchFailure(run)?.code,
        /^No fault was found/.test(plainText(batchFailure(run)?.hint ?? '')),
      ],
      ['not-proven', true],
    )
  })
  test('of very many backups shows fifty, the bad ones first, and counts the rest', () => {
    const backups = Array.from({ length: 300 }, (_, i) => ({
      id: `20261121T031045Z-${String(i).padStart(4, '0')}`,
      result: i === 299 ? failed : i === 100 ? unprovenResult() : verifyResult(),
    }))
    const run: VerifyBatch = {
      label: 'production',
      asked: 'all',
      several: true,
      there: 300,
      backups,
      age: [],
      took: 60_000,
    }
    const report = renderMarkdown(batchReport(run))
    assert.match(
      firstLine(report),
      /^## ❌ Backups of `production`: 300 checked, 298 valid, 1 bad, 1 with a failed check, 35 GiB$/,
    )
    assert.deepEqual(
      rows(report)
        .slice(2, 4)
        .map(([, id]) => id),
      ['`20261121T031045Z-0100`', '`20261121T031045Z-0299`'],
    )
    assert.match(report, /… and 250 more backups\./)
    assert.equal(batchFailure(run)?.code, 'not-proven')
    assert.match(plainText(batchVerdict(run)), /300 checked, 298 valid/)
  })
})
