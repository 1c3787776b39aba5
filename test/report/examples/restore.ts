import { restoreReport, restoreVerdict } from '../../../src/report/restore/restore.ts'
import type { RestoreResult } from '../../../src/restore/result.ts'
import type { SafetyBackup } from '../../../src/restore/safety-backup.ts'
import type { TargetFacts } from '../../../src/restore/target-facts.ts'
import type { Example, Shown } from '../golden.ts'
import { cleanResult, restoreResult, without } from '../results.ts'

export const plan = (done: boolean): RestoreResult['plan'] => [
  { step: 'Create the database shop_restore_k3v9', done },
  { step: 'Restore into it', done },
  { step: 'Swap the two names in one transaction', done },
]

export const safetyBackup: SafetyBackup = {
  id: '20261121T061045Z-k3v9aa-pre-restore',
  label: 'production',
  snapshotAt: '2026-11-21T06:10:45.123Z',
  locations: ['file:///mnt/backups/x', 's3://backups/db/x'],
  bytes: 1_234_567,
  took: 12_000,
}

export function shown(result: RestoreResult): Shown {
  return { log: [restoreVerdict(result)], report: restoreReport(result) }
}

function restored(changes: Partial<RestoreResult> = {}): RestoreResult {
  return restoreResult({ plan: plan(true), ...changes })
}

const fresh: RestoreResult = {
  ...without(restored(), 'previousDatabase'),
  mode: 'new',
  target: 'staging',
  sessionsEnded: 0,
}

const done: Record<string, Shown> = {
  'With all that a restore can have': shown(
    restored({
      safetyBackup,
      environmentName: 'production',
      confirm: 'production/shop',
      keepPrevious: 86_400_000,
      prepared: true,
      isolated: {
        ties: ['the user mapping of app on the foreign server crm'],
        triggers: ['ALTER EVENT TRIGGER "a" ENABLE;', 'ALTER EVENT TRIGGER "b" ENABLE ALWAYS;'],
      },
      cleaned: cleanResult(),
      objective: { limit: 60_000, took: 26_000, held: true },
      sessionsEnded: 1,
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
      warnings: ['The role reporting is missing.'],
    }),
  ),
  'The command after it failed, and it took too long': shown(
    restored({
      postCommand: {
        command: './start-app',
        failed: 'ended with exit code 3',
        took: 40,
        output: '',
      },
      plan: [...plan(true), { step: 'Run the post-command', done: false }],
      objective: { limit: 20_000, took: 26_000, held: false },
      warnings: ['The role reporting is missing.'],
    }),
  ),
  'A new database': shown(fresh),
  'A new database with definitions only': shown({
    ...fresh,
    definitionsOnly: true,
    rows: 0,
    tables: 1,
  }),
}

const dry: RestoreResult = {
  ...without(restored({ dryRun: true, plan: plan(false) }), 'previousDatabase'),
  timings: { restore: 0, compare: 0, swap: 0, total: 400 },
  sessionsEnded: 0,
}

export const facts: TargetFacts = {
  bytes: 600_000_000,
  needed: 500_000_000,
  free: 90_000_000_000,
  connected: [
    { user: 'app', application: 'web', count: 12 },
    { user: 'app', application: 'worker', count: 3 },
  ],
  expected: {
    took: 25_200,
    by: '20261120T031045Z-k3v9',
    at: '2026-11-20T05:00:00.000Z',
  },
  source: { written: 4_000_000_000 },
  obstacles: [],
  changes: {
    comeBack: ['COLUMN public.orders.total'],
    goAway: ['TABLE public.new', 'INDEX public.new_pkey'],
    change: ['TABLE public.orders', 'VIEW public.sales', 'FUNCTION public.vat()'],
  },
  rows: [
    { table: 'public.orders', now: 899_999.6, then: 1_200_000 },
    { table: 'public.new', now: 1234, then: undefined },
  ],
  notes: ['The target has 2 event triggers.'],
}

const sessions = (count: number): TargetFacts['connected'] =>
  Array.from({ length: count }, (_, i) => ({ user: `user${i}`, application: 'psql', count: 1 }))

export const absent: TargetFacts = {
  connected: [],
  obstacles: [
    { code: 'role-missing', message: 'The role app is missing.', hint: 'Create it first.' },
  ],
  rows: [],
  notes: [],
}

const planned: Record<string, Shown> = {
  'Facts about the target, and what was replaced before': shown({
    ...dry,
    facts,
    cleaned: cleanResult({ dryRun: true }),
    warnings: ['The role reporting is missing.'],
    objective: { limit: 60_000, took: 400, held: true },
  }),
  'The schema is the same, and six clients are connected': shown({
    ...dry,
    facts: {
      ...facts,
      connected: sessions(6),
      source: {},
      changes: { comeBack: [], goAway: [], change: [] },
      rows: [],
      notes: [],
    },
  }),
  'Only rows were compared, and five clients are connected': shown({
    ...dry,
    facts: {
      ...without(facts, 'changes', 'expected', 'free'),
      connected: sessions(5),
      rows: facts.rows.slice(1),
    },
  }),
  'Nothing was compared, and one client is connected': shown({
    ...dry,
    facts: {
      ...without(facts, 'changes', 'expected', 'needed', 'source'),
      connected: sessions(1),
      rows: [],
    },
  }),
  'The target does not exist, and something prevents the restore': shown({
    ...dry,
    facts: absent,
  }),
  'In an environment, with definitions only': shown({
    ...dry,
    environmentName: 'production',
    confirm: 'production/shop',
    definitionsOnly: true,
  }),
}

export const restoreExamples: Example[] = [
  { name: 'restore', usual: shown(restored()), variants: done },
  { name: 'restore-dry-run', usual: shown(dry), variants: planned },
]
