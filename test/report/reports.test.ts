import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { backupReport } from '../../src/report/backup.ts'
import { failureReport, initialState } from '../../src/report/failure.ts'
import { type Report } from '../../src/report/blocks.ts'
import { rehearsalReport } from '../../src/report/rehearsal.ts'
import { cleanReport } from '../../src/report/restore/clean.ts'
import { restoreExternalReport } from '../../src/report/restore/external-dump.ts'
import { restoreReport } from '../../src/report/restore/restore.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { renderTerminal } from '../../src/report/render/terminal.ts'
import { undoReport } from '../../src/report/restore/undo.ts'
import { verifyReport } from '../../src/report/verify/verify.ts'
import { input, text } from '../../src/text.ts'
import {
  backupResult,
  bareRestored,
  cleanResult,
  harmfulRehearsal,
  hostile,
  inPlaceResult,
  tablesResult,
  rehearsalResult,
  restoreResult,
  undoResult,
  unprovenResult,
  verifyResult,
} from './results.ts'
import { firstLine } from './reading.ts'

describe('every report', () => {
  const reports: [string, Report][] = [
    [
      'backup',
      backupReport(backupResult({ warnings: [hostile], label: hostile, database: hostile })),
    ],
    ['verify', verifyReport(verifyResult({ allowed: [hostile], label: hostile }))],
    ['verify, not proven', verifyReport(unprovenResult(200))],
    ['rehearsal', rehearsalReport(rehearsalResult({ command: hostile, output: hostile }))],
    ['rehearsal, harmful', rehearsalReport(harmfulRehearsal())],
    [
      'restore',
      restoreReport(restoreResult({ target: hostile, previousDatabase: `old ${hostile}` })),
    ],
    ['restore, dry run', restoreReport(restoreResult({ dryRun: true, warnings: [hostile] }))],
    ['restore of a file', restoreExternalReport(bareRestored({ warnings: [hostile] }))],
    [
      'restore of a file, dry run',
      restoreExternalReport(bareRestored({ dryRun: true, target: hostile })),
    ],
    [
      'undo',
      undoReport(
        undoResult({
          target: hostile,
          database: `old ${hostile}`,
          by: hostile,
          others: [hostile],
        }),
      ),
    ],
    [
      'clean',
      cleanReport(
        cleanResult({
          target: hostile,
          left: [{ database: hostile, until: hostile, why: hostile }],
        }),
      ),
    ],
    ['restore of tables', restoreReport(tablesResult())],
    [
      'restore of tables, replaced',
      restoreReport(
        tablesResult(
          { replace: true, schemas: [], keys: ['buys it', hostile], leftOut: [] },
          { warnings: [hostile] },
        ),
      ),
    ],
    ['restore in place', restoreReport(inPlaceResult({ target: hostile }))],
    [
      'failure',
      failureReport({
        action: 'verify',
        cancelled: false,
        code: 'x',
        message: hostile,
        hint: hostile,
        state: hostile,
      }),
    ],
  ]
  for (const [name, blocks] of reports) {
    const report = renderMarkdown(blocks)
    test(`${name}: begins with the verdict, and says what to do next before its first section`, () => {
      assert.ok(blocks[0]?.kind === 'heading' && blocks[0].level === 1)
      const toDo = blocks.findIndex(({ kind }) => kind === 'next')
      const section = blocks.findIndex((block, i) => i > 0 && block.kind === 'heading')
      if (toDo >= 0 && section >= 0) assert.ok(toDo < section, `${toDo} < ${section}`)
    })
    test(`${name}: has no key or value that is missing in a terminal`, () => {
      const shown = renderTerminal(blocks, { width: 80, colour: false })
      assert.doesNotMatch(shown, /undefined|NaN|\[object|&#|\u200b/)
      assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    })
    test(`${name}: says the verdict in its first line, and is broken by no name in it`, () => {
      assert.match(firstLine(report), /^## (✅|❌|📝|⚠️) /)
      const outside = report.replace(/^(`{3,})[\s\S]*?\n\1$/gm, '')
      assert.equal(
        outside.match(/^## /gm)?.length,
        1,
        'one heading of that rank: none came from a name',
      )
      assert.doesNotMatch(outside, /<img|<\/td|@admin/)
      assert.equal(outside.match(/<details>/g)?.length, outside.match(/<\/details>/g)?.length)
      assert.doesNotMatch(outside, /undefined|NaN|\[object/)
    })
    test(`${name}: every row has the cells of its table's head`, () => {
      let width = 0
      let previous = ''
      for (const line of report.replace(/^(`{3,})[\s\S]*?\n\1$/gm, '').split('\n')) {
        const cells = line.startsWith('|') ? line.split('|').length : 0
        if (cells && !previous.startsWith('|')) width = cells
        if (cells) assert.equal(cells, width, line)
        previous = line
      }
    })
  }
})

test('the report of a failure says what happened, what to do, and what was left as it was', () => {
  const report = renderMarkdown(
    failureReport({
      action: 'backup',
      cancelled: false,
      code: 'bad-input',
      message: text`${input('keep')} is "0".`,
      hint: text`Set ${input('keep', '7')}.`,
      page: 'docs/errors.md#bad-input',
      state: initialState('backup'),
    }),
  )
  assert.equal(firstLine(report), '## ❌ backup failed')
  assert.match(report, /\*\*`keep` is "0"\.\*\*\n\nSet `keep: 7`\./)
  assert.match(report, /Earlier backups are unchanged/)
  assert.match(report, /Error code: `bad-input`, explained in docs\/errors\.md#bad-input$/m)
  assert.match(
    renderMarkdown(
      failureReport({
        action: 'restore',
        cancelled: true,
        code: 'cancelled',
        message: '',
        hint: '',
        state: '',
      }),
    ),
    /^## ⏹️ restore: cancelled/,
  )
})

test('the report of a failure links to the code’s section, and shows flags in a terminal', () => {
  const page = 'https://github.com/acme/holdfast/blob/v1/docs/errors.md#bad-input'
  const report = failureReport({
    action: 'backup',
    cancelled: false,
    code: 'bad-input',
    message: text`${input('keep')} is "keep: 0".`,
    hint: text`Set ${input('keep', '7')}.`,
    page,
    state: initialState('backup'),
  })
  assert.ok(renderMarkdown(report).endsWith(`Error code: [\`bad-input\`](${page})\n`))
  const shown = renderTerminal(report, { width: 120, colour: false })
  assert.match(shown, /^--keep is "keep: 0"\.\n\nSet --keep 7\.$/m)
  assert.ok(shown.endsWith(`Error code: bad-input (${page})`))
})
