import type { Finding } from '../../../src/rehearsal/finding.ts'
import type { RehearsalResult } from '../../../src/rehearsal/rehearse.ts'
import { rehearsalReport, rehearsalVerdict } from '../../../src/report/rehearsal.ts'
import type { Example, Shown } from '../golden.ts'
import { rehearsalResult, without } from '../results.ts'

function rehearsal(changes: Partial<RehearsalResult> = {}): Shown {
  const result = rehearsalResult(changes)
  return { log: [rehearsalVerdict(result)], report: rehearsalReport(result) }
}

const dropped: Finding = {
  code: 'column-dropped',
  severity: 'error',
  object: 'public.orders.total',
  evidence: 'The column held 900,000 values that are not null; they are gone.',
  remedy: 'Stop reading it first, and keep a copy.',
  lost: 900_000,
}
const rewritten: Finding = {
  code: 'table-rewritten',
  severity: 'warning',
  object: 'public.orders',
  evidence: 'The table of 286 MiB was rewritten.',
  remedy: 'Add the column without a volatile default.',
  lost: 5,
}

export const rehearsalExamples: Example[] = [
  {
    name: 'rehearsal',
    usual: rehearsal(),
    variants: {
      'It renames a table and adds a row, on a cluster of this run': rehearsal({
        server: { backup: '17.11', scratch: '17.11', own: true },
        rows: { before: 1_234_567, after: 1_234_568 },
        tables: [
          {
            table: 'public.clients',
            was: 'public.customers',
            change: 'changed',
            rowsBefore: 10,
            rowsAfter: 11,
            rewritten: false,
          },
        ],
        warnings: ['ANALYZE was skipped.'],
        output: ' \n',
      }),
      'It loses data': rehearsal({
        verdict: 'fail',
        findings: [
          dropped,
          { ...dropped, code: 'values-emptied', object: 'public.carts', lost: 4 },
          rewritten,
          { ...rewritten, code: 'values-updated', severity: 'note' },
        ],
        schema: {
          added: [],
          removed: ['COLUMN public.orders.total'],
          changed: ['TABLE public.orders', 'INDEX public.orders_i'],
        },
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
            table: 'public.carts',
            change: 'dropped',
            rowsBefore: 1234,
            rewritten: false,
            bytes: 8192,
          },
        ],
        rows: { before: 1_234_567, after: 1_234_563 },
      }),
      'It loses one value': rehearsal({
        verdict: 'fail',
        findings: [{ ...dropped, evidence: 'The column held one value; it is gone.', lost: 1 }],
      }),
      'Three errors, none of them a loss': rehearsal({
        verdict: 'fail',
        findings: ['public.a', 'public.b', 'public.c'].map((object) => ({
          ...without(dropped, 'lost'),
          object,
        })),
      }),
      'It fails': rehearsal({ verdict: 'fail', exitCode: 3, output: 'boom\n' }),
      'It is killed': rehearsal({ verdict: 'fail', exitCode: null }),
      'It hangs': rehearsal({
        verdict: 'fail',
        exitCode: null,
        timedOut: true,
        timings: { restore: 1, migration: 5000, total: 5001 },
      }),
    },
  },
]
