import type { BackupResult } from '../../src/backup/backup.ts'
import type { RehearsalResult } from '../../src/rehearsal/rehearse.ts'
import type { CleanResult } from '../../src/restore/clean.ts'
import type { RestoredTables, RestoreResult } from '../../src/restore/result.ts'
import type { RestoreExternalResult } from '../../src/restore/swap/external-dump.ts'
import type { UndoResult } from '../../src/restore/undo.ts'
import type { VerifyResult } from '../../src/verify/result.ts'

/**
 * Results as the core gives them, made by hand, with names and messages that are out to break a
 * report.
 */
export const hostile = 'we|ird `name` </td></details> <img src=x> @admin #12\n## not a heading'

/** The same result without some of its keys. */
export function without<T extends object, K extends keyof T>(whole: T, ...keys: K[]): Omit<T, K> {
  const kept = { ...whole }
  for (const key of keys) delete kept[key]
  return kept
}

export function backupResult(changes: Partial<BackupResult> = {}): BackupResult {
  return {
    id: '20261121T031045Z-k3v9',
    label: 'production',
    database: 'shop',
    server: '17.11',
    snapshotAt: '2026-11-21T03:10:45.123Z',
    locations: [
      {
        url: 's3://backups/db?region=eu-central-1',
        location: 's3://backups/db/production/20261121T031045Z-k3v9',
      },
      {
        url: 'file:///mnt/backups',
        location: 'file:///mnt/backups/production/20261121T031045Z-k3v9',
      },
    ],
    objects: [
      { name: 'base.dump.age', bytes: 125_829_120 },
      { name: 'RECOVER.md', bytes: 2048 },
    ],
    bytes: 125_831_168,
    rows: 1_234_567,
    archives: 3,
    fingerprint: 'content',
    tables: 42,
    largest: [
      { table: 'public.orders', rows: 900_000, bytes: 300_000_000 },
      { table: hostile, rows: 1, bytes: 90_000_000 },
    ],
    databaseBytes: 500_000_000,
    recipients: ['age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq'],
    attempts: 1,
    timings: { dump: 11_000, fingerprint: 9000, total: 12_345 },
    waiters: [
      { kind: 'ALTER TABLE', table: hostile, mode: 'ACCESS EXCLUSIVE', waited: 12_300, behind: 4 },
    ],
    removed: [
      { url: 'file:///mnt/backups', ids: ['20261020T031000Z-aaaa', '20261021T031000Z-bbbb'] },
    ],
    warnings: [],
    ...changes,
  }
}

export function verifyResult(changes: Partial<VerifyResult> = {}): VerifyResult {
  return {
    id: '20261121T031045Z-k3v9',
    label: 'production',
    location: 's3://backups/db/production/20261121T031045Z-k3v9',
    proven: true,
    level: 'identical',
    differences: [],
    checks: [],
    objectives: [],
    fallen: [],
    snapshotAt: '2026-11-21T03:10:45.123Z',
    age: 5_400_000,
    server: { backup: '17.11', scratch: '17.11', own: true },
    bytes: 125_831_168,
    rows: 1_234_567,
    tables: 42,
    timings: { restore: 21_000, compare: 4200, total: 28_000 },
    allowed: [],
    warnings: [],
    ...changes,
  }
}

export function unprovenResult(count = 3): VerifyResult {
  return verifyResult({
    proven: false,
    level: 'restored',
    stoppedBy: `public.orders has 899999 rows where 900000 were expected, and ${hostile}.`,
    differences: [
      { kind: 'rows', object: 'public.orders', expected: '900000', found: '899999' },
      ...Array.from({ length: count - 1 }, (_, i) => ({
        kind: 'schema' as const,
        object: `TABLE ${hostile} ${i}`,
        expected: 'present',
        found: 'missing',
      })),
    ],
    warnings: ['The second storage could not be reached.'],
  })
}

export function rehearsalResult(changes: Partial<RehearsalResult> = {}): RehearsalResult {
  return {
    id: '20261121T031045Z-k3v9',
    label: 'production',
    snapshotAt: '2026-11-21T03:10:45.123Z',
    server: { backup: '17.11', scratch: '17.11', own: false },
    verdict: 'pass',
    command: 'npm run migrate',
    exitCode: 0,
    timedOut: false,
    findings: [],
    schema: { added: ['COLUMN public.orders.note'], removed: [], changed: [] },
    tables: [],
    rows: { before: 1_234_567, after: 1_234_567 },
    timings: { restore: 21_000, migration: 850, total: 24_000 },
    output: 'ALTER TABLE\n',
    warnings: [],
    ...changes,
  }
}

export function harmfulRehearsal(): RehearsalResult {
  return rehearsalResult({
    verdict: 'fail',
    findings: [
      {
        code: 'column-dropped',
        severity: 'error',
        object: 'public.orders.total',
        evidence: 'The column held 900,000 values that are not null; they are gone.',
        remedy: 'Stop reading it first, and keep a copy.',
        lost: 900_000,
      },
      {
        code: 'table-rewritten',
        severity: 'warning',
        object: hostile,
        evidence: hostile,
        remedy: 'Add the column without a volatile default.',
      },
      {
        code: 'values-updated',
        severity: 'note',
        object: 'public.orders_i',
        evidence: 'An index was made.',
        remedy: 'None.',
      },
    ],
    schema: { added: [], removed: ['COLUMN public.orders.total'], changed: [`TABLE ${hostile}`] },
    tables: [
      {
        table: 'public.orders',
        change: 'changed',
        rowsBefore: 900_000,
        rowsAfter: 900_000,
        rewritten: true,
        bytes: 300_000_000,
      },
      {
        table: 'public.clients',
        was: 'public.customers',
        change: 'changed',
        rowsBefore: 10,
        rowsAfter: 10,
        rewritten: false,
      },
      { table: hostile, change: 'dropped', rowsBefore: 7, rewritten: false },
    ],
    rows: { before: 1_234_567, after: 1_234_560 },
    output: 'BEGIN\n```\n</details>\n\u001b[31m::error::forged\u001b[0m\n',
  })
}

