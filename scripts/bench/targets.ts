/** The targets of the project, and what was measured. */
import { figure, type Results, type Run, type SizeResults } from './results.ts'

export interface Target {
  what: string
  target: string
  /** As text; undefined when it was not measured. */
  measured?: string
  met?: boolean
}

const [mega, mebi] = [1e6, 1024 * 1024]

/** Returns the targets that are judged for each size. */
export function targetsOf(size: SizeResults): Target[] {
  const median = (
    part: 'backup' | 'restore',
    name: string,
    of: keyof Run = 'wall',
  ): number | undefined =>
    figure(
      size[part].find((outcome) => outcome.name === name),
      of,
    )?.median
  const ratio = (above: number | undefined, below: number | undefined): number | undefined =>
    above === undefined || !below ? undefined : above / below
  const atLeast = (what: string, least: number, value: number | undefined): Target =>
    judge(what, `≥ ${least} ×`, value, value !== undefined && value >= least, times)
  const atMost = (what: string, most: number, value: number | undefined): Target =>
    judge(what, `≤ ${most} ×`, value, value !== undefined && value <= most, times)
  const [ours, bare] = [median('backup', 'ours'), median('backup', 'bare')]
  const content = ratio(median('backup', 'ours-content'), ours)
  const peaks = (of: keyof Run): number[] =>
    size.backup
      .filter(({ kind }) => kind === 'ours')
      .flatMap((outcome) => figure(outcome, of)?.max ?? [])
  const [disk, memory] = [peaks('disk'), peaks('ownMemory')]
  const restoreDisk = figure(
    size.restore.find(({ name }) => name === 'ours'),
    'disk',
  )?.max
  return [
    atLeast(
      'backup to S3: speed, against the usual recipe',
      5,
      ratio(median('backup', 'usual'), ours),
    ),
    atLeast(
      'backup to S3: speed, against the best chain of stock tools',
      1.4,
      ratio(median('backup', 'chain'), ours),
    ),
    atMost('backup to S3: time, against bare `pg_dump -Fd -j`', 1.35, ratio(ours, bare)),
    atMost(
      'backup to a folder: time, against bare `pg_dump -Fd -j`',
      1.15,
      ratio(median('backup', 'ours-folder'), bare),
    ),
    atMost(
      'the content fingerprint: time added, against the backup without it',
      0.8,
      content === undefined ? undefined : content - 1,
    ),
    judge(
      "backup: peak memory of Holdfast's own process",
      '≤ 256 MB',
      memory.length > 0 ? Math.max(...memory) : undefined,
      Math.max(0, ...memory) <= 256 * mebi,
      (value) => `${Math.round(value / mebi)} MiB`,
    ),
    judge(
      'backup: disk used',
      '0',
      disk.length > 0 ? Math.max(...disk) : undefined,
      Math.max(0, ...disk) === 0,
      bytes,
    ),
    atMost(
      'restore from S3: time, against `pg_restore -j` from a local folder',
      1,
      ratio(median('restore', 'ours'), median('restore', 'bare')),
    ),
    judge(
      'restore from S3: disk used',
      `the base archive only (${size.baseBytes === undefined ? 'unknown' : bytes(size.baseBytes)})`,
      restoreDisk,
      restoreDisk !== undefined &&
        size.baseBytes !== undefined &&
        restoreDisk <= size.baseBytes + 65_536,
      bytes,
    ),
    atMost(
      'verify with content compared: time, against the restore alone',
      1.4,
      ratio(median('restore', 'ours-content'), median('restore', 'ours')),
    ),
  ]
}

/** Returns the targets that are judged once for all sizes. */
export function commonTargets({ startUp, sizes }: Results): Target[] {
  const memory = sizes.flatMap((size) => {
    const found = figure(
      size.backup.find(({ name }) => name === 'ours'),
      'ownMemory',
    )?.median
    return found === undefined ? [] : [found]
  })
  const growth = memory.length > 1 ? Math.max(...memory) / Math.min(...memory) : undefined
  const first = startUp?.firstQuery.toSorted((a, b) => a - b)[
    Math.floor(startUp.firstQuery.length / 2)
  ]
  const megabytes = (value: number): string => `${(value / mega).toFixed(2)} MB`
  return [
    judge(
      "memory of Holdfast's own process: largest size against smallest",
      'the same (≤ 1.1 ×)',
      growth,
      growth !== undefined && growth <= 1.1,
      times,
    ),
    judge(
      'from process start to the first query',
      '≤ 250 ms',
      first,
      first !== undefined && first <= 250,
      (value) => `${Math.round(value)} ms`,
    ),
    judge(
      '`dist/`, all of it',
      '≤ 4 MB',
      startUp?.dist.all,
      (startUp?.dist.all ?? Infinity) <= 4 * mega,
      megabytes,
    ),
    judge(
      'what a backup to S3 loads of it',
      '≤ 2.5 MB',
      startUp?.dist.loaded,
      (startUp?.dist.loaded ?? Infinity) <= 2.5 * mega,
      megabytes,
    ),
  ]
}

function judge(
  what: string,
  target: string,
  value: number | undefined,
  met: boolean,
  show: (value: number) => string,
): Target {
  return value === undefined ? { what, target } : { what, target, measured: show(value), met }
}

function times(value: number): string {
  return `${value.toFixed(2)} ×`
}

function bytes(value: number): string {
  return value < mega ? `${value} bytes` : `${Math.round(value / mega)} MB`
}
