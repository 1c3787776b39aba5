/** The bench's command line. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

export const parts = ['backup', 'restore', 'start-up'] as const
export type Part = (typeof parts)[number]

export interface Options {
  /** Gigabytes (10^9 bytes) of tables. */
  size: number
  rounds: number
  seed: number
  jobs: number
  only: Part[]
  /** Names of contestants; empty: all. */
  peers: string[]
  /** PostgreSQL's major version; undefined: the newest found. */
  postgres?: number
  results: string
  out: string
  /** Whether to render the results file without a new run. */
  write: boolean
  /** The options that shape the figures, as they were typed. */
  typed: string
}

export const usage = `npm run bench -- [--size 1|4|10] [--rounds 3] [--only backup|restore|start-up]
                 [--peers ours,usual,…] [--jobs 2] [--seed 1] [--postgres 18]
                 [--results FILE] [--out docs/benchmarks.md] [--write]

Each run adds its figures to the results file, and renders the page from all figures in that file.
The figures of a size replace older figures of that size. --write only renders the page.`

const shaping = ['size', 'rounds', 'only', 'peers', 'jobs', 'seed', 'postgres'] as const

/** Parses the command line. Throws an Error with a sentence for the user if it is not valid. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      size: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '3' },
      seed: { type: 'string', default: '1' },
      jobs: { type: 'string', default: '2' },
      only: { type: 'string' },
      peers: { type: 'string' },
      postgres: { type: 'string' },
      results: { type: 'string', default: join(tmpdir(), 'holdfast-bench.json') },
      out: { type: 'string', default: 'docs/benchmarks.md' },
      write: { type: 'boolean', default: false },
    },
  })
  const number = (
    name: 'size' | 'rounds' | 'seed' | 'jobs' | 'postgres',
    least: number,
    whole = true,
  ): number => {
    const value = Number(values[name])
    if (!Number.isFinite(value) || value < least || (whole && !Number.isInteger(value)))
      throw new Error(
        `--${name} must be a ${whole ? 'whole ' : ''}number of ${least} or more, not ${values[name]}.`,
      )
    return value
  }
  const only = list(values.only)
  for (const part of only)
    if (!(parts as readonly string[]).includes(part))
      throw new Error(`--only must be one of ${parts.join(', ')}, not ${part}.`)
  return {
    size: number('size', 0.01, false),
    rounds: number('rounds', 1),
    seed: number('seed', 0),
    jobs: number('jobs', 1),
    only: only.length > 0 ? (only as Part[]) : [...parts],
    peers: list(values.peers),
    ...(values.postgres === undefined ? {} : { postgres: number('postgres', 15) }),
    results: values.results,
    out: values.out,
    write: values.write,
    typed: shaping
      .flatMap((name) =>
        values[name] === undefined || (name === 'seed' && values[name] === '1')
          ? []
          : [`--${name} ${values[name]}`],
      )
      .join(' '),
  }
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
}
