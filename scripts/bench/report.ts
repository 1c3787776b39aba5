/** docs/benchmarks.md, from results. */
import { figure, type Outcome, type Results, type Run, type SizeResults } from './results.ts'
import type { Spread } from './statistics.ts'
import { commonTargets, type Target, targetsOf } from './targets.ts'

/** The whole document. */
export function render(results: Results): string {
  const { machine, sizes, startUp } = results
  return (
    [
      '# Benchmarks',
      `Written by \`npm run bench\` (\`scripts/bench.ts\`), whole, each time; not to be edited. Figures are medians, with the smallest and the largest in brackets. MB are 10^6 bytes.`,
      '## Targets',
      ...sizes.map((size) => `### ${size.size} GB\n\n${targetTable(targetsOf(size))}`),
      `### Of all sizes\n\n${targetTable(commonTargets(results))}`,
      '## What does not flatter us',
      unflattering(results),
      ...sizes.flatMap(sizeSection),
      ...(startUp ? ['## Start-up', startUpText(startUp)] : []),
      '## Method',
      method,
      '## Machine',
      `${machine.cpu}, ${machine.cores} cores, ${gigabytes(machine.memory)} of memory, ${machine.kernel}.\n\n${machine.tools.map(({ name, version }) => `${name} ${version}`).join(', ')}.`,
      '## Who takes part',
      contestantTable(sizes),
      '## To make it again',
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
    `${count(database.tables)} tables with ${count(database.rows)} rows, ${megabytes(database.tableBytes)} (the largest ${megabytes(database.largest)}), and ${megabytes(database.indexBytes)} of indexes; seed ${size.seed}. ` +
      `PostgreSQL ${size.postgres}, \`-j ${size.jobs}\`, ${size.rounds} rounds, ${size.at.slice(0, 10)}.`,
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

/** Bars of medians in seconds, the quickest first. */
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

/** A row for each contestant, also for those that were not measured or that failed. */
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

/** Every target that was missed, and every peer that needs less than we do of anything. */
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
        `- Not reached: ${at}${what}: ${measured} (target ${target}).`,
    )
  const needs: [keyof Run, string][] = [
    ['wall', 'is quicker'],
    ['cpu', 'needs less CPU'],
    ['treeMemory', 'needs less memory'],
    ['stored', 'stores less'],
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
          : [`- ${size.size} GB, ${part}: what ${words} than ours: ${better.join(', ')}.`]
      })
    }),
  )
  const always = [
    '- Everything is on one machine: the network of a real store would hide differences in CPU, and a slow one would make all that upload alike.',
    '- The database is made up: text of invented words, five large tables. One that is a single large table would gain nothing from several archives.',
    '- We check more than others, and it costs: two SHA-256 of each archive, a snapshot proven unmoved, sizes confirmed by the store.',
  ]
  return [...missed, ...ahead, ...always].join('\n')
}

function startUpText({ firstQuery, dist }: NonNullable<Results['startUp']>): string {
  return (
    `From the start of the process to the first query on the wire, ${firstQuery.length} backups of an empty database: ${firstQuery.map((each) => `${Math.round(each)} ms`).join(', ')}. ` +
    `\`dist/\` has ${(dist.all / 1e6).toFixed(2)} MB, ${(dist.scripts / 1e6).toFixed(2)} MB of it scripts; a backup to S3 loads ${(dist.loaded / 1e6).toFixed(2)} MB in ${dist.loadedFiles.length} files.`
  )
}

const method = `- A throwaway server with PostgreSQL's default settings (but no autovacuum, and locale C) holds the database; SQL in the server makes it from a seed, then \`VACUUM (ANALYZE)\`. Half of it is one table with wide jsonb;
  documents, orders, numbers and dates, and 300 small tables are the rest. Text is of words as often used as in a language, so that it compresses as text does.
- All restores go to a second throwaway server, set up as \`verify\` sets up a scratch server: no \`fsync\`, \`wal_level = minimal\`, 256 MB of buffers, no autovacuum. The same for all.
- S3 is a real server (versitygw) on the same machine and the same disk. Folders are on that disk too.
- Contestants take turns: each once a round, and each round begins with another one. All talk to PostgreSQL over the loopback interface, without TLS, with the server's own major version of \`pg_dump\` and \`pg_restore\`.
- Caches are warm for all: every row is read once before the first round, and what a restore reads is read once before it. Before each run both servers make a checkpoint and the disk is synced, not timed, so that nobody waits for another's pages.
- Seconds are from the start of the process to the end of its output; for an action, of its main step, run from the committed \`dist/\` as a runner does. CPU is user and system time of the process and all that it started;
  servers' CPU is that of both PostgreSQL servers and the S3 server meanwhile. Memory is the sum of resident memory over the process tree, looked at every 0.1 s, so that shared pages count more than once; of the first process alone it is the kernel's own peak (VmHWM).
  Temporary disk is the peak of a folder that is home and TMPDIR to the contestant.
- After each restore but those of \`verify\` (which drops its copy and compares for itself) and pgBackRest (files only), rows of each table, indexes and constraints are counted: a contestant that brings back less has failed. Restores read what the same contestant's backup stored.
- \`ours\` has \`fingerprint: none\`; \`ours-content\` has what is the default: every row of every table hashed by the server, on the same snapshot. The restore of \`ours\` is \`verify\` on a backup without a fingerprint, so that nothing is compared.`

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

/** What may hold anything, in a cell; paths of this machine are left out. */
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
