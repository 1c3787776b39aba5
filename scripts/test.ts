/**
 * Runs the tests. Those that need PostgreSQL share one throwaway cluster for each major on this
 * machine, which starts when the first test file asks for it.
 *
 *   npm test                              everything but test/runner
 *   npm run test:unit                     only what needs no server: a few seconds
 *   npm run test:runner                   test/runner: the workflows under another runner
 *   npm test -- test/backup/backup.test.ts --test-name-pattern='that refuses'
 *
 * The exit code is that of the tests. What this machine cannot show is said at the start and again
 * at the end.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { type Need, needsOf } from '../test/support/needs.ts'
import { findS3Server } from '../test/support/s3.ts'
import { findPostgres } from './postgres-programs.mjs'
import { shareServers } from './share-servers.ts'

/** The majors that we support, each of which a full run shows. */
const supported = [15, 16, 17, 18, 19]
/** Milliseconds. A test file that takes longer hangs. */
const fileLimit = 600_000

const root = dirname(import.meta.dirname)
const suites = ['--unit', '--runner']
const suite = process.argv.find((argument) => suites.includes(argument))
const given = process.argv.slice(2).filter((argument) => argument !== suite)
const flags = given.filter((argument) => argument.startsWith('-'))
const named = given.filter((argument) => !argument.startsWith('-'))
const files = named.length > 0 ? named : testFiles()
const needs = new Set(files.flatMap((file) => [...needsOfFile(file)]))

const stopping = new AbortController()
let stoppedBy: NodeJS.Signals | undefined
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stoppedBy ??= signal
    stopping.abort()
  })
}

process.exitCode = await main()

async function main(): Promise<number> {
  if (files.length === 0) {
    console.error('No test file to run.')
    return 1
  }
  const servers = await shareServers(stopping.signal)
  try {
    const notShown = missing()
    for (const what of notShown) console.log(`NOT SHOWN by this run: ${what}`)
    const code = await runTests({
      ...environment(),
      HOLDFAST_TEST_SERVERS: servers.socket,
      // each test file is a process, and would compile the same sources
      NODE_COMPILE_CACHE: join(servers.folder, 'compiled'),
    })
    for (const what of notShown) console.log(`NOT SHOWN by this run: ${what}`)
    return code
  } finally {
    await servers.stop()
  }
}

function testFiles(): string[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .filter((file) => file.startsWith('test/runner/') === (suite === '--runner'))
    .filter((file) => suite !== '--unit' || needsOfFile(file).size === 0)
    .sort()
}

function needsOfFile(file: string): Set<Need> {
  return needsOf(relative(root, resolve(root, file)).split(sep).join('/'))
}

/** Settles with the exit code of the tests; when we are stopped, they are stopped first. */
function runTests(env: NodeJS.ProcessEnv): Promise<number> {
  // tests wait for servers and processes for a good part of their time
  const concurrency = 2 * availableParallelism()
  const args = [
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${fileLimit}`,
    // one process for all: most of these files take less time than Node's start
    ...(suite === '--unit' ? ['--test-isolation=none'] : []),
    ...flags,
    ...files,
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' })
    const end = (): void => void child.kill('SIGTERM')
    stopping.signal.addEventListener('abort', end, { once: true })
    if (stopping.signal.aborted) end()
    child.once('error', reject)
    child.once('exit', (code, signal) =>
      resolve(
        stoppedBy !== undefined
          ? 128 + constants.signals[stoppedBy]
          : signal !== null
            ? 1
            : (code ?? 1),
      ),
    )
  })
}

/** What a full run would show and this machine cannot. */
function missing(): string[] {
  const servers = needs.has('servers') || needs.has('own servers')
  const found = findPostgres(process.env)
  if (servers)
    console.log(
      `PostgreSQL: ${found.map(({ version, bindir }) => `${version} (${bindir})`).join(', ')}`,
    )
  const absent = supported.filter((major) => !found.some((each) => each.major === major))
  return [
    ...(servers && absent.length > 0
      ? [
          `PostgreSQL ${absent.join(', ')}: no such programs here ` +
            '(name their folders in HOLDFAST_TEST_BINDIRS).',
        ]
      : []),
    ...(needs.has('s3') && findS3Server().kind === 'stand-in'
      ? ['S3 against a real server: neither versitygw nor Go is here, so an npm package stands in.']
      : []),
  ]
}

/** What test files are told of the machine, so that each need not look (or build) for itself. */
function environment(): NodeJS.ProcessEnv {
  if (!needs.has('s3')) return process.env
  const s3 = findS3Server()
  return {
    ...process.env,
    ...(s3.kind === 'stand-in'
      ? { HOLDFAST_TEST_S3: 'stand-in' }
      : { HOLDFAST_TEST_VERSITYGW: s3.program }),
  }
}
