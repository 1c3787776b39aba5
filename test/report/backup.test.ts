import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { backupReport, backupVerdict } from '../../src/report/backup.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { plainText } from '../../src/text.ts'
import { backupResult } from './results.ts'
import { firstLine } from './reading.ts'

describe('the report of a backup', () => {
  test('says what was stored, where, and up to when', () => {
    const report = renderMarkdown(backupReport(backupResult()))
    assert.equal(firstLine(report), '## ✅ Backup of `production` stored')
    assert.match(
      report,
      new RegExp(
        /\*\*1,234,567 rows in 42 tables\*\* of `shop` \(PostgreSQL 17\.11\) /.source +
          /stored in 2 places: 120 MiB each, in 12\.3 s\./.source,
      ),
    )
    assert.match(report, /Anything written since is not in this backup/)
    assert.match(report, /before \*\*2026-11-21 03:10:45 UTC\*\*/)
    assert.deepEqual(
      [...report.matchAll(/^- \*\*Location:\*\* (.*)$/gm)].map(([, location]) => location),
      backupResult().locations.map(({ location }) => `\`${location}\``),
    )
    assert.match(
      report,
      new RegExp(
        /```yaml\nstorage: 's3:\/\/backups\/db\?region=eu-central-1'\n/.source +
          /label: production\nbackup: '20261121T031045Z-k3v9'\n/.source +
          /decrypt-with: \$\{\{ secrets\.BACKUP_IDENTITY \}\}\n```/.source,
      ),
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
    assert.doesNotMatch(report, /decrypt-with/)
    assert.match(
      report,
      new RegExp(
        /\n⚠️ \*\*Warning:\*\* This backup is not encrypted \(`encrypt-to: none`\).*\n/.source +
          /\n⚠️ \*\*Warning:\*\* Second\./.source,
      ),
    )
    assert.match(report, /^- \*\*Encryption:\*\* none$/m)
    assert.match(report, /^- \*\*Snapshots taken:\*\* 3; /m)
  })
})
