import {
  restoreExternalReport,
  restoreExternalVerdict,
} from '../../../src/report/restore/external-dump.ts'
import type { RestoreExternalResult } from '../../../src/restore/swap/external-dump.ts'
import type { Example, Shown } from '../golden.ts'
import { bareRestored, cleanResult, without } from '../results.ts'
import { absent, facts, plan, safetyBackup } from './restore.ts'

function shown(result: RestoreExternalResult): Shown {
  return { log: [restoreExternalVerdict(result)], report: restoreExternalReport(result) }
}

function restored(changes: Partial<RestoreExternalResult> = {}): RestoreExternalResult {
  return bareRestored({
    file: { name: 'nightly.sql.gz', format: 'sql', layers: ['gzip'] },
    previousDatabase: 'shop_before_20261121',
    roles: ['app'],
    plan: plan(true),
    ...changes,
  })
}

const dry: RestoreExternalResult = {
  ...without(restored({ dryRun: true, plan: plan(false) }), 'previousDatabase'),
  largeObjects: 0,
  timings: { restore: 0, compare: 0, swap: 0, total: 400 },
}

export const restoreFileExamples: Example[] = [
  {
    name: 'restore-file',
    usual: shown(restored()),
    variants: {
      'With all that it can have': shown(
        restored({
          file: { name: 'nightly.tar', format: 'directory', layers: [] },
          versions: {},
          roles: [],
          owner: 'drop',
          largeObjects: 0,
          safetyBackup,
          keepPrevious: 86_400_000,
          prepared: true,
          cleaned: cleanResult(),
          objective: { limit: 20_000, took: 26_000, held: false },
          timings: {
            safety: 12_000,
            restore: 21_000,
            compare: 4200,
            prepare: 300,
            swap: 35,
            command: 900,
            total: 39_000,
          },
          postCommand: { command: './start-app', took: 900, output: 'started\n' },
          warnings: ['The role app is missing.'],
        }),
      ),
      'The command after it failed': shown(
        restored({
          postCommand: { command: './start-app', failed: 'timed out', took: 900, output: '' },
        }),
      ),
      'A new database': shown({
        ...without(restored(), 'previousDatabase'),
        mode: 'new',
        versions: { server: '17.11' },
        file: { name: 'nightly.dump', format: 'custom', layers: [] },
        largeObjects: 1,
      }),
    },
  },
  {
    name: 'restore-file-dry-run',
    usual: shown(dry),
    variants: {
      'Facts about the target': shown({
        ...dry,
        facts: without(facts, 'needed', 'expected', 'source', 'changes'),
        cleaned: cleanResult({ dryRun: true }),
        warnings: ['The role app is missing.'],
      }),
      'Something prevents the restore': shown({ ...dry, facts: absent }),
    },
  },
]
