/**
 * Measures this project against its alternatives, on a generated database: `npm run bench --
 * --help`. Writes all of docs/benchmarks.md, from the figures of this run and of earlier runs. Leaves
 * nothing else behind, also when it is stopped.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { messageOf } from '../src/errors.ts'
import { describeMachine } from './bench/machine.ts'
import { type Options, readOptions, usage } from './bench/options.ts'
import { render } from './bench/report.ts'
import { merge, readResults, type Results, writeResults } from './bench/results.ts'
import { runSize } from './bench/rounds.ts'
import { measureStartUp } from './bench/start-up.ts'

const startUpRuns = 5

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => stopping.abort(new Error(`Stopped by ${name}.`)))

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(usage)
    return 0
  }
  try {
    const options = readOptions(args)
    const results = options.write ? readResults(options.results) : await measure(options)
    if (results === undefined)
      throw new Error(`${options.results} does not exist. Run the bench without --write first.`)
    const out = isAbsolute(options.out) ? options.out : join(import.meta.dirname, '..', options.out)
    writeFileSync(out, render(results))
    console.log(`Wrote ${out}${options.write ? '' : ` and ${options.results}`}.`)
    return 0
  } catch (error) {
    const shown: unknown = stopping.signal.aborted ? stopping.signal.reason : error
    console.error(`✗ ${messageOf(shown)}`)
    return 1
  }
}

async function measure(options: Options): Promise<Results> {
  if (!existsSync('/proc/self/status'))
    throw new Error('The bench reads CPU and memory from /proc, so it needs Linux.')
  const { signal } = stopping
  const say = (text: string): void => console.log(text)
  const { size, also } = await runSize(options, say, signal, async (place) => ({
    machine: describeMachine([place.path, place.postgres.bindir].join(delimiter)),
    startUp: options.only.includes('start-up')
      ? await measureStartUp(place, startUpRuns, signal)
      : undefined,
  }))
  const { machine, startUp } = also
  const measured = size.backup.length + size.restore.length > 0 ? [size] : []
  const results = merge(readResults(options.results), {
    format: 1,
    machine,
    ...(startUp ? { startUp } : {}),
    sizes: measured,
  })
  writeResults(options.results, results)
  return results
}
