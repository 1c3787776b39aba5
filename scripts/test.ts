/**
 * Runs the tests against real servers: one throwaway cluster for each PostgreSQL major on this
 * machine.
 *
 *   npm test                                  everything but test/runner
 *   npm run test:runner                       test/runner: the project's workflows under a runner that is not ours
 *   npm test -- test/core/backup.test.ts --test-name-pattern=flipped
 *
 * The exit code is that of the tests. Whatever this machine could not show is said at the start and
 * again at the end.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { dirname } from 'node:path'
import { findS3Server } from '../test/support/s3.ts'
import { type ServerDescription, startServers } from '../test/support/start-servers.ts'

/** The majors that we support, each of which a full run shows. */
const supported = [15, 16, 17, 18]
/** Milliseconds. A test file that takes longer hangs. */
const fileLimit = 600_000

const root = dirname(import.meta.dirname)
const [runner, given] = [
  process.argv.includes('--runner'),
  process.argv.slice(2).filter((argument) => argument !== '--runner'),
]
const flags = given.filter((argument) => argument.startsWith('-'))
const named = given.filter((argument) => !argument.startsWith('-'))
const files = named.length > 0 ? named : testFiles(runner)

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
  const { servers, stop } = await startServers(stopping.signal)
  try {
    const notShown = missing(servers.map(({ major }) => major))
    console.log(
      `PostgreSQL: ${servers.map(({ version, bindir }) => `${version} (${bindir})`).join(', ')}`,
    )
    for (const what of notShown) console.log(`NOT SHOWN by this run: ${what}`)
    const code = await runTests(environment(servers))
    for (const what of notShown) console.log(`NOT SHOWN by this run: ${what}`)
    return code
  } finally {
    await stop()
  }
}

function testFiles(ofRunner: boolean): string[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .filter((file) => file.startsWith('test/runner/') === ofRunner)
    .sort()
}

/** Settles with the exit code of the tests; when we are stopped, they are stopped first. */
function runTests(env: NodeJS.ProcessEnv): Promise<number> {
  const concurrency = Math.max(2, availableParallelism() - 1)
  const args = [
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${fileLimit}`,
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
function missing(majors: number[]): string[] {
  const absent = supported.filter((major) => !majors.includes(major))
  return [
    ...(absent.length > 0
      ? [
          `PostgreSQL ${absent.join(', ')}: no such programs here (name their folders in HOLDFAST_TEST_BINDIRS).`,
        ]
      : []),
    ...(findS3Server().kind === 'stand-in'
      ? ['S3 against a real server: neither versitygw nor Go is here, so an npm package stands in.']
      : []),
  ]
}

/** What test files are told of the machine, so that each need not look (or build) for itself. */
function environment(postgres: ServerDescription[]): NodeJS.ProcessEnv {
  const s3 = findS3Server()
  const told =
    s3.kind === 'stand-in'
      ? { HOLDFAST_TEST_S3: 'stand-in' }
      : { HOLDFAST_TEST_VERSITYGW: s3.program }
  return { ...process.env, ...told, HOLDFAST_TEST_SERVERS: JSON.stringify({ postgres }) }
}
