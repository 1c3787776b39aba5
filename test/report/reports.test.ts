import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inputs } from '../../src/cli/commands.ts'
import { reportInFlags } from '../../src/cli/wording.ts'
import { backupReport, backupVerdict } from '../../src/report/backup.ts'
import { failureReport } from '../../src/report/failure.ts'
import { pie, timeline } from '../../src/report/markdown/mermaid.ts'
import { rehearsalReport, rehearsalVerdict } from '../../src/report/rehearsal.ts'
import { cleanReport, cleanVerdict } from '../../src/report/restore/clean.ts'
import { restoreExternalReport } from '../../src/report/restore/external-dump.ts'
import { restoreReport, restoreVerdict } from '../../src/report/restore/restore.ts'
import { undoReport, undoVerdict } from '../../src/report/restore/undo.ts'
import { statusReport } from '../../src/report/status.ts'
import { batchFailure, batchReport, batchVerdict } from '../../src/report/verify/batch.ts'
import { verifyReport, verifyVerdict } from '../../src/report/verify/verify.ts'
import type { PartTableResult, RestoredInPlace } from '../../src/restore/result.ts'
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
  const reports: [string, string][] = [
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
        undoResult({ target: hostile, database: `old ${hostile}`, by: hostile, others: [hostile] }),
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
  for (const [name, report] of reports) {
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
    const report = backupReport(backupResult())
    assert.equal(firstLine(report), '## ✅ Backup of `production` stored')
    assert.match(
      report,
      /1,234,567 rows in 42 tables of `shop` \(PostgreSQL 17\.11\) are stored in 2 places: 120 MiB each, in 12\.3 s\./,
    )
    assert.match(report, /Data written after that is not in this backup/)
    assert.match(report, /before \*\*2026-11-21 03:10:45 UTC\*\*/)
    assert.deepEqual(
      rows(report)
        .filter(([name]) => name === 'Location')
        .map((row) => row[1]),
      backupResult().locations.map(({ location }) => `\`${location}\``),
    )
    assert.match(
      report,
      /```yaml\nstorage: 's3:\/\/backups\/db\?region=eu-central-1'\nlabel: production\nbackup: '20261121T031045Z-k3v9'\n```/,
    )
    assert.match(report, /```mermaid\npie /)
    assert.match(report, /Removed by keep \(2 older backups\)/)
    assert.doesNotMatch(report, /Snapshots taken/)
    assert.equal(
      backupVerdict(backupResult()),
      'Stored backup 20261121T031045Z-k3v9 of production: 1,234,567 rows in 42 tables, 120 MiB in 2 places, 12.3 s.',
    )
  })
  test('warns, first of all, when it is not encrypted', () => {
    const report = backupReport(
      backupResult({ recipients: 'none', warnings: ['Second.'], attempts: 3 }),
    )
    assert.match(
      report,
      /> ⚠️ This backup is not encrypted \(encrypt-to: none\).*\n>\n> ⚠️ Second\./,
    )
    assert.match(report, /\| Encrypted to \| nobody \|/)
    assert.match(report, /\| Snapshots taken \| 3: /)
  })
})

describe('the report of a verification', () => {
  test('ticks the ladder to its end when proven', () => {
    const report = verifyReport(verifyResult())
    assert.match(firstLine(report), /^## ✅ Backup of `production` proven/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => mark === '✅')
        .map((row) => row[1]),
      ['stored', 'readable', 'restored', 'counted', '**identical**'],
    )
    assert.match(
      report,
      /data written after \*\*2026-11-21 03:10:45 UTC\*\* \(1 hour and 30 minutes ago/,
    )
    assert.match(verifyVerdict(verifyResult()), /^Proven: /)
  })
  test('shows the level reached, what stopped it, and every difference', () => {
    const report = verifyReport(unprovenResult())
    assert.match(firstLine(report), /^## ❌ .*not proven: do not rely on it$/)
    assert.match(report, /\*\*What stopped it:\*\* public\.orders has 899999 rows/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => /[✅❌–]/.test(mark as string))
        .map(([mark, level]) => `${mark} ${level}`),
      ['✅ stored', '✅ readable', '✅ **restored**', '❌ counted', '– identical'],
    )
    assert.match(report, /### 3 differences/)
    assert.ok(rows(report).some((row) => row.join() === 'rows,`public.orders`,900000,899999'))
    assert.match(report, /Take a new backup now/)
    assert.match(verifyVerdict(unprovenResult()), /^Not proven: .*"restored"\. public\.orders has/)
  })
  test('stops at fifty differences, and says how many more there are', () => {
    const report = verifyReport(unprovenResult(1053))
    assert.match(report, /### 1,053 differences/)
    assert.equal(rows(report).filter(([kind]) => kind === 'rows' || kind === 'schema').length, 50)
    assert.match(report, /… and 1,003 differences more\./)
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
    const report = verifyReport(
      verifyResult({
        level: 'accepted',
        checks: [{ name: 'a', passed: true, outcome: 'gave true', took: 3 }],
      }),
    )
    assert.match(firstLine(report), /proven: it restores, is identical, and passes your checks$/)
    assert.ok(rows(report).some((row) => row.slice(0, 2).join() === '✅,**accepted**'))
  })
  test('whose check failed says that the backup itself is good', () => {
    const report = verifyReport(failed)
    assert.match(firstLine(report), /a check of yours failed; the backup itself is good$/)
    assert.deepEqual(
      rows(report)
        .filter(([mark]) => /[✅❌]/.test(mark as string))
        .slice(0, 6)
        .map(([mark, level]) => `${mark} ${level}`)
        .slice(-2),
      ['✅ **identical**', '❌ accepted'],
    )
    assert.match(
      verifyVerdict(failed),
      /^A check failed: .*the backup itself is good: it is identical/,
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
      firstLine(verifyReport(result)),
      /✅ Backup of `production` readable: as far as was asked/,
    )
    assert.match(verifyReport(result), /beyond the level readable is not known/)
    assert.doesNotMatch(verifyReport(result), /restored in|❌/)
    assert.match(verifyVerdict(result), /^Good as far as was asked/)
  })
  test('that did not come as far as was asked fails, and is not called bad when nothing speaks against it', () => {
    const result = verifyResult({
      level: 'counted',
      asked: 'identical',
      proven: false,
      limit: 'Content was not measured.',
    })
    assert.match(
      verifyVerdict(result),
      /^Not proven: .*"counted"\. It was to reach "identical"\. Content was not measured\./,
    )
    assert.match(
      firstLine(verifyReport(result)),
      /^## ❌ .*counted, not identical as was asked: nothing speaks against it/,
    )
    assert.doesNotMatch(verifyReport(result), /do not rely on it/)
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
        /^Nothing speaks against the backup/.test(batchFailure(run)?.hint ?? ''),
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
    const report = batchReport(run)
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
    assert.match(report, /… and 250 backups more\./)
    assert.equal(batchFailure(run)?.code, 'not-proven')
    assert.match(batchVerdict(run), /300 checked, 298 valid/)
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
    const report = statusReport({
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
    })
    assert.match(report, /<summary>All finished backups \(60 backups\)<\/summary>/)
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
    assert.match(report, /… and 10 backups more\./)
  })
})

describe('the report of a rehearsal', () => {
  test('of a good migration is short', () => {
    const report = rehearsalReport(rehearsalResult())
    assert.equal(firstLine(report), '## ✅ Migration rehearsed on `production`: pass')
    assert.match(
      report,
      /It took \*\*850 ms\*\* on a restored copy: 1,234,567 rows before and after; schema: 1 added, 0 removed, 0 changed/,
    )
    assert.doesNotMatch(report, /finding|\*\*Next/)
  })
  test('of a harmful one says what is lost, with the remedy beside it', () => {
    const report = rehearsalReport(harmfulRehearsal())
    assert.equal(firstLine(report), '## ❌ Migration rehearsed on `production`: fail')
    const findings = rows(report).filter(([mark]) => /[❌⚠ℹ]/.test(mark as string))
    assert.deepEqual(
      findings.map((row) => row[1]),
      ['`column-dropped`', '`table-rewritten`', '`values-updated`'],
    )
    assert.deepEqual(findings[0]?.slice(2), [
      '`public.orders.total`',
      'The column held 900,000 values that are not null; they are gone.',
      'Stop reading it first, and keep a copy.',
    ])
    assert.match(report, /900,000 values or rows would be gone for good/)
    assert.match(report, /`public\.clients` \(was `public\.customers`\)/)
    assert.equal(
      rehearsalVerdict(harmfulRehearsal()),
      'The migration must not be merged: public.orders.total: The column held 900,000 values that are not null; they are gone.',
    )
  })
  test('of a command that failed or hung says so, and shows what it wrote', () => {
    const failed = rehearsalResult({ verdict: 'fail', exitCode: 3, output: 'boom\n' })
    assert.match(rehearsalReport(failed), /\*\*The command failed\*\* with exit code 3/)
    assert.match(rehearsalReport(failed), /```text\nboom\n```/)
    assert.match(rehearsalVerdict(failed), /exit code 3/)
    const hung = rehearsalResult({
      verdict: 'fail',
      exitCode: null,
      timedOut: true,
      timings: { restore: 1, migration: 5000, total: 5001 },
    })
    assert.match(
      rehearsalReport(hung),
      /did not end within its timeout and was stopped\*\* after 5\.0 s/,
    )
    assert.match(rehearsalVerdict(hung), /did not end within its timeout/)
  })
})

describe('the report of a part, and of a restore in place', () => {
  test('says where the tables are, what was left out, how to look and how to tidy up', () => {
    const report = restoreReport(partResult())
    assert.match(
      firstLine(report),
      /Copied beside the live tables of `shop`; nothing there was touched/,
    )
    assert.match(report, /from 2 of 9 archives/)
    assert.match(
      report,
      /\(SELECT count\(\*\) FROM "public"\."orders"\) AS live, \(SELECT count\(\*\) FROM "public_restored_20261121T031045"\."orders"\) AS restored/,
    )
    assert.match(report, /DROP SCHEMA "public_restored_20261121T031045" CASCADE;/)
    assert.match(
      restoreVerdict(partResult()),
      /into the schema public_restored_20261121T031045 of shop: /,
    )
    assert.doesNotMatch(restoreReport(partResult({ replace: true, schemas: [] })), /DROP SCHEMA/)
  })
  test('claims of a part that was replaced only what was seen', () => {
    const title = (changes: Parameters<typeof partResult>[0]): string =>
      firstLine(restoreReport(partResult({ replace: true, schemas: [], ...changes })))
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
    const report = restoreReport(
      partResult(
        {
          replace: true,
          schemas: [],
          asked: { tables: ['orders', '"odd schema"."T"'], schemas: ['sales'] },
          tables: replaced,
          unsaved: 2345,
        },
        { safetyBackup, mode: 'tables' },
      ),
    )
    assert.match(
      report,
      /backup: '20261121T031500Z-7gk823-pre-restore'\ntables: \|\n {2}orders\n {2}"odd schema"\."T"\nschemas: \|\n {2}sales\nreplace: true\nconfirm: /,
    )
    assert.match(report, /in the 2\.3 s between its snapshot/)
    const made = restoreReport(
      partResult(
        {
          replace: true,
          schemas: [],
          tables: [{ table: 'public."My T"', into: 'x', how: 'created', rows: 1 }],
        },
        { safetyBackup, mode: 'tables' },
      ),
    )
    assert.doesNotMatch(made, /replace: true/)
    assert.match(made, /DROP TABLE "public"\."My T";/)
  })
  test('says that nothing is kept after a restore in place', () => {
    const report = restoreReport(inPlaceResult())
    assert.match(report, /There is no previous database to swap back to/)
    assert.match(report, /could not be used for about 25\.2 s/)
    assert.match(restoreReport(inPlaceResult({ dryRun: true })), /Nothing was touched/)
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
      restoreReport(saved),
      /in the safety backup alone\. Rows written in the 12\.0 s between its snapshot and the locks are in neither/,
    )
    assert.match(restoreVerdict(saved), /What it held before is in the safety backup \S+ only\.$/)
    assert.match(restoreReport(without), /\(the [^)]*since\) is gone\./)
    assert.match(restoreVerdict(without), /What it held before is gone\.$/)
  })
  test('says of a restore in place what was compared, and no more', () => {
    const titleOf = (changes: Partial<RestoredInPlace>): string => {
      const whole = inPlaceResult()
      return firstLine(
        restoreReport({ ...whole, inPlace: { ...(whole.inPlace as RestoredInPlace), ...changes } }),
      )
    }
    assert.match(
      titleOf({}),
      /✅ .* compared and committed; 1 definition otherwise than in the backup/,
    )
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
    const report = restoreReport(restoreResult())
    assert.equal(firstLine(report), '## ✅ `shop` restored, compared and swapped in')
    assert.match(report, /`shop` was away for 35 ms; 3 sessions had to be ended/)
    assert.match(report, /is only in `shop_before_20261121`/)
    assert.match(
      report,
      /ALTER DATABASE "shop" RENAME TO "shop_restored";\nALTER DATABASE "shop_before_20261121" RENAME TO "shop";/,
    )
    assert.match(restoreVerdict(restoreResult()), /kept as shop_before_20261121\.$/)
  })
  test('quotes names in its SQL', () => {
    assert.match(
      restoreReport(restoreResult({ previousDatabase: 'a"; DROP DATABASE x' })),
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
    const report = restoreReport(
      restoreResult({
        safetyBackup,
        environmentName: 'production',
        confirm: 'production/shop',
        keepPrevious: 86_400_000,
      }),
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
    assert.match(restoreReport(restoreResult()), /It is kept until somebody drops it/)
    const flags = reportInFlags(
      report,
      inputs.map(({ name }) => name),
    )
    assert.match(flags, /```sh\n--undo --environment production --confirm production\/shop\n```/)
    assert.match(flags, /or `--clean`\./)
  })
  test('says that it is done although the command after it failed, and that it took too long', () => {
    const report = restoreReport(
      restoreResult({
        postCommand: {
          command: './start-app',
          failed: 'ended with exit code 3',
          took: 40,
          output: 'no ```',
        },
        objective: { limit: 20_000, took: 26_000, held: false },
      }),
    )
    assert.equal(firstLine(report), '## ❌ `shop` is restored, but the post-command failed')
    assert.match(
      report,
      /\*\*The post-command ended with exit code 3\.\*\* The restore itself is done/,
    )
    assert.match(report, /⚠️ The restore took 26\.0 s, longer than the 20\.0 s of max-restore-time/)
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
    const report = restoreReport(fresh)
    assert.equal(firstLine(report), '## ✅ `staging` made from a backup, and compared')
    assert.match(report, /differs from the backup by what that did/)
    assert.match(report, /```sql\nALTER EVENT TRIGGER "acts" ENABLE ALWAYS;\n```/)
    assert.doesNotMatch(report, /undo|was away/)
  })
  test('of a dry run touches nothing, and offers no undo', () => {
    const dry = restoreResult({ dryRun: true, plan: [{ step: 'Make a database', done: false }] })
    delete dry.previousDatabase
    const report = restoreReport(dry)
    assert.match(firstLine(report), /Nothing was touched$/)
    assert.match(report, /\| ▢ \| Make a database \|/)
    assert.match(report, /`dry-run: false` and `confirm: shop`/)
    assert.doesNotMatch(report, /undo|DROP DATABASE/)
    assert.match(restoreVerdict(dry), /^Dry run: nothing was touched/)
  })
})

