import type {
  TableResult,
  RestoredInPlace,
  RestoredTables,
  RestoreResult,
} from '../../../src/restore/result.ts'
import type { Example, Shown } from '../golden.ts'
import { inPlaceResult, tablesResult, without } from '../results.ts'
import { absent, facts, plan, safetyBackup, shown } from './restore.ts'

const copied: TableResult[] = [
  {
    table: 'public.orders',
    rows: 1200,
    into: 'public_restored_20261121T031045.orders',
    how: 'copied',
  },
  {
    table: 'public."Order\'s items"',
    rows: 3,
    into: 'public_restored_20261121T031045."Order\'s items"',
    how: 'copied',
  },
]

function part(
  changes: Partial<RestoredTables> = {},
  result: Partial<RestoreResult> = {},
): RestoreResult {
  return tablesResult(
    {
      wanted: ['public.orders', 'public."Order\'s items"'],
      asked: { tables: ['orders', 'public."Order\'s items"'], schemas: [] },
      tables: copied,
      ...changes,
    },
    { mode: 'tables', plan: plan(true), rows: 1203, tables: 2, ...result },
  )
}

const live: TableResult[] = [
  { table: 'public.orders', rows: 1200, into: 'public.orders', how: 'replaced' },
  { table: 'public.items', rows: 3, into: 'public.items', how: 'untouched' },
]
const replaced: Partial<RestoredTables> = {
  replace: true,
  schemas: [],
  tables: live,
  locked: 340,
  leftOut: [],
}
const created: TableResult = {
  table: 'public."My T"',
  rows: 1,
  into: 'public."My T"',
  how: 'created',
}

const parts: Record<string, Shown> = {
  'Two schemas, without rows': shown(
    part({
      contents: 'schema',
      schemas: ['public_restored_1', 'sales_restored_1'],
      tables: copied.map((each) => without(each, 'rows')),
    }),
  ),
  'No table was in it': shown(part({ tables: [], leftOut: [] })),
  'A dry run': shown(part({}, { dryRun: true, plan: plan(false), environmentName: 'production' })),
  'The command after it failed': shown(
    part(
      {},
      {
        postCommand: { command: './check', failed: 'timed out', took: 900, output: '' },
        warnings: ['The role reporting is missing.'],
        objective: { limit: 20_000, took: 26_000, held: false },
      },
    ),
  ),
}

const replacements: Record<string, Shown> = {
  'With a foreign key, a safety backup, and rows between': shown(
    part(
      { ...replaced, keys: ['orders_customer_fkey'], unsaved: 2345 },
      { safetyBackup, environmentName: 'production', confirm: 'production/shop' },
    ),
  ),
  'A millisecond between the safety backup and the locks': shown(
    part(
      { ...replaced, fingerprint: 'counts', unsaved: 1, asked: { tables: [], schemas: ['sales'] } },
      { safetyBackup },
    ),
  ),
  'Some are new': shown(
    part(
      {
        ...replaced,
        fingerprint: 'none',
        unsaved: 1000,
        tables: [...live, created, { ...created, table: 'public.y' }],
      },
      { safetyBackup },
    ),
  ),
  'All are new, without rows': shown(
    part({ ...replaced, contents: 'schema', unsaved: 1000, tables: [created] }, { safetyBackup }),
  ),
  'None was replaced': shown(
    part({ ...replaced, contents: 'data', tables: live.slice(1) }, { safetyBackup }),
  ),
}

function inPlace(
  changes: Partial<RestoreResult> = {},
  how: Partial<RestoredInPlace> = {},
): RestoreResult {
  const whole = inPlaceResult({ mode: 'in-place', plan: plan(true), ...changes })
  return {
    ...whole,
    inPlace: { ...(whole.inPlace as RestoredInPlace), differences: [], ...how },
  }
}

const difference = {
  kind: 'schema',
  object: 'TABLE public.orders',
  expected: 'present',
  found: 'missing',
} as const

const inside: Record<string, Shown> = {
  'With a safety backup, and a definition that differs': shown(
    inPlace(
      { safetyBackup, environmentName: 'production', confirm: 'production/shop' },
      { compared: 'counts', kept: [], differences: [difference] },
    ),
  ),
  'With a safety backup of the same moment, and two that differ': shown({
    ...inPlace({ safetyBackup }),
    inPlace: {
      ...without(inPlaceResult().inPlace as RestoredInPlace, 'unsaved'),
      kept: ['pgcrypto', 'citext'],
      differences: [difference, { ...difference, object: 'VIEW public.sales' }],
    },
  }),
  'A dry run of definitions only': shown(
    inPlace({ dryRun: true, plan: plan(false) }, { contents: 'schema' }),
  ),
  'Definitions only, with a safety backup': shown(
    inPlace({ rows: 0, safetyBackup }, { contents: 'schema' }),
  ),
  'Rows not compared': shown(inPlace({}, { compared: 'none' })),
  'Definitions only': shown(inPlace({ rows: 0 }, { contents: 'schema' })),
  'The command after it failed': shown(
    inPlace({
      postCommand: { command: './check', failed: 'timed out', took: 900, output: 'late\n' },
      objective: { limit: 20_000, took: 26_000, held: false },
      warnings: ['The role reporting is missing.'],
    }),
  ),
  'A dry run': shown(inPlace({ dryRun: true, plan: plan(false), facts })),
  'A dry run with an obstacle': shown(inPlace({ dryRun: true, plan: plan(false), facts: absent })),
}

export const restorePartExamples: Example[] = [
  { name: 'restore-tables', usual: shown(part()), variants: parts },
  { name: 'restore-replace', usual: shown(part(replaced)), variants: replacements },
  { name: 'restore-in-place', usual: shown(inPlace()), variants: inside },
]
