import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { backupReport, backupVerdict } from '../../src/report/backup.ts'
import { failureReport } from '../../src/report/failure.ts'
import {
  callout,
  type ChartPart,
  codeBlock,
  details,
  facts,
  list,
  mapReport,
  next,
  paragraph,
  pie,
  type Report,
  settings,
  steps,
  table,
  timeline,
} from '../../src/report/blocks.ts'
import { rehearsalReport, rehearsalVerdict } from '../../src/report/rehearsal.ts'
import { cleanReport, cleanVerdict } from '../../src/report/restore/clean.ts'
import { restoreExternalReport } from '../../src/report/restore/external-dump.ts'
import { restoreReport, restoreVerdict } from '../../src/report/restore/restore.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { renderTerminal } from '../../src/report/render/terminal.ts'
import { undoReport, undoVerdict } from '../../src/report/restore/undo.ts'
import { statusReport } from '../../src/report/status.ts'
import { batchFailure, batchReport, batchVerdict } from '../../src/report/verify/batch.ts'
import { verifyReport, verifyVerdict } from '../../src/report/verify/verify.ts'
import type { PartTableResult, RestoredInPlace } from '../../src/restore/result.ts'
import { code, either, input, link, plainText, strong, type Text, text } from '../../src/text.ts'
import type { VerifyBatch } from '../../src/verify/batch.ts'
import {
  backupResult,
  bareRestored,
  cleanResult,
  harmfulRehearsal,
  hostile,
  inPlaceResult,
  partResult,
  rehearsalResult,
  restoreResult,
  undoResult,
  unprovenResult,
  verifyResult,
} from './results.ts'

const firstLine = (report: string): string => report.split('\n')[0] as string
/** The rows of all tables, cell by cell, outside of fences. */
function rows(report: string): string[][] {
  const lines = report.replace(/^(`{3,})[\s\S]*?\n\1$/gm, '').split('\n')
  return lines
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
}

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
    ['restore of a part', restoreReport(partResult())],
    [
      'restore of a part, replaced',
      restoreReport(
        partResult(
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

describe('the report of a backup', () => {
  test('says what was stored, where, and up to when', () => {
    const report = renderMarkdown(backupReport(backupResult()))
    assert.equal(firstLine(report), '## ✅ Backup of `production` stored')
    assert.match(
      report,
      /\*\*1,234,567 rows in 42 tables\*\* of `shop` \(PostgreSQL 17\.11\) are stored in 2 places: 120 MiB each, in 12\.3 s\./,
    )
    assert.match(report, /Data written after that is not in this backup/)
    assert.match(report, /before \*\*2026-11-21 03:10:45 UTC\*\*/)
    assert.deepEqual(
      [...report.matchAll(/^- \*\*Location:\*\* (.*)$/gm)].map(([, location]) => location),
      backupResult().locations.map(({ location }) => `\`${location}\``),
    )
    assert.match(
      report,
      /```yaml\nstorage: 's3:\/\/backups\/db\?region=eu-central-1'\nlabel: production\nbackup: '20261121T031045Z-k3v9'\n```/,
    )
    assert.match(report, /```mermaid\npie /)
    assert.match(report, /<summary>Removed by keep \(2 older backups\)/)
    assert.doesNotMatch(report, /Snapshots taken/)
    assert.equal(
      plainText(backupVerdict(backupResult())),
      'Stored backup 20261121T031045Z-k3v9 of production: 1,234,567 rows in 42 tables, 120 MiB in 2 places, 12.3 s.',
    )
  })
  test('warns, first of all, when it is not encrypted', () => {
    const report = renderMarkdown(
      backupReport(backupResult({ recipients: 'none', warnings: ['Second.'], attempts: 3 })),
    )
    assert.match(
      report,
      /\n⚠️ \*\*Warning:\*\* This backup is not encrypted \(`encrypt-to: none`\).*\n\n⚠️ \*\*Warning:\*\* Second\./,
    )
    assert.match(report, /^- \*\*Encryption:\*\* none$/m)
    assert.match(report, /^- \*\*Snapshots taken:\*\* 3; /m)
  })
})

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

describe('the report of status', () => {
  test('lists all ids, folded, and as many as are read', () => {
    const all = Array.from({ length: 60 }, (_, i) => ({
      id: `20261121T0310${i % 60}Z-k3v9`,
      snapshotAt: '2026-11-21T03:10:45Z',
      bytes: 2048,
      kind: 'backup' as const,
      ...(i === 0
        ? { level: 'accepted' as const, provenAt: '2026-11-21T05:00:00.000Z' }
        : i === 1
          ? { level: 'stored' as const }
          : {}),
    }))
    const report = renderMarkdown(
      statusReport({
        sources: ['file:///x'],
        warnings: [],
        labels: [
          {
            label: 'production',
            backups: 60,
            bytes: 60 * 2048,
            all,
            unproven: [],
            limited: [],
            failed: [],
            damaged: [],
            unfinished: [],
            preRestore: [],
          },
        ],
      }),
    )
    assert.match(report, /<summary>All finished backups \(60\)<\/summary>/)
    const listed = rows(report).filter(([id]) => /^`2026/.test(id as string))
    assert.equal(listed.length, 50)
    assert.deepEqual(
      listed.slice(0, 3).map((row) => row.slice(2)),
      [
        ['2.0 KiB', '✅ accepted, 2026-11-21 05:00:00 UTC', 'backup'],
        ['2.0 KiB', 'stored', 'backup'],
        ['2.0 KiB', 'never verified', 'backup'],
      ],
    )
    assert.match(report, /… and 10 more backups\./)
  })
})