describe('the report of an undo', () => {
  test('says from when the database is, where the other one is now, and how to go forth again', () => {
    const report = undoReport(undoResult())
    assert.equal(firstLine(report), '## ✅ `shop` is swapped back')
    assert.match(
      report,
      /`shop_before_20261121T031045` is `shop` again\. It was `shop` until \*\*2026-11-21 03:10:45 UTC\*\*, when backup 1 took its place/,
    )
    assert.match(
      report,
      /is kept as `shop_before_20261121T041045`\. To have it back, undo this undo:\n\n```yaml\nundo: true\nconfirm: shop\n```/,
    )
    assert.match(
      undoVerdict(undoResult()),
      /^Undone: shop is the database again that it was until 2026-11-21 03:10:45 UTC\. The one that was in use is kept as shop_before_20261121T041045\.$/,
    )
  })
  test('of a dry run shows sizes and sessions, and touches nothing', () => {
    const { previousDatabase, ...dry } = undoResult({ dryRun: true })
    assert.ok(previousDatabase)
    const report = undoReport(dry)
    assert.match(firstLine(report), /Nothing was touched$/)
    assert.match(
      report,
      /\| Size of `shop_before_20261121T031045` \| 118 MiB \|\n\| Size of `shop`, in use \| 286 MiB \|\n\| Sessions connected to it \| 3 \|/,
    )
    assert.match(report, /`dry-run: false` and `confirm: shop`/)
  })
})

