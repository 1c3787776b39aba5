/**
 * Runs every contestant in every round, one after the other, so that changes over time affect all
 * of them equally.
 */
import { messageOf } from '../../src/errors.ts'
import {
  type Contest,
  contentsOf,
  baseBytes,
  missingPrograms,
  runBackup,
  runRestore,
  source,
  type Subject,
} from './contest.ts'
import { backups, type Contestant, howToGet, restores } from './contestants.ts'
import { generate, rowsFor } from './generate.ts'
import type { Options, Part } from './options.ts'
import { openPlace, type Place } from './place.ts'
import type { Outcome, Run, SizeResults } from './results.ts'

type Say = (text: string) => void

/**
 * Generates the database and runs the parts that the options name. Calls `then` first, with the
 * servers running.
 */
export async function runSize<T>(
  options: Options,
  say: Say,
  signal: AbortSignal,
  then: (place: Place) => Promise<T>,
): Promise<{ size: SizeResults; also: T }> {
  const bytes = options.size * 1e9
  const place = await openPlace(bytes, options.postgres, signal)
  try {
    say(`PostgreSQL ${place.postgres.version}, S3: ${place.s3.kind}`)
    const also = await then(place)
    const size: SizeResults = {
      size: options.size,
      seed: options.seed,
      rounds: options.rounds,
      jobs: options.jobs,
      typed: options.typed,
      at: new Date().toISOString(),
      postgres: place.postgres.version,
      database: { tables: 0, rows: 0, tableBytes: 0, indexBytes: 0, largest: 0 },
      backup: [],
      restore: [],
    }
    const asked = (part: Part): boolean => options.only.includes(part)
    if (!asked('backup') && !asked('restore')) return { size, also }
    const subject = await makeSubject(place, options, size, say, signal)
    const contest: Contest = { place, subject, jobs: options.jobs, signal }
    const chosen = (all: Contestant[]): Contestant[] =>
      all.filter(({ name }) => options.peers.length === 0 || options.peers.includes(name))
    const made = new Set<string>()
    if (asked('backup')) {
      await warm(contest)
      size.backup = await compete(
        'backup',
        chosen(backups),
        options.rounds,
        contest,
        say,
        async (contestant) => {
          made.delete(contestant.name)
          const run = await runBackup(contestant, contest)
          made.add(contestant.name)
          return run
        },
      )
    }
    if (asked('restore')) {
      const prepare = makeProducts(contest, made, say)
      size.restore = await compete(
        'restore',
        chosen(restores),
        options.rounds,
        contest,
        say,
        async (contestant) => {
          if (contestant.from !== undefined) await prepare(contestant.from)
          return runRestore(contestant, contest)
        },
      )
    }
    const base = baseBytes(place)
    return { size: { ...size, ...(base === undefined ? {} : { baseBytes: base }) }, also }
  } finally {
    const left = await place.close()
    for (const what of left) say(`Left behind: ${what}`)
  }
}

/** Reads every row once, so that the caches are as warm for the first contestant as for others. */
async function warm(contest: Contest): Promise<void> {
  const floor = backups.find(({ kind }) => kind === 'floor')
  if (floor !== undefined) await runBackup(floor, contest)
}

/**
 * Makes the backups that restores read, unless an earlier round made them. A backup that failed
 * before fails again with the same message.
 */
function makeProducts(
  contest: Contest,
  made: Set<string>,
  say: Say,
): (name: string) => Promise<void> {
  const failures = new Map<string, Error>()
  return async (name) => {
    const failed = failures.get(name)
    if (failed !== undefined) throw failed
    if (made.has(name)) return
    const contestant = backups.find((each) => each.name === name)
    if (contestant === undefined) throw new Error(`There is no backup ${name}.`)
    say(`  a backup to restore: ${contestant.title}`)
    try {
      await runBackup(contestant, contest)
      made.add(name)
    } catch (error) {
      const failure = new Error(`Its backup failed: ${messageOf(error)}`, { cause: error })
      failures.set(name, failure)
      throw failure
    }
  }
}

