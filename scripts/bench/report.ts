/** Writes docs/benchmarks.md from results. */
import { wrap } from '../generate/wrap.ts'
import { figure, type Outcome, type Results, type Run, type SizeResults } from './results.ts'
import type { Spread } from './statistics.ts'
import { commonTargets, type Target, targetsOf } from './targets.ts'

/** Returns the whole page. */
export function render(results: Results): string {
  const { machine, sizes, startUp } = results
  return (
    [
      '# Benchmarks',
      '`npm run bench` (`scripts/bench.ts`) writes this whole page; do not edit it. Figures are medians, ' +
        'with the smallest\nand the largest in parentheses. 1 MB is 10^6 bytes.',
      '## Targets',
      ...sizes.map((size) => `### ${size.size} GB\n\n${targetTable(targetsOf(size))}`),
      `### All sizes\n\n${targetTable(commonTargets(results))}`,
      '## Where Holdfast is slower or needs more',
      unflattering(results),
      ...sizes.flatMap(sizeSection),
      ...(startUp ? ['## Start-up', startUpText(startUp)] : []),
      '## Method',
      method,
      '## Machine',
      `${machine.cpu}, ${machine.cores} cores, ${gigabytes(machine.memory)} of memory, ${machine.kernel}.\n\n` +
        wrap(`${machine.tools.map(({ name, version }) => `${name} ${version}`).join(', ')}.`),
      '## Contestants',
      contestantTable(sizes),
      '## Run it again',
      `\`\`\`sh\n${sizes
        .flatMap(({ typed }) => typed.split('\n'))
        .map((typed) => `npm run bench -- ${typed}`)
        .join('\n')}\n\`\`\``,
    ].join('\n\n') + '\n'
  )
}

function sizeSection(size: SizeResults): string[] {
  const { database } = size
  return [
    `## ${size.size} GB`,
    wrap(
      `${count(database.tables)} tables with ${count(database.rows)} rows, ${megabytes(database.tableBytes)} ` +
        `(largest: ${megabytes(database.largest)}), and ${megabytes(database.indexBytes)} of indexes; ` +
        `seed ${size.seed}. PostgreSQL ${size.postgres}, \`-j ${size.jobs}\`, ${size.rounds} rounds, ` +
        `${size.at.slice(0, 10)}.`,
    ),
    ...(['backup', 'restore'] as const).flatMap((part) =>
      size[part].length === 0
        ? []
        : [
            `### ${part === 'backup' ? 'Backup' : 'Restore'}, ${size.size} GB`,
            chart(`${part}, ${size.size} GB`, size[part]),
            outcomeTable(size[part], part),
          ],
    ),
  ]
}

/** Returns a bar chart of medians in seconds, the fastest first. */
export function chart(title: string, outcomes: readonly Outcome[]): string {
  const bars = outcomes
    .flatMap((outcome) => {
      const wall = figure(outcome, 'wall')
      return wall === undefined ? [] : [{ name: outcome.name, seconds: wall.median / 1000 }]
    })
    .sort((a, b) => a.seconds - b.seconds)
  if (bars.length === 0) return 'Nothing was measured.'
  return [
    '```mermaid',
    'xychart-beta horizontal',
    `  title "${title}: seconds"`,
    `  x-axis [${bars.map(({ name }) => `"${name}"`).join(', ')}]`,
    `  y-axis "seconds" 0 --> ${Math.max(1, Math.ceil(Math.max(...bars.map(({ seconds }) => seconds))))}`,
    `  bar [${bars.map(({ seconds }) => seconds.toFixed(2)).join(', ')}]`,
    '```',
  ].join('\n')
}