test('the report of a clean says what was dropped, what was left and why, with sizes', () => {
  const report = cleanReport(cleanResult())
  assert.deepEqual(
    rows(report)
      .slice(2)
      .map((row) => row.slice(0, 4)),
    [
      ['`shop_before_1`', '2026-11-19 03:10:45 UTC', '12 MiB', '**dropped**'],
      [
        '`shop_before_2`',
        '2026-11-19 04:10:45 UTC',
        'not known',
        'left: 1 session is connected to it',
      ],
      ['`shop_before_3`', '2026-11-21 03:10:45 UTC', '1.0 MiB', 'kept: not old enough'],
    ],
  )
  assert.match(
    cleanVerdict(cleanResult()),
    /^1 database that shop replaced was dropped \(12 MiB\); 1 left, though old enough; 1 not old enough\.$/,
  )
  assert.match(cleanReport(cleanResult({ dryRun: true })), /would be dropped/)
  assert.match(cleanVerdict(cleanResult({ dryRun: true })), /^Dry run: nothing was touched/)
})

test('the report of a failure says what happened, what to do, and what was left as it was', () => {
  const report = failureReport({
    action: 'backup',
    cancelled: false,
    code: 'bad-input',
    message: 'The input keep is "0".',
    hint: 'Write keep: 7.',
  })
  assert.equal(firstLine(report), '## ❌ backup failed')
  assert.match(report, /\*\*The input keep is "0"\.\*\*\n\nWrite keep: 7\./)
  assert.match(report, /Earlier backups are as they were/)
  assert.match(report, /Error code: `bad-input`/)
  assert.match(
    failureReport({ action: 'restore', cancelled: true, code: 'cancelled', message: '', hint: '' }),
    /^## ⏹️ restore: cancelled/,
  )
})

describe('a diagram', () => {
  test('holds only harmless characters in its labels', () => {
    const drawn =
      pie('x', [
        { name: 'a"b;c:d<br/>%%{init}', value: 5 },
        { name: 'end', value: 5 },
      ])?.markdown ?? ''
    assert.match(drawn, /\n {2}"a_b_c_d_br\/____init_" : 5\n {2}"_end" : 5\n/)
  })
  test('is left out when there is nothing to compare, or too much to draw', () => {
    assert.equal(
      pie('x', [
        { name: 'a', value: 5 },
        { name: 'b', value: 0 },
      ]),
      undefined,
    )
    assert.equal(timeline('x', [{ name: 'a', milliseconds: 5 }]), undefined)
    assert.equal(
      timeline(
        'x',
        Array.from({ length: 3000 }, (_, i) => ({ name: `a step ${i}`, milliseconds: 5 })),
      ),
      undefined,
    )
  })
})
