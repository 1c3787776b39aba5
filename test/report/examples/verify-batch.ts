import { inspect } from 'node:util'
import { batchFailure, batchReport, batchVerdict, sumOf } from '../../../src/report/verify/batch.ts'
import { text } from '../../../src/text.ts'
import type { Looked, NotChecked, VerifyBatch } from '../../../src/verify/batch.ts'
import type { VerifyResult } from '../../../src/verify/result.ts'
import type { Example, Shown } from '../golden.ts'
import { verifyResult } from '../results.ts'
import { bad } from './verify.ts'

function batch(backups: Looked[], changes: Partial<VerifyBatch> = {}): Shown {
  const run: VerifyBatch = {
    label: 'production',
    asked: 'all',
    several: true,
    there: 45,
    backups,
    age: [],
    took: 61_000,
    ...changes,
  }
  const failure = batchFailure(run)
  return {
    log: [
      batchVerdict(run),
      inspect(sumOf(run), { breakLength: Infinity }),
      failure ? text`${failure.code}: ${failure.message} ${failure.hint}` : 'It passes.',
    ],
    report: batchReport(run),
  }
}

function looked(id: string, changes: Partial<VerifyResult> = {}): Looked {
  return { id, result: verifyResult({ id, ...changes }) }
}

function unread(id: string, changes: Partial<NotChecked> = {}): Looked {
  return {
    id,
    failure: {
      snapshotAt: '2026-11-20T03:10:45.123Z',
      age: 91_800_000,
      bad: false,
      code: 'key-missing',
      message: 'No key opens this backup.',
      hint: 'Add the key.',
      ...changes,
    },
  }
}

const check = { name: 'no orphan', passed: false, outcome: 'gave 7 rows', took: 3 }
const counted: Partial<VerifyResult> = {
  proven: false,
  level: 'counted',
  limit: 'Content was not measured.',
}
const slow: VerifyResult['objectives'][number] = {
  name: 'max-restore-time',
  limit: 20_000,
  found: 21_000,
  met: false,
  bytes: 500_000_000,
  fills: 476_000_000,
}
const late: VerifyBatch['age'][number] = {
  name: 'max-age',
  limit: 3_600_000,
  found: 5_400_000,
  met: false,
  newest: '20261121T031045Z-good',
}

const faults: Looked[] = [
  looked('20261121T031045Z-good', { age: 5_400_000 }),
  looked('20261120T031045Z-chck', {
    checks: [check],
    stoppedBy: 'The check "no orphan" gave 7 rows.',
  }),
  looked('20261119T031045Z-shrt', { ...counted, asked: 'identical' }),
  unread('20261118T031045Z-skip'),
  unread('20261117T031045Z-lost', { bad: true, message: 'The manifest is damaged.', age: 9e8 }),
  { id: '20261116T031045Z-badd', result: { ...bad, timings: { restore: 90_000, total: 99_000 } } },
  looked('20261115T031045Z-badd', {
    proven: false,
    level: 'none',
    stoppedBy: 'base.dump is missing.',
    timings: { total: 40 },
  }),
]

export const verifyBatchExamples: Example[] = [
  {
    name: 'verify-several',
    usual: batch([looked('20261121T031045Z-k3v9'), looked('20261120T031045Z-k3v9')]),
    variants: {
      'Faults of every kind': batch(faults),
      'Nothing to verify': batch([], { asked: 'unverified', there: 1 }),
      'Nothing to verify, and the newest one is too old': batch([], { age: [late] }),
      'One check failed on a backup that is not proven': batch([
        looked('20261121T031045Z-chck', { ...counted, checks: [check] }),
      ]),
      'Not everything could be checked': batch([
        looked('20261121T031045Z-k3v9', { ...counted, warnings: ['A role is missing.'] }),
        looked('20261120T031045Z-k3v9', counted),
        looked('20261119T031045Z-k3v9', {
          fallen: [{ of: 'rows', now: 400, median: 1000, before: 7 }],
        }),
      ]),
      'One could not be checked in full': batch([looked('20261121T031045Z-k3v9', counted)]),
      'Too old and too slow': batch(
        [looked('20261121T031045Z-k3v9', { objectives: [slow, late] })],
        {
          age: [late],
        },
      ),
      'In time': batch([looked('20261121T031045Z-k3v9')], {
        age: [{ ...late, limit: 90_000_000, met: true }],
      }),
    },
  },
  {
    name: 'verify-single',
    usual: batch([looked('20261121T031045Z-k3v9')], { several: false, asked: 'latest' }),
    variants: {
      'Bad, and too slow': batch([{ id: bad.id, result: { ...bad, objectives: [slow] } }], {
        several: false,
      }),
      'The manifest is damaged': batch([unread('20261120T031045Z-k3v9', { bad: true })], {
        several: false,
      }),
    },
  },
]