describe('the report of a rehearsal', () => {
  test('of a good migration is short', () => {
    const report = renderMarkdown(rehearsalReport(rehearsalResult()))
    assert.equal(firstLine(report), '## ✅ Migration passed on a copy of `production`')
    assert.match(
      report,
      /It took \*\*850 ms\*\* on a restored copy: 1,234,567 rows before and after; schema: 1 added, 0 removed, 0 changed/,
    )
    assert.doesNotMatch(report, /finding|\*\*Next/)
  })
  test('of a harmful one says what is lost, with the remedy beside it', () => {
    const report = renderMarkdown(rehearsalReport(harmfulRehearsal()))
    assert.equal(firstLine(report), '## ❌ Migration failed on a copy of `production`')
    assert.deepEqual(
      [...report.matchAll(/^- (\S+) \S.* \(`([\w-]+)`\): /gm)].map(
        ([, mark, word]) => `${mark} ${word}`,
      ),
      ['❌ column-dropped', '⚠️ table-rewritten', 'ℹ️ values-updated'],
    )
    assert.match(
      report,
      /^- ❌ `public\.orders\.total` \(`column-dropped`\): \*\*The column held 900,000 values that are not null; they are gone\.\*\* Stop reading it first, and keep a copy\.$/m,
    )
    assert.match(report, /would delete \*\*900,000 values or rows\*\* for good/)
    assert.match(report, /`public\.clients` \(was `public\.customers`\)/)
    assert.equal(
      plainText(rehearsalVerdict(harmfulRehearsal())),
      'The migration must not be merged: public.orders.total: The column held 900,000 values that are not null; they are gone.',
    )
  })
  test('of a command that failed or hung says so, and shows what it wrote', () => {
    const failed = rehearsalResult({ verdict: 'fail', exitCode: 3, output: 'boom\n' })
    assert.match(
      renderMarkdown(rehearsalReport(failed)),
      /\*\*The command failed\*\* with exit code 3/,
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

describe('the report of a part, and of a restore in place', () => {
  test('says where the tables are, what was left out, how to look and how to tidy up', () => {
    const report = renderMarkdown(restoreReport(partResult()))
    assert.match(
      firstLine(report),
      /Tables copied next to the live ones of `shop`; no live table was changed$/,
    )
    assert.match(report, /from 2 of 9 archives/)
    assert.match(
      report,
      /\(SELECT count\(\*\) FROM "public"\."orders"\) AS live,\n\s+\(SELECT count\(\*\) FROM "public_restored_20261121T031045"\."orders"\) AS restored/,
    )
    assert.match(report, /DROP SCHEMA "public_restored_20261121T031045" CASCADE;/)
    assert.match(
      plainText(restoreVerdict(partResult())),
      /into the schema public_restored_20261121T031045 of shop: /,
    )
    assert.doesNotMatch(
      renderMarkdown(restoreReport(partResult({ replace: true, schemas: [] }))),
      /DROP SCHEMA/,
    )
  })
  test('claims of a part that was replaced only what was seen', () => {
    const title = (changes: Parameters<typeof partResult>[0]): string =>
      firstLine(
        renderMarkdown(restoreReport(partResult({ replace: true, schemas: [], ...changes }))),
      )
    assert.equal(
      title({ keys: ['buys it'] }),
      '## ✅ Tables of `shop` replaced, foreign keys checked, compared with the backup',
    )
    assert.equal(
      title({ fingerprint: 'counts' }),
      '## ✅ Tables of `shop` replaced, rows counted as in the backup',
    )
    assert.equal(title({ fingerprint: 'none' }), '## ✅ Tables of `shop` replaced')
  })
  test('the way back from a part names that part, schemas apart from tables', () => {
    const safetyBackup = {
      id: '20261121T031500Z-7gk823-pre-restore',
      label: 'shop',
      snapshotAt: '2026-11-21T03:15:00.000Z',
      locations: ['s3://b'],
      bytes: 5,
      took: 9,
    }
    const replaced: PartTableResult[] = [
      { table: 'public.orders', into: 'public.orders', how: 'replaced', rows: 3 },
    ]
    const report = renderMarkdown(
      restoreReport(
        partResult(
          {
            replace: true,
            schemas: [],
            asked: { tables: ['orders', '"odd schema"."T"'], schemas: ['sales'] },
            tables: replaced,
            unsaved: 2345,
          },
          { safetyBackup, mode: 'part' },
        ),
      ),
    )
    assert.match(
      report,
      /backup: '20261121T031500Z-7gk823-pre-restore'\ntables: \|\n {2}orders\n {2}"odd schema"\."T"\nschemas: \|\n {2}sales\nreplace: true\nconfirm: /,
    )
    assert.match(report, /in the 2\.3 s between its snapshot and the lock are lost/)
    const made = renderMarkdown(
      restoreReport(
        partResult(
          {
            replace: true,
            schemas: [],
            tables: [{ table: 'public."My T"', into: 'x', how: 'created', rows: 1 }],
          },
          { safetyBackup, mode: 'part' },
        ),
      ),
    )
    assert.doesNotMatch(made, /replace: true/)
    assert.match(made, /DROP TABLE "public"\."My T";/)
  })
  test('says that nothing is kept after a restore in place', () => {
    const report = renderMarkdown(restoreReport(inPlaceResult()))
    assert.match(report, /There is no previous database to swap back to/)
    assert.match(report, /unavailable for about \*\*25\.2 s\*\*/)
    assert.match(
      renderMarkdown(restoreReport(inPlaceResult({ dryRun: true }))),
      /nothing was changed/,
    )
    const { safetyBackup: made, ...without } = inPlaceResult()
    const saved = {
      ...without,
      safetyBackup: {
        id: 'x-pre-restore',
        label: 'l',
        snapshotAt: '2026-11-21T03:00:00.000Z',
        locations: ['here'],
        bytes: 1,
        took: 2,
        ...made,
      },
    }
    assert.match(
      renderMarkdown(restoreReport(saved)),
      /is only in the safety backup\. Rows written in the 12\.0 s between its snapshot and the locks are lost: they are in neither/,
    )
    assert.match(
      plainText(restoreVerdict(saved)),
      /Its previous data is only in the safety backup \S+\.$/,
    )
    assert.match(renderMarkdown(restoreReport(without)), /\(the [^)]*since\) is gone\./)
    assert.match(plainText(restoreVerdict(without)), /Its previous data is gone\.$/)
  })
  test('says of a restore in place what was compared, and no more', () => {
    const titleOf = (changes: Partial<RestoredInPlace>): string => {
      const whole = inPlaceResult()
      return firstLine(
        renderMarkdown(
          restoreReport({
            ...whole,
            inPlace: { ...(whole.inPlace as RestoredInPlace), ...changes },
          }),
        ),
      )
    }
    assert.match(titleOf({}), /✅ .* compared and committed; 1 definition differs from the backup/)
    assert.match(titleOf({ differences: [] }), /✅ .* restored in place, compared and committed$/)
    assert.match(
      titleOf({ differences: [], compared: 'counts' }),
      /✅ .* rows counted and committed$/,
    )
    assert.match(titleOf({ differences: [], compared: 'none' }), /✅ .* rows not compared$/)
    assert.match(titleOf({ differences: [], contents: 'schema' }), /✅ .* definitions only$/)
  })
})

describe('the report of a restore', () => {
  test('says how long the target was away, where the old database is, and how to go back', () => {
    const report = renderMarkdown(restoreReport(restoreResult()))
    assert.equal(firstLine(report), '## ✅ `shop` restored, compared and swapped in')
    assert.match(report, /`shop` was unavailable for \*\*35 ms\*\*; 3 sessions were ended/)
    assert.match(report, /is only in `shop_before_20261121`/)
    assert.match(
      report,
      /ALTER DATABASE "shop" RENAME TO "shop_restored";\nALTER DATABASE "shop_before_20261121" RENAME TO "shop";/,
    )
    assert.match(plainText(restoreVerdict(restoreResult())), /kept as shop_before_20261121\.$/)
  })
  test('quotes names in its SQL', () => {
    assert.match(
      renderMarkdown(restoreReport(restoreResult({ previousDatabase: 'a"; DROP DATABASE x' }))),
      /DROP DATABASE "a""; DROP DATABASE x";/,
    )
  })
  test('says how to undo it as inputs to paste, what is kept and for how long, and where the rest of the data is', () => {
    const safetyBackup = {
      id: '20261121T061045Z-k3v9aa-pre-restore',
      label: 'production',
      snapshotAt: '2026-11-21T06:10:45.123Z',
      locations: ['file:///mnt/backups/x'],
      bytes: 1_234_567,
      took: 12_000,
    }
    const report = renderMarkdown(
      restoreReport(
        restoreResult({
          safetyBackup,
          environmentName: 'production',
          confirm: 'production/shop',
          keepPrevious: 86_400_000,
        }),
      ),
    )
    assert.match(
      report,
      /```yaml\nundo: true\nenvironment: production\nconfirm: production\/shop\n```/,
    )
    assert.match(
      report,
      /the 3 hours and 20 minutes since\) is only in `shop_before_20261121`, and up to 2026-11-21 06:10:45 UTC in the safety backup `20261121T061045Z-k3v9aa-pre-restore`/,
    )
    assert.match(report, /It is kept for 1 day \(`keep-previous`\)/)
    assert.match(
      report,
      /```yaml\nlabel: production\nbackup: '20261121T061045Z-k3v9aa-pre-restore'\nenvironment: production\nconfirm: production\/shop\n```/,
    )
    assert.match(renderMarkdown(restoreReport(restoreResult())), /It is kept until you drop it/)
    const flags = renderTerminal(
      restoreReport(
        restoreResult({
          safetyBackup,
          environmentName: 'production',
          confirm: 'production/shop',
          keepPrevious: 86_400_000,
        }),
      ),
      { width: 100, colour: false },
    )
    assert.match(flags, /^ {2}│ --undo --environment production --confirm production\/shop$/m)
    assert.match(flags, /or --clean\./)
    assert.doesNotMatch(flags, /undo: true|confirm: /)
  })
  test('says that it is done although the command after it failed, and that it took too long', () => {
    const report = renderMarkdown(
      restoreReport(
        restoreResult({
          postCommand: {
            command: './start-app',
            failed: 'ended with exit code 3',
            took: 40,
            output: 'no ```',
          },
          objective: { limit: 20_000, took: 26_000, held: false },
        }),
      ),
    )
    assert.equal(firstLine(report), '## ❌ `shop` is restored, but the post-command failed')
    assert.match(
      report,
      /\*\*The post-command ended with exit code 3\.\*\* The restore itself is complete/,
    )
    assert.match(
      report,
      /⚠️ \*\*Warning:\*\* The restore took 26\.0 s, longer than the 20\.0 s of `max-restore-time`/,
    )
    assert.match(report, /undo: true/)
  })
  test('of a new database says what prepare and its own quiet mean, with the SQL that takes the latter back', () => {
    const fresh = restoreResult({
      mode: 'new',
      target: 'staging',
      prepared: true,
      cut: {
        ties: [`the user mappings of the foreign server ${hostile}`],
        triggers: ['ALTER EVENT TRIGGER "acts" ENABLE ALWAYS;'],
      },
    })
    delete fresh.previousDatabase
    const report = renderMarkdown(restoreReport(fresh))
    assert.equal(firstLine(report), '## ✅ `staging` created from a backup and compared')
    assert.match(report, /differs from the backup by what that SQL changed/)
    assert.match(report, /```sql\nALTER EVENT TRIGGER "acts" ENABLE ALWAYS;\n```/)
    assert.doesNotMatch(report, /undo|unavailable/)
  })
  test('of a dry run touches nothing, and offers no undo', () => {
    const dry = restoreResult({ dryRun: true, plan: [{ step: 'Make a database', done: false }] })
    delete dry.previousDatabase
    const report = renderMarkdown(restoreReport(dry))
    assert.match(firstLine(report), /nothing was changed$/)
    assert.match(report, /^1\. Make a database$/m)
    assert.match(report, /\*\*Next:\*\* .*\n\n```yaml\ndry-run: false\nconfirm: shop\n```/)
    assert.doesNotMatch(report, /undo|DROP DATABASE/)
    assert.match(plainText(restoreVerdict(dry)), /^Dry run: nothing was changed/)
  })
})

describe('the report of an undo', () => {
  test('says from when the database is, where the other one is now, and how to go forth again', () => {
    const report = renderMarkdown(undoReport(undoResult()))
    assert.equal(firstLine(report), '## ✅ `shop` is swapped back')
    assert.match(
      report,
      /`shop_before_20261121T031045` is `shop` again\. It was `shop` until \*\*2026-11-21 03:10:45 UTC\*\*, when backup 1 took its place/,
    )
    assert.match(
      report,
      /is kept as `shop_before_20261121T041045`\. To swap it in again:\n\n```yaml\nundo: true\nconfirm: shop\n```/,
    )
    assert.match(
      plainText(undoVerdict(undoResult())),
      /^Undone: shop is again the database that it was until 2026-11-21 03:10:45 UTC\. The database that was in use is kept as shop_before_20261121T041045\.$/,
    )
  })
  test('of a dry run shows sizes and sessions, and touches nothing', () => {
    const { previousDatabase, ...dry } = undoResult({ dryRun: true })
    assert.ok(previousDatabase)
    const report = renderMarkdown(undoReport(dry))
    assert.match(firstLine(report), /nothing was changed$/)
    assert.match(
      report,
      /- \*\*Size of `shop_before_20261121T031045`:\*\* 118 MiB\n- \*\*Size of `shop`, in use:\*\* 286 MiB\n- \*\*Sessions connected to it:\*\* 3\n/,
    )
    assert.match(report, /\*\*Next:\*\* .*\n\n```yaml\ndry-run: false\nconfirm: shop\n```/)
  })
})

test('the report of a clean says what was dropped, what was left and why, with sizes', () => {
  const report = renderMarkdown(cleanReport(cleanResult()))
  assert.deepEqual(
    rows(report)
      .slice(2)
      .map((row) => row.slice(0, 4)),
    [
      ['`shop_before_1`', '**dropped**', '12 MiB', '2026-11-19 03:10:45 UTC'],
      [
        '`shop_before_2`',
        'skipped: 1 session is connected to it',
        'unknown',
        '2026-11-19 04:10:45 UTC',
      ],
      ['`shop_before_3`', 'kept: not old enough', '1.0 MiB', '2026-11-21 03:10:45 UTC'],
    ],
  )
  assert.match(
    plainText(cleanVerdict(cleanResult())),
    /^Dropped 1 previous database of shop \(12 MiB\); 1 skipped, though old enough; 1 not old enough\.$/,
  )
  assert.match(renderMarkdown(cleanReport(cleanResult({ dryRun: true }))), /would be dropped/)
  assert.match(
    plainText(cleanVerdict(cleanResult({ dryRun: true }))),
    /^Dry run: nothing was changed/,
  )
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
  })
  assert.ok(renderMarkdown(report).endsWith(`Error code: [\`bad-input\`](${page})\n`))
  const shown = renderTerminal(report, { width: 120, colour: false })
  assert.match(shown, /^--keep is "keep: 0"\.\n\nSet --keep 7\.$/m)
  assert.ok(shown.endsWith(`Error code: bad-input (${page})`))
})

describe('a diagram', () => {
  const part = (name: string, value = 5): ChartPart => ({ name, value })
  test('holds only harmless characters in its labels', () => {
    const drawn = pie('x', [part('a"b;c:d<br/>%%{init}'), part('end')])
    assert.ok(drawn)
    assert.match(renderMarkdown([drawn]), /\n {2}"a_b_c_d_br\/____init_" : 5\n {2}"_end" : 5\n/)
  })
  test('is left out when there is nothing to compare, or too much to draw', () => {
    assert.equal(pie('x', [part('a'), part('b', 0)]), undefined)
    assert.equal(timeline('x', [{ name: 'a', milliseconds: 5 }]), undefined)
    const steps = Array.from({ length: 3000 }, (_, i) => ({ name: `a step ${i}`, milliseconds: 5 }))
    const drawn = timeline('x', steps)
    assert.ok(drawn)
    assert.equal(renderMarkdown([drawn]).trim(), '')
  })
  test('of shares counts those below a hundredth as one', () => {
    const drawn = pie('x', [part('a', 500), part('b', 500), part('c', 3), part('d', 4)])
    assert.deepEqual(drawn?.parts, [part('a', 500), part('b', 500), part('the rest', 7)])
  })
})

test('mapping a report reaches every text of every block, and no other word of it', () => {
  const styled = text`secret ${code('secret')} ${strong('secret')} ${link('secret', 'https://secret')} ${input('keep', 'secret')} ${either('secret', 'secret')}`
  const report: Report = [
    { kind: 'heading', level: 1, mark: 'fail', text: styled },
    ...blocksWith(styled),
  ]
  const mapped = mapReport(report, (raw) => raw.replaceAll('secret', '***'))
  assert.doesNotMatch(JSON.stringify(mapped), /secret/)
  const words = (all: Report): string => JSON.stringify(all).replaceAll('secret', '***')
  assert.equal(JSON.stringify(mapped), words(report))
  // a secret that is one of our own words changes no block
  const kinds = mapReport(report, (raw) => raw.replaceAll('heading', '***')).map(({ kind }) => kind)
  assert.deepEqual(
    kinds,
    report.map(({ kind }) => kind),
  )
})

function blocksWith(styled: Text): Report {
  return [
    paragraph(styled),
    facts([[styled, styled]]),
    table([styled], [[styled]]),
    list([styled]),
    steps([{ step: styled, done: true }]),
    codeBlock('secret', 'text'),
    settings([
      ['label', 'secret'],
      ['tables', ['secret']],
    ]),
    details(styled, paragraph(styled)),
    callout('warning', styled),
    next(styled, list([styled])),
    {
      kind: 'chart',
      shape: 'pie',
      title: 'secret',
      unit: 'bytes',
      parts: [{ name: 'secret', value: 1 }],
    },
  ]
}
