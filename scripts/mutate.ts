/**
 * Changes the source in many small ways, one at a time, and runs tests against each change: a change
 * that no test notices survives, and is printed.
 *
 *   npm run mutate -- --source 'src/report/**' --tests 'test/report/**' [--sample 200] [--jobs 2]
 *
 * Nothing is written: the changed file is served to Node as it loads. A test that runs for ten times
 * as long as without a change counts as having noticed. Tests that need PostgreSQL share its servers.
 */
import { spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Mutant, mutantsOf } from './mutate/mutants.ts'
import { shareServers } from './share-servers.ts'

const root = dirname(import.meta.dirname)
const { values } = parseArgs({
  options: {
    source: { type: 'string', multiple: true },
    tests: { type: 'string', multiple: true },
    sample: { type: 'string' },
    jobs: { type: 'string' },
  },
})
const sources = filesOf(values.source ?? [], '.ts')
const tests = filesOf(values.tests ?? [], '.test.ts')
if (sources.length === 0 || tests.length === 0) {
  console.error("Which? npm run mutate -- --source 'src/report/**' --tests 'test/report/**'")
  process.exit(2)
}

const all = sources.flatMap((file) => mutantsOf(file, readFileSync(file, 'utf8')))
const chosen = sampled(all, Number(values.sample ?? all.length))
const survivors: Mutant[] = []
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
const servers = await shareServers(stopping.signal)
try {
  const began = Date.now()
  if (await notices(undefined, 600_000)) {
    console.error('The tests fail without any change.')
    process.exitCode = 2
  } else {
    await tryAll(Math.max(5000, 10 * (Date.now() - began)))
    report()
  }
} finally {
  await servers.stop()
}

/** `limit`: milliseconds that the tests may take. */
async function tryAll(limit: number): Promise<void> {
  const queue = [...chosen]
  let done = 0
  await Promise.all(
    Array.from({ length: Number(values.jobs ?? availableParallelism()) }, async () => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        if (!(await notices(mutant, limit))) survivors.push(mutant)
        if (++done % 100 === 0) console.error(`${done} of ${chosen.length}`)
      }
    }),
  )
}

function filesOf(patterns: string[], ending: string): string[] {
  return [...new Set(patterns.flatMap((pattern) => globSync(pattern, { cwd: root })))]
    .filter((file) => file.endsWith(ending))
    .map((file) => join(root, file))
    .sort()
}

/** Every nth, so that each file has its share, and a second run takes the same ones. */
function sampled(mutants: Mutant[], count: number): Mutant[] {
  const step = mutants.length / Math.min(count, mutants.length)
  return Array.from({ length: Math.min(count, mutants.length) }, (_, i) => {
    const mutant = mutants[Math.floor(i * step)]
    if (!mutant) throw new Error('beyond the last')
    return mutant
  })
}

/** True if a test fails, or hangs. */
function notices(mutant: Mutant | undefined, timeout: number): Promise<boolean> {
  const hook = join(root, 'scripts/mutate/hook.mjs')
  const env = {
    ...process.env,
    HOLDFAST_TEST_SERVERS: servers.socket,
    NODE_COMPILE_CACHE: join(servers.folder, 'compiled'),
    ...(mutant ? { HOLDFAST_MUTANT: JSON.stringify(mutant) } : {}),
  }
  const args = ['--import', hook, '--test', '--test-isolation=none', ...tests]
  return new Promise((resolve, reject) => {
    const { signal } = stopping
    const child = spawn(process.execPath, args, {
      cwd: root,
      env,
      stdio: 'ignore',
      timeout,
      signal,
    })
    // one that loops never handles the first signal
    const last = setTimeout(() => child.kill('SIGKILL'), timeout + 5000)
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(last)
      resolve(code !== 0)
    })
  })
}

function report(): void {
  const short = (file: string): string => file.slice(root.length + 1)
  for (const file of sources) {
    const of = (mutants: Mutant[]): number => mutants.filter((each) => each.file === file).length
    const [tried, left] = [of(chosen), of(survivors)]
    if (tried > 0) console.log(`${short(file)}: ${tried - left} of ${tried} killed`)
  }
  for (const { file, line, was, text } of survivors.toSorted(
    (a, b) => a.file.localeCompare(b.file) || a.line - b.line,
  ))
    console.log(`SURVIVED ${short(file)}:${line}  ${oneLine(was)}  →  ${oneLine(text)}`)
  const share = Math.round((100 * (chosen.length - survivors.length)) / chosen.length)
  console.log(
    `${chosen.length - survivors.length} of ${chosen.length} mutants killed (${share} %); ` +
      `${all.length} in all.`,
  )
}

function oneLine(text: string): string {
  const flat = text.replace(/\s+/g, ' ')
  return flat.length > 80 ? `${flat.slice(0, 77)}…` : flat
}
