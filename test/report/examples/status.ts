import { statusReport, tooOld } from '../../../src/report/status.ts'
import type { LabelStatus, StatusResult } from '../../../src/repository/status.ts'
import type { Example, Shown } from '../golden.ts'
import { without } from '../results.ts'

const newest: NonNullable<LabelStatus['newest']> = {
  id: '20261121T031045Z-k3v9',
  snapshotAt: '2026-11-21T03:10:45.123Z',
  age: 5_400_000,
  bytes: 125_831_168,
  tables: 42,
  rows: 1_234_567,
  server: '17.11',
  encrypted: true,
  locations: ['s3://backups/db/x'],
}
const older = {
  ...newest,
  id: '20261120T031045Z-k3v9',
  snapshotAt: '2026-11-20T03:10:45.123Z',
  age: 91_800_000,
}

const quiet: LabelStatus = {
  label: 'production',
  backups: 2,
  bytes: 251_662_336,
  newest,
  proven: {
    ...newest,
    proof: { level: 'identical', at: '2026-11-21T05:00:00.000Z', age: 60_000, restore: 21_000 },
  },
  all: [],
  unproven: [],
  limited: [],
  failed: [],
  damaged: [],
  unfinished: [],
  preRestore: [],
}

function status(labels: LabelStatus[], maxAge?: number, warnings: string[] = []): Shown {
  const sources = ['s3://backups/db', 'file:///mnt/backups']
  const result: StatusResult = { sources, labels, warnings }
  return { log: tooOld(result, maxAge), report: statusReport(result, maxAge) }
}

const leftover = {
  id: '20261121T021045Z-k3v9',
  startedAt: '2026-11-21T02:10:45.000Z',
  age: 9_000_000,
  bytes: 2_097_152,
  location: 's3://backups/db/production/20261121T021045Z-k3v9',
}

const busy: LabelStatus = {
  ...quiet,
  newest: { ...without(newest, 'tables'), encrypted: false, locations: ['s3://a', 's3://b'] },
  proven: {
    ...older,
    proof: { level: 'accepted', at: '2026-11-20T05:00:00.000Z', age: 86_400_000 },
  },
  unproven: ['20261121T031045Z-k3v9', '20261119T031045Z-k3v9'],
  limited: [{ id: '20261119T031045Z-k3v9', level: 'counted', at: '2026-11-19T05:00:00.000Z' }],
  failed: [{ id: '20261118T031045Z-k3v9', level: 'stored', at: '2026-11-18T05:00:00.000Z' }],
  damaged: [{ id: '20261117T031045Z-k3v9', why: 'its manifest is no JSON' }],
  unfinished: [leftover],
  preRestore: [{ ...leftover, id: '20261121T021045Z-k3v9-pre-restore' }],
}

const none: LabelStatus = {
  ...without(quiet, 'newest', 'proven'),
  label: 'staging',
  backups: 0,
  bytes: 0,
}

export const statusExamples: Example[] = [
  {
    name: 'status',
    usual: status([quiet], 5_400_000),
    variants: {
      'Too old, and no backup at all': status([quiet, none], 5_399_999),
      'Too old': status([quiet], 3_600_000),
      'A label without a backup': status([quiet, none]),
      'Not proven, and with backups of every kind': status([busy], undefined, [
        'The second storage could not be reached.',
      ]),
      'Never proven, not measured': status([
        { ...without(quiet, 'proven'), newest: without(newest, 'rows') },
      ]),
      Empty: status([]),
    },
  },
]