/** Returns a table with a row per contestant, also for those not measured and those that failed. */
export function outcomeTable(outcomes: readonly Outcome[], part: 'backup' | 'restore'): string {
  const ours = figure(
    outcomes.find(({ name }) => name === 'ours'),
    'wall',
  )
  const headings = [
    '',
    'seconds',
    'time, ours = 1',
    'CPU s',
    "servers' CPU s",
    'peak memory',
    'of it, first process',
    'temporary disk',
    ...(part === 'backup' ? ['stored'] : []),
  ]
  const rows = outcomes.map((outcome) => {
    const name = `**${outcome.name}**: ${cell(outcome.title)}`
    const why = outcome.failed
      ? `failed: ${cell(outcome.failed)}`
      : outcome.missing
        ? `not measured: ${cell(outcome.missing)}`
        : undefined
    if (why !== undefined) return [name, why, ...headings.slice(2).map(() => '')]
    const of = (what: keyof Run): Spread | undefined => figure(outcome, what)
    const wall = of('wall')
    return [
      name,
      seconds(wall),
      wall && ours ? (wall.median / ours.median).toFixed(2) : '–',
      seconds(of('cpu'), false),
      seconds(of('serverCpu'), false),
      megabytes(of('treeMemory')?.max ?? 0),
      outcome.kind === 'ours' ? megabytes(of('ownMemory')?.max ?? 0) : '',
      megabytes(of('disk')?.max ?? 0),
      ...(part === 'backup' ? [megabytes(of('stored')?.median ?? 0)] : []),
    ]
  })
  return table(headings, rows)
}

function targetTable(targets: readonly Target[]): string {
  return table(
    ['', 'target', 'measured', ''],
    targets.map(({ what, target, measured, met }) => [
      what,
      target,
      measured ?? 'not measured',
      met === undefined ? '' : met ? 'met' : '**not met**',
    ]),
  )
}

/** Lists every missed target, and every figure in which a peer is better than Holdfast. */
function unflattering(results: Results): string {
  const missed = [
    ...results.sizes.flatMap((size) =>
      targetsOf(size).map((target) => ({ ...target, at: `${size.size} GB: ` })),
    ),
    ...commonTargets(results).map((target) => ({ ...target, at: '' })),
  ]
    .filter(({ met }) => met === false)
    .map(
      ({ what, target, measured, at }) =>
        `- Not met: ${at}${what}: ${measured} (target ${target}).`,
    )
  const needs: [keyof Run, string][] = [
    ['wall', 'faster'],
    ['cpu', 'less CPU'],
    ['treeMemory', 'less memory'],
    ['stored', 'less stored'],
  ]
  const ahead = results.sizes.flatMap((size) =>
    (['backup', 'restore'] as const).flatMap((part) => {
      const ours = size[part].find(({ name }) => name === 'ours')
      return needs.flatMap(([what, words]) => {
        const own = figure(ours, what)?.median
        const better = size[part]
          .filter(
            ({ kind, name }) =>
              kind === 'peer' && !(part === 'backup' && what === 'stored' && name === 'bare'),
          )
          .flatMap((peer) => {
            const theirs = figure(peer, what)?.median
            return own !== undefined && theirs !== undefined && theirs < own
              ? [`${peer.name} (${(theirs / own).toFixed(2)} ×)`]
              : []
          })
        return better.length === 0
          ? []
          : [`- ${size.size} GB, ${part}, ${words} than ours: ${better.join(', ')}.`]
      })
    }),
  )
  const always = [
    '- Everything runs on one machine. The network of a real store would hide differences in CPU; ' +
      'a slow network would make all uploads equal.',
    '- The database is synthetic: text of invented words, five large tables. ' +
      'A database that is a single large table would gain nothing from several archives.',
    '- Holdfast checks more than the others, and that costs time: two SHA-256 per archive, ' +
      'a check that no table moved under the snapshot, and sizes confirmed by the store.',
  ]
  return [...missed, ...ahead, ...always].map((item) => wrap(item, '  ')).join('\n')
}

function startUpText({ firstQuery, dist }: NonNullable<Results['startUp']>): string {
  const megabytesOf = (value: number): string => `${(value / 1e6).toFixed(2)} MB`
  return wrap(
    `Time from the start of the process to the first query, in ${firstQuery.length} backups of an empty database: ` +
      `${firstQuery.map((each) => `${Math.round(each)} ms`).join(', ')}. ` +
      `\`dist/\` has ${megabytesOf(dist.all)}, ${megabytesOf(dist.scripts)} of it scripts; ` +
      `a backup to S3 loads ${megabytesOf(dist.loaded)} in ${dist.loadedFiles.length} files.`,
  )
}

