import type { BackupResult } from '../../../src/backup/result.ts'
import { backupReport, backupVerdict } from '../../../src/report/backup.ts'
import type { Example, Shown } from '../golden.ts'
import { backupResult, without } from '../results.ts'

const largest = [
  { table: 'public.orders', rows: 900_000, bytes: 300_000_000 },
  { table: 'public.customers', rows: 1, bytes: 90_000_000 },
]

const quiet: Partial<BackupResult> = { largest, waiters: [] }

function shown(result: BackupResult): Shown {
  return { log: [backupVerdict(result)], report: backupReport(result) }
}

function backup(changes: Partial<BackupResult> = {}): Shown {
  return shown(backupResult({ ...quiet, ...changes }))
}

const uncounted: BackupResult = {
  ...without(backupResult(quiet), 'rows'),
  largest: largest.map((each) => without(each, 'rows')),
  fingerprint: 'none',
  warnings: ['The storage has no lock on objects.'],
}

export const backupExamples: Example[] = [
  {
    name: 'backup',
    usual: backup(),
    variants: {
      'One destination, nothing removed': backup({
        locations: backupResult().locations.slice(0, 1),
        removed: [{ url: 'file:///mnt/backups', ids: [] }],
      }),
      'Not encrypted, rows counted, at the second snapshot': backup({
        recipients: 'none',
        fingerprint: 'counts',
        attempts: 2,
      }),
      'Nothing measured': shown(uncounted),
      'An empty database': backup({ rows: 0, tables: 0, largest: [] }),
      'One row in one table, larger than the database': backup({
        rows: 1,
        tables: 1,
        largest: [{ table: 'public.settings', rows: 1, bytes: 600_000_000 }],
        removed: [{ url: 'file:///mnt/backups', ids: ['20261020T031000Z-aaaa'] }],
      }),
      'Tables that grew while they were measured': backup({ databaseBytes: 389_999_999 }),
      'Statements waited': backup({
        waiters: [
          {
            kind: 'ALTER TABLE',
            table: 'public.orders',
            mode: 'ACCESS EXCLUSIVE',
            waited: 12_300,
            behind: 1234,
          },
          { mode: 'SHARE', waited: 4000, behind: 0 },
        ],
      }),
      'One statement waited': backup({
        waiters: [{ table: 'public.orders', mode: 'SHARE', waited: 3100, behind: 1 }],
      }),
    },
  },
]