/** Runs all rounds. A contestant that fails once skips later rounds; its failure is its result. */
async function compete(
  part: Part,
  contestants: Contestant[],
  rounds: number,
  { place, signal }: Contest,
  say: Say,
  run: (contestant: Contestant) => Promise<Run>,
): Promise<Outcome[]> {
  const outcomes = new Map<Contestant, Outcome>()
  for (const contestant of contestants) {
    const { name, title, kind, note, action, script } = contestant
    const missing = missingPrograms(contestant, place.path)
      .map(
        (program) =>
          `${program} is not installed${howToGet[program] ? ` (${howToGet[program]})` : ''}`,
      )
      .join(', ')
    const command =
      action === undefined
        ? (script ?? '')
        : `${action.name}: ${Object.entries(action.inputs)
            .map(([input, value]) => `${input}=${value}`)
            .join(' ')}`
    outcomes.set(contestant, {
      name,
      title,
      kind,
      command,
      runs: [],
      ...(note ? { note } : {}),
      ...(missing ? { missing } : {}),
    })
  }
  for (let round = 0; round < rounds; round++) {
    // each round begins with another contestant
    const turn = contestants.length === 0 ? 0 : Math.floor((round * contestants.length) / rounds)
    for (const contestant of [...contestants.slice(turn), ...contestants.slice(0, turn)]) {
      const outcome = outcomes.get(contestant)
      if (outcome === undefined || outcome.missing !== undefined || outcome.failed !== undefined)
        continue
      try {
        const figures = await run(contestant)
        outcome.runs.push(figures)
        say(
          `  ${part} ${round + 1}/${rounds} ${outcome.name.padEnd(14)} ${seconds(figures.wall)}  ` +
            `cpu ${seconds(figures.cpu)}, servers ${seconds(figures.serverCpu)}, ` +
            `memory ${megabytes(figures.treeMemory)} (own ${megabytes(figures.ownMemory)}), ` +
            `disk ${megabytes(figures.disk)}, stored ${megabytes(figures.stored)}`,
        )
      } catch (error) {
        signal.throwIfAborted()
        outcome.failed = messageOf(error)
        say(`  ${part} ${round + 1}/${rounds} ${outcome.name.padEnd(14)} failed: ${outcome.failed}`)
      }
    }
  }
  return [...outcomes.values()]
}

async function makeSubject(
  place: Place,
  options: Options,
  size: SizeResults,
  say: Say,
  signal: AbortSignal,
): Promise<Subject> {
  const began = Date.now()
  say(`Generating ${options.size} GB from seed ${options.seed} …`)
  await place.source.query('postgres', `CREATE DATABASE ${source} TEMPLATE template0`)
  await generate(
    `${place.postgres.bindir}/psql`,
    { ...place.source.env(source), PATH: place.path },
    rowsFor(options.size * 1e9),
    options.seed,
    signal,
  )
  const tables = await place.source.query(
    source,
    `SELECT relname AS name, reltuples::bigint::float8 AS rows,
      pg_table_size(oid)::float8 AS bytes, pg_indexes_size(oid)::float8 AS indexes
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY bytes DESC`,
  )
  const sum = (column: string): number =>
    tables.reduce((total, row) => total + Number(row[column]), 0)
  const [largest, ...others] = tables.map(({ name }) => String(name))
  size.database = {
    tables: tables.length,
    rows: sum('rows'),
    tableBytes: sum('bytes'),
    indexBytes: sum('indexes'),
    largest: Number(tables[0]?.bytes),
  }
  say(
    `  ${tables.length} tables, ${megabytes(sum('bytes'))} and ${megabytes(sum('indexes'))} of indexes, ` +
      `in ${seconds(Date.now() - began)}`,
  )
  return {
    contents: await contentsOf(place.source, source),
    largest: largest ?? '',
    others,
    tableBytes: sum('bytes'),
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