export function restoreResult(changes: Partial<RestoreResult> = {}): RestoreResult {
  return {
    task: 'restore',
    mode: 'swap',
    id: '20261121T031045Z-k3v9',
    label: 'production',
    location: 'file:///mnt/backups/production/20261121T031045Z-k3v9',
    target: 'shop',
    confirm: 'shop',
    dryRun: false,
    snapshotAt: '2026-11-21T03:10:45.123Z',
    age: 12_000_000,
    server: { backup: '17.11', target: '17.11' },
    plan: [
      { step: 'Make the database shop_restore_k3v9', done: true },
      { step: `Restore into it, ${hostile}`, done: true },
      { step: 'Swap the two names in one transaction', done: true },
    ],
    previousDatabase: 'shop_before_20261121',
    sessionsEnded: 3,
    bytes: 125_831_168,
    rows: 1_234_567,
    tables: 42,
    timings: { restore: 21_000, compare: 4200, swap: 35, total: 26_000 },
    warnings: [],
    ...changes,
  }
}

export function bareRestored(changes: Partial<RestoreExternalResult> = {}): RestoreExternalResult {
  const {
    target,
    confirm,
    dryRun,
    server,
    plan,
    previousDatabase = '',
    sessionsEnded,
    bytes,
    rows,
    tables,
    timings,
    warnings,
  } = restoreResult()
  return {
    ...{
      target,
      confirm,
      dryRun,
      server,
      plan,
      previousDatabase,
      sessionsEnded,
      bytes,
      rows,
      tables,
      timings,
      warnings,
    },
    task: 'restore-file',
    mode: 'swap',
    file: { name: `file: ${hostile}`, format: 'sql', layers: ['gzip'] },
    versions: { server: '17.11', client: '18.6' },
    roles: [hostile],
    owner: 'keep',
    largeObjects: 2,
    ...changes,
  }
}

export function undoResult(changes: Partial<UndoResult> = {}): UndoResult {
  return {
    task: 'undo',
    target: 'shop',
    confirm: 'shop',
    dryRun: false,
    database: 'shop_before_20261121T031045',
    until: '2026-11-21T03:10:45Z',
    by: 'backup 1 took its place',
    bytes: 123_456_789,
    inUse: { bytes: 300_000_000, sessions: 3 },
    previousDatabase: 'shop_before_20261121T041045',
    others: ['shop_before_20261120T031045'],
    plan: [{ step: 'In one transaction: rename both', done: true }],
    sessionsEnded: 3,
    timings: { swap: 40, total: 300 },
    warnings: [],
    ...changes,
  }
}

export function cleanResult(changes: Partial<CleanResult> = {}): CleanResult {
  return {
    task: 'clean',
    target: 'shop',
    confirm: 'shop',
    dryRun: false,
    olderThan: 86_400_000,
    dropped: [{ database: 'shop_before_1', until: '2026-11-19T03:10:45Z', bytes: 12_345_678 }],
    left: [
      {
        database: 'shop_before_2',
        until: '2026-11-19T04:10:45Z',
        why: '1 session is connected to it',
      },
    ],
    kept: [{ database: 'shop_before_3', until: '2026-11-21T03:10:45Z', bytes: 1_048_576 }],
    timings: { total: 300 },
    ...changes,
  }
}

export function tablesResult(
  changes: Partial<RestoredTables> = {},
  result: Partial<RestoreResult> = {},
): RestoreResult {
  const restoredTables: RestoredTables = {
    wanted: ['public.orders', hostile],
    asked: { tables: ['public.orders', hostile], schemas: [] },
    contents: 'all',
    replace: false,
    tables: [
      {
        table: 'public.orders',
        rows: 1200,
        into: 'public_restored_20261121T031045.orders',
        how: 'copied',
      },
      {
        table: `public."${hostile}"`,
        rows: 3,
        into: `public_restored_20261121T031045."${hostile}"`,
        how: 'copied',
      },
    ],
    schemas: ['public_restored_20261121T031045'],
    keys: [],
    leftOut: ['Foreign keys.'],
    fingerprint: 'content',
    archives: { read: 2, all: 9 },
    locked: 0,
    ...changes,
  }
  const whole: RestoreResult = { ...restoreResult(result), restoredTables }
  delete whole.previousDatabase
  return whole
}

export function inPlaceResult(changes: Partial<RestoreResult> = {}): RestoreResult {
  const whole: RestoreResult = { ...restoreResult(changes) }
  delete whole.previousDatabase
  return {
    ...whole,
    inPlace: {
      contents: 'all',
      compared: 'content',
      unsaved: 12_000,
      kept: ['pgcrypto'],
      locks: { needed: 120, capacity: 6400 },
      differences: [{ kind: 'schema', object: hostile, expected: 'there', found: 'missing' }],
      schemaCompared: true,
    },
  }
}
