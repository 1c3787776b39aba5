import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cleanReport, cleanVerdict } from '../../src/report/restore/clean.ts'
import { restoreReport, restoreVerdict } from '../../src/report/restore/restore.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { renderTerminal } from '../../src/report/render/terminal.ts'
import { undoReport, undoVerdict } from '../../src/report/restore/undo.ts'
import type { TableResult, RestoredInPlace } from '../../src/restore/result.ts'
import { plainText } from '../../src/text.ts'
import {
  cleanResult,
  hostile,
  inPlaceResult,
  tablesResult,
  restoreResult,
  undoResult,
} from './results.ts'
import { firstLine, rows } from './reading.ts'

describe('the report of restored tables, and of a restore in place', () => {
  test('says where the tables are, what was left out, how to look and how to tidy up', () => {
    const report = renderMarkdown(restoreReport(tablesResult()))
    assert.match(
      firstLine(report),
      /Tables copied next to the live ones of `shop`; no live table was changed$/,
    )
    assert.match(report, /from 2 of 9 archives/)
    assert.match(
      report,
      new RegExp(
        /\(SELECT count\(\*\) FROM "public"\."orders"\) AS live,\n/.source +
          /\s+\(SELECT count\(\*\) /.source +
          /FROM "public_restored_20261121T031045"\."orders"\) AS restored/.source,
      ),
    )
    assert.match(report, /DROP SCHEMA "public_restored_20261121T031045" CASCADE;/)
    assert.match(
      plainText(restoreVerdict(tablesResult())),
      /into the schema public_restored_20261121T031045 of shop: /,
    )
    assert.doesNotMatch(
      renderMarkdown(restoreReport(tablesResult({ replace: true, schemas: [] }))),
      /DROP SCHEMA/,
    )
  })
  test('claims of replaced tables only what was seen', () => {
    const title = (changes: Parameters<typeof tablesResult>[0]): string =>
      firstLine(
        renderMarkdown(restoreReport(tablesResult({ replace: true, schemas: [], ...changes }))),
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
  test('the way back from replaced tables names them, schemas apart from tables', () => {
    const safetyBackup = {
      id: '20261121T031500Z-7gk823-pre-restore',
      label: 'shop',
      snapshotAt: '2026-11-21T03:15:00.000Z',
      locations: ['s3://b'],
      bytes: 5,
      took: 9,
    }
    const replaced: TableResult[] = [
      { table: 'public.orders', into: 'public.orders', how: 'replaced', rows: 3 },
    ]
    const report = renderMarkdown(
      restoreReport(
        tablesResult(
          {
            replace: true,
            schemas: [],
            asked: { tables: ['orders', '"odd schema"."T"'], schemas: ['sales'] },
            tables: replaced,
            unsaved: 2345,
          },
          { safetyBackup, mode: 'tables' },
        ),
      ),
    )
    assert.match(
      report,
      new RegExp(
        /backup: '20261121T031500Z-7gk823-pre-restore'\n/.source +
          /tables: \|\n {2}orders\n {2}"odd schema"\."T"\n/.source +
          /schemas: \|\n {2}sales\nreplace: true\nconfirm: /.source,
      ),
    )
    assert.match(
      report,
      /locked 2\.3 s after its snapshot\. Any rows written to these tables in between are lost/,
    )
    const made = renderMarkdown(
      restoreReport(
        tablesResult(
          {
            replace: true,
            schemas: [],
            tables: [{ table: 'public."My T"', into: 'x', how: 'created', rows: 1 }],
          },
          { safetyBackup, mode: 'tables' },
        ),
      ),
    )
    assert.doesNotMatch(made, /replace: true/)
    assert.match(made, /DROP TABLE "public"\."My T";/)
  })
  test('of a dry run names all that the restore itself needs', () => {
    const report = renderMarkdown(restoreReport(tablesResult({}, { dryRun: true })))
    assert.match(report, /```yaml\ndry-run: false\nconfirm: shop\n```/)
  })
  test('is a failure if the command after the restore failed', () => {
    const postCommand = { command: './check', failed: 'timed out', took: 9, output: '' }
    for (const replace of [false, true])
      assert.match(
        firstLine(renderMarkdown(restoreReport(tablesResult({ replace }, { postCommand })))),
        /^## ❌ .*but the post-command failed$/,
      )
  })
  test('of definitions only, in place, says what became of the data', () => {
    const whole = inPlaceResult()
    const inPlace = { ...(whole.inPlace as RestoredInPlace), contents: 'schema' as const }
    const report = renderMarkdown(restoreReport({ ...whole, inPlace }))
    assert.match(report, /and no rows\. The data that it had is gone\./)
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
      new RegExp(
        /is only in the safety backup\. /.source +
          /The tables were locked 12\.0 s after its snapshot\. Any rows written /.source +
          /in between are lost/.source,
      ),
    )
    assert.match(
      plainText(restoreVerdict(saved)),
      /Its previous data is only in the safety backup \S+\.$/,
    )
    assert.match(
      renderMarkdown(restoreReport(without)),
      /Anything written in the .* since is gone\./,
    )
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
  test('says how to undo it as inputs to paste, what is kept how long, and where the other data is', () => {
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
      new RegExp(
        /the 3 hours and 20 minutes since is only in `shop_before_20261121`, /.source +
          /and up to 2026-11-21 06:10:45 UTC /.source +
          /in the safety backup `20261121T061045Z-k3v9aa-pre-restore`/.source,
      ),
    )
    assert.match(report, /It is kept for 1 day \(`keep-previous`\)/)
    assert.match(
      report,
      new RegExp(
        /```yaml\nlabel: production\nbackup: '20261121T061045Z-k3v9aa-pre-restore'\n/.source +
          /environment: production\nconfirm: production\/shop\n```/.source,
      ),
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
      isolated: {
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
      new RegExp(
        /`shop_before_20261121T031045` is `shop` again\. /.source +
          /It was `shop` until \*\*2026-11-21 03:10:45 UTC\*\*, /.source +
          /when backup 1 took its place/.source,
      ),
    )
    assert.match(
      report,
      /is kept as `shop_before_20261121T041045`\. To swap it in again:\n\n```yaml\nundo: true\nconfirm: shop\n```/,
    )
    assert.match(
      plainText(undoVerdict(undoResult())),
      new RegExp(
        /^Undone: shop is again the database that it was until 2026-11-21 03:10:45 UTC\. /.source +
          /The database that was in use is kept as shop_before_20261121T041045\.$/.source,
      ),
    )
  })
  test('of a dry run shows sizes and sessions, and touches nothing', () => {
    const { previousDatabase, ...dry } = undoResult({ dryRun: true })
    assert.ok(previousDatabase)
    const report = renderMarkdown(undoReport(dry))
    assert.match(firstLine(report), /nothing was changed$/)
    assert.match(
      report,
      new RegExp(
        /- \*\*Size of `shop_before_20261121T031045`:\*\* 118 MiB\n/.source +
          /- \*\*Size of `shop`, in use:\*\* 286 MiB\n/.source +
          /- \*\*Sessions connected to it:\*\* 3\n/.source,
      ),
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
