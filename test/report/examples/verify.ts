import {
  externalDumpReport,
  externalDumpVerdict,
} from '../../../src/report/verify/external-dump.ts'
import { verifyReport, verifyVerdict } from '../../../src/report/verify/verify.ts'
import type { ExternalDumpResult } from '../../../src/verify/external-dump.ts'
import type { VerifyResult } from '../../../src/verify/result.ts'
import type { CheckResult } from '../../../src/verify/user-checks.ts'
import type { Example, Shown } from '../golden.ts'
import { verifyResult } from '../results.ts'

function verify(changes: Partial<VerifyResult> = {}): Shown {
  const result = verifyResult(changes)
  return { log: [verifyVerdict(result)], report: verifyReport(result) }
}

const passed: CheckResult = { name: 'orders exist', passed: true, outcome: 'gave true', took: 3 }
const failed: CheckResult = { name: 'no orphan', passed: false, outcome: 'gave 7 rows', took: 1200 }
const command: CheckResult = {
  name: 'the command',
  passed: false,
  outcome: 'ended with exit code 1',
  took: 61_000,
  output: 'AssertionError: no invoice of today\n',
}
const limit = 'Content was not measured (fingerprint: counts).'

export const bad: VerifyResult = verifyResult({
  proven: false,
  level: 'restored',
  stoppedBy: 'public.orders has 899,999 rows, expected 900,000.',
  differences: [
    { kind: 'rows', object: 'public.orders', expected: '900,000', found: '899,999' },
    { kind: 'schema', object: 'INDEX public.orders_i', expected: 'present', found: 'missing' },
  ],
  warnings: ['The second storage could not be reached.'],
})

const readable: Partial<VerifyResult> = {
  level: 'readable',
  proven: false,
  server: { backup: '17.11', client: '17.11' },
  timings: { total: 900 },
}

const outcomes: Record<string, Shown> = {
  'A check of the user passes': verify({ level: 'accepted', checks: [passed] }),
  'Two checks pass, on the scratch server': verify({
    level: 'accepted',
    checks: [passed, { ...passed, name: 'a customer exists' }],
    server: { backup: '17.11', scratch: '18.2', own: false },
    timings: { restore: 21_000, compare: 4200, checks: 2800, total: 28_000 },
    allowed: ['The schema public exists already.'],
  }),
  'A check fails after another one that passed': verify({
    checks: [passed, failed],
    stoppedBy: 'The check "no orphan" gave 7 rows.',
  }),
  'Two checks fail on a copy that is not proven': verify({
    proven: false,
    level: 'counted',
    limit,
    checks: [failed, command, passed],
  }),
  'Two of three checks fail on a copy that is proven': verify({
    checks: [failed, command, passed],
    stoppedBy: '2 of 3 checks failed, the first: "no orphan" gave 7 rows.',
  }),
  'Restored as requested, and not compared': verify({
    level: 'restored',
    asked: 'restored',
    proven: false,
    timings: { restore: 21_000, total: 22_000 },
  }),
  'As far as requested': verify({ ...readable, asked: 'readable' }),
  'The user’s checks were requested, and none could run': verify({
    ...readable,
    asked: 'accepted',
    limit,
    tables: 0,
    rows: 0,
  }),
  'Not everything could be checked': verify({ proven: false, level: 'counted', limit }),
  'Not as far as requested': verify({
    proven: false,
    level: 'counted',
    asked: 'identical',
    limit,
  }),
  'Not proven, with two differences': { log: [verifyVerdict(bad)], report: verifyReport(bad) },
  'Nothing of it is good': verify({
    ...readable,
    level: 'none',
    stoppedBy: 'base.dump is missing.',
  }),
  'The same figures as an empty database': verify({ rows: 0, tables: 0 }),
}

const objectives: Record<string, Shown> = {
  'All objectives met': verify({
    objectives: [
      { name: 'max-age', limit: 90_000_000, found: 5_400_000, met: true, newest: 'x' },
      {
        name: 'max-restore-time',
        limit: 60_000,
        found: 21_000,
        met: true,
        bytes: 500_000_000,
        fills: 1_428_000_000,
      },
      {
        name: 'max-size-change',
        limit: 0.5,
        found: 0.004,
        met: true,
        changes: [
          { of: 'bytes', now: 125_831_168, median: 125_400_000, before: 1 },
          { of: 'rows', now: 1_234_567, median: 1_122_333.5, before: 7 },
        ],
      },
    ],
  }),
  'No objective met': verify({
    objectives: [
      { name: 'max-age', limit: 3_600_000, found: 5_400_000, met: false, newest: 'x' },
      {
        name: 'max-restore-time',
        limit: 20_000,
        found: 21_000,
        met: false,
        bytes: 500_000_000,
        fills: 476_000_000,
      },
      {
        name: 'max-size-change',
        limit: 0.2,
        found: 0.6,
        met: false,
        changes: [{ of: 'rows', now: 1, median: 2.5, before: 7 }],
      },
    ],
  }),
  'No objective could be measured, and figures fell': verify({
    objectives: [
      { name: 'max-restore-time', limit: 20_000 },
      { name: 'max-size-change', limit: 0.2, changes: [] },
    ],
    fallen: [{ of: 'bytes', now: 1_200_000, median: 3_000_000, before: 7 }],
  }),
}

function file(result: ExternalDumpResult): Shown {
  return { log: [externalDumpVerdict(result)], report: externalDumpReport(result) }
}

const dump: ExternalDumpResult = {
  name: 'nightly.sql.gz',
  format: 'sql',
  layers: ['age', 'gzip'],
  level: 'restored',
  limit: 'Check yourself that these are all its tables and rows.',
  bytes: 1_234_567,
  found: { tables: 42, rows: 1_234_567, largeObjects: 1 },
  versions: { server: '17.11', client: '18.6', scratch: '17.11' },
  roles: ['app', 'reporting'],
  warnings: ['The file sets no owner.'],
  timings: { restore: 21_000, total: 24_000 },
}

const read: ExternalDumpResult = {
  name: 'nightly.dump',
  format: 'custom',
  layers: [],
  level: 'readable',
  limit: 'Level readable was requested.',
  bytes: 1000,
  versions: { server: '17.11' },
  roles: [],
  warnings: [],
  timings: { total: 900 },
}

export const verifyExamples: Example[] = [
  { name: 'verify', usual: verify(), variants: outcomes },
  { name: 'verify-objectives', usual: verify(), variants: objectives },
  {
    name: 'verify-file',
    usual: file(dump),
    variants: {
      'Read, and not restored': file(read),
      'Damaged, and of an unknown server': file({
        ...read,
        format: 'tar',
        level: 'stored',
        stoppedBy: 'The file ends in the middle of a table.',
        versions: {},
      }),
    },
  },
]