const method = `\
- **Source.** A throwaway server with PostgreSQL's default settings (but no autovacuum, and locale C) holds the
  database. SQL in the server makes it from a seed, then \`VACUUM (ANALYZE)\`. Half of it is one table with wide jsonb.
  Documents, orders, numbers and dates, and 300 small tables are the rest. Words have the frequencies of a natural
  language, so that the text compresses like text.
- **Target.** All restores go to a second throwaway server, set up like \`verify\`'s scratch server: no \`fsync\`,
  \`wal_level = minimal\`, 256 MB of buffers, no autovacuum. It is the same for all.
- **Storage.** S3 is a real server (versitygw) on the same machine and the same disk. Folders are on that disk, too.
- **Order.** Each contestant runs once per round, and each round begins with another one. All connect to PostgreSQL
  over the loopback interface, without TLS, with \`pg_dump\` and \`pg_restore\` of the server's own major version.
- **Caches.** Caches are warm for all. Every row is read once before the first round, and what a restore reads is read
  once before it. Before each run both servers make a checkpoint and the disk is synced, not timed, so that no
  contestant waits for another's pages.
- **Seconds.** From the start of the process to the end of its output. For an action: of its main step, run from the
  committed \`dist/\` as a runner does.
- **CPU.** User and system time of the process and everything that it started. The servers' CPU is that of both
  PostgreSQL servers and the S3 server meanwhile.
- **Memory.** The sum of resident memory over the process tree, sampled every 0.1 s, so shared pages count more than
  once. For the first process alone it is the kernel's own peak (VmHWM).
- **Temporary disk.** The peak of a folder that is home and TMPDIR to the contestant.
- **Check.** After each restore, rows of each table, indexes and constraints are counted: a contestant that restores
  less has failed. Exceptions: \`verify\`, which drops its copy and compares for itself, and pgBackRest, which restores
  files only. Restores read what the same contestant's backup stored.
- **Fingerprint.** \`ours\` has \`fingerprint: none\`. \`ours-content\` has the default: the server hashes every row of
  every table on the same snapshot. The restore of \`ours\` is \`verify\` on a backup without a fingerprint, so \
nothing is
  compared.`

function contestantTable(sizes: readonly SizeResults[]): string {
  const rows = (['backup', 'restore'] as const).flatMap((part) => {
    const seen = new Map(
      sizes.flatMap((size) => size[part]).map((outcome) => [outcome.name, outcome]),
    )
    return [...seen.values()].map(({ name, command, note }) => [
      part,
      `**${name}**`,
      `\`${cell(command.replaceAll('\n', '; '))}\``,
      cell(note ?? ''),
    ])
  })
  return table(['', '', 'command, or action and inputs', 'note'], rows)
}

function table(headings: string[], rows: string[][]): string {
  return [headings, headings.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

/** Returns any text as the text of a cell, without paths of this machine. */
function cell(text: string): string {
  return text
    .replaceAll('|', '\\|')
    .replace(/(?<![\w.-])\/(?:tmp|home|root|work|Users|var)\/\S*/g, '…')
    .replace(/\s+/g, ' ')
}

function seconds(spread: Spread | undefined, withRange = true): string {
  if (spread === undefined) return '–'
  const show = (value: number): string => (value / 1000).toFixed(value < 100_000 ? 2 : 0)
  return (
    show(spread.median) +
    (withRange && spread.min !== spread.max ? ` (${show(spread.min)}–${show(spread.max)})` : '')
  )
}

function megabytes(bytes: number): string {
  return bytes < 1e5
    ? bytes === 0
      ? '0'
      : `${(bytes / 1000).toFixed(1)} kB`
    : `${count(bytes < 1e7 ? Math.round(bytes / 1e5) / 10 : Math.round(bytes / 1e6))} MB`
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
