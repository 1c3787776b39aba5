import { failureReport, type Failure, initialState } from '../../../src/report/failure.ts'
import { cleanReport, cleanVerdict } from '../../../src/report/restore/clean.ts'
import { undoReport, undoVerdict } from '../../../src/report/restore/undo.ts'
import type { CleanResult } from '../../../src/restore/clean.ts'
import type { UndoResult } from '../../../src/restore/undo.ts'
import { input, text } from '../../../src/text.ts'
import type { Example, Shown } from '../golden.ts'
import { cleanResult, undoResult, without } from '../results.ts'

function undo(result: UndoResult): Shown {
  return { log: [undoVerdict(result)], report: undoReport(result) }
}

function clean(changes: Partial<CleanResult> = {}): Shown {
  const result = cleanResult(changes)
  return { log: [cleanVerdict(result)], report: cleanReport(result) }
}

function failure(changes: Partial<Failure> = {}): Shown {
  const whole: Omit<Failure, 'state'> & Partial<Failure> = {
    action: 'backup',
    cancelled: false,
    code: 'bad-input',
    message: text`${input('keep')} is "0".`,
    hint: text`Set ${input('keep', '7')}.`,
    page: 'docs/errors.md#bad-input',
    ...changes,
  }
  return { log: [], report: failureReport({ state: initialState(whole.action), ...whole }) }
}

const ours: Failure = {
  action: 'restore',
  cancelled: false,
  code: 'internal',
  message: 'x is not a function.',
  hint: '',
  state: initialState('restore'),
}
const three = [1, 2, 3].map((n) => ({
  database: `shop_before_${n}`,
  until: `2026-11-1${n}T03:10:45Z`,
  bytes: 1_048_576 * n,
}))

export const undoExamples: Example[] = [
  {
    name: 'undo',
    usual: undo(undoResult()),
    variants: {
      'A dry run': undo({
        ...without(undoResult(), 'previousDatabase'),
        dryRun: true,
        plan: [{ step: 'In one transaction: rename both', done: false }],
        warnings: ['A session is connected.'],
      }),
      'No database is in use': undo({
        ...without(undoResult(), 'previousDatabase', 'inUse', 'bytes'),
        others: [],
        sessionsEnded: 1,
      }),
      'The post-command failed, in an environment': undo(
        undoResult({
          environmentName: 'production',
          confirm: 'production/shop',
          warnings: ['A session did not end.'],
          postCommand: { command: './start', failed: 'timed out', took: 61_000, output: '' },
        }),
      ),
    },
  },
  {
    name: 'clean',
    usual: clean(),
    variants: {
      'A dry run': clean({ dryRun: true }),
      'A dry run with nothing to drop': clean({ dryRun: true, dropped: [], left: [], kept: three }),
      'There is none': clean({ dropped: [], left: [], kept: [] }),
      'Several, one of unknown size': clean({
        dropped: [...three, { database: 'shop_before_4', until: '2026-11-14T03:10:45Z' }],
        left: [],
        kept: [],
      }),
    },
  },
  {
    name: 'failure',
    usual: failure(),
    variants: {
      'With a page on the web': failure({ page: 'https://docs.example/errors#bad-input' }),
      'A bug of Holdfast': { log: [], report: failureReport(ours) },
      Cancelled: failure({ action: 'verify', cancelled: true }),
      'Of an action that has no state': failure({ action: 'status' }),
      'Of a rehearsal': failure({ action: 'test-migration' }),
      'After a report': failure({ action: 'verify', state: '' }),
    },
  },
]
