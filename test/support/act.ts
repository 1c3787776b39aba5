/**
 * A runner that is not ours: act, in host mode (without containers). It runs workflows of a clone
 * of the committed tree.
 *
 * Where it differs from GitHub's runner, the clone is changed or the test stands in: it does not
 * know `$/` (so `./`, and a checkout before it), it ignores `services:` in silence (so something
 * else answers on their port), and it cancels by a kill at once.
 */
import { execFileSync, spawn } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isSeq, parseDocument, type Document, type YAMLMap } from 'yaml'

const root = dirname(dirname(import.meta.dirname))

export interface ActOptions {
  act: string
  /** For act's own files. */
  folder: string
  workflow: string
  job?: string
  event: 'workflow_dispatch' | 'pull_request' | 'push'
  /** What the event holds, for `github.event`. */
  payload?: unknown
  secrets?: Record<string, string>
  variables?: Record<string, string>
  env?: Record<string, string>
  /** Folders that stand first on PATH. */
  path?: string[]
  /** Milliseconds. Default five minutes. */
  timeout?: number
}

export interface ActRun {
  code: number | null
  log: string
  /** What steps set, by job and output name, as act prints it; the last value wins. */
  outputs: Record<string, string>
}

/**
 * Clones the committed tree into `folder` as the repository `acme/shop`, in the form that act
 * understands. `extra`: further workflows.
 */
export function cloneForAct(folder: string, extra: Record<string, string> = {}): string {
  const clone = join(folder, 'shop')
  const git = (...args: string[]): void =>
    void execFileSync(
      'git',
      ['-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
  git('clone', '--quiet', '--no-hardlinks', root, clone)
  git('-C', clone, 'remote', 'set-url', 'origin', 'https://github.com/acme/shop')
  for (const [name, text] of Object.entries(extra))
    writeFileSync(join(clone, '.github/workflows', name), text)
  for (const file of globSync(['.github/workflows/*.yml', 'actions/*/action.yml'], {
    cwd: clone,
  })) {
    writeFileSync(join(clone, file), forAct(readFileSync(join(clone, file), 'utf8')))
  }
  git('-C', clone, 'add', '--all')
  git(
    '-C',
    clone,
    'commit',
    '--quiet',
    '--allow-empty',
    '--message',
    'In the form that act understands',
  )
  return clone
}

/**
 * `$/` as `./`, and a checkout as the first step of each job that has none but uses actions of its
 * own repository.
 */
export function forAct(text: string): string {
  const document: Document = parseDocument(text.replace(/(uses:\s*)\$\//g, '$1./'))
  const jobs = document.get('jobs') as YAMLMap<string, YAMLMap> | undefined
  for (const { value: job } of jobs?.items ?? []) {
    const steps = job?.get('steps')
    if (!isSeq<YAMLMap>(steps)) continue
    const uses = (start: string): boolean =>
      steps.items.some((step) => {
        const name = step.get('uses')
        return typeof name === 'string' && name.startsWith(start)
      })
    if (uses('./') && !uses('actions/checkout@')) {
      steps.items.unshift(document.createNode({ uses: 'actions/checkout@v5' }))
    }
  }
  return document.toString({ lineWidth: 0 })
}

/**
 * Runs one workflow in a clone. Secrets and variables go by files, so that they stand in no command
 * line.
 */
export async function runAct(clone: string, options: ActOptions): Promise<ActRun> {
  const {
    folder,
    workflow,
    job,
    event,
    payload = {},
    secrets = {},
    variables = {},
    env = {},
    path = [],
  } = options
  const file = (name: string, text: string): string => {
    const place = join(folder, name)
    writeFileSync(place, text, { mode: 0o600 })
    return place
  }
  const lines = (values: Record<string, string>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}\n`)
      .join('')
  mkdirSync(join(folder, 'cache'), { recursive: true })
  const args = [
    event,
    '-W',
    `.github/workflows/${workflow}`,
    ...(job === undefined ? [] : ['-j', job]),
    '-P',
    'ubuntu-latest=-self-hosted',
    '-P',
    'ubuntu-24.04=-self-hosted',
    '-e',
    file('event.json', JSON.stringify(payload)),
    '--secret-file',
    file('secrets', lines(secrets)),
    '--var-file',
    file('variables', lines(variables)),
    '--env-file',
    file('env', lines(env)),
    '--artifact-server-path',
    join(folder, 'artifacts'),
    '--artifact-server-addr',
    '127.0.0.1',
    '--cache-server-addr',
    '127.0.0.1',
    '--cache-server-path',
    join(folder, 'cache'),
  ]
  const environment = {
    ...Object.fromEntries(
      ['HOME', 'LANG', 'TMPDIR', 'npm_config_cache'].flatMap((name) =>
        process.env[name] === undefined ? [] : [[name, process.env[name]]],
      ),
    ),
    PATH: [...path, dirname(process.execPath), process.env.PATH ?? ''].join(':'),
    // act keeps its work trees below this
    XDG_CACHE_HOME: join(folder, 'cache'),
  }
  const child = spawn(options.act, args, {
    cwd: clone,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => (log += piece))
  const killAll = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // it has ended
    }
  }
  process.once('exit', killAll)
  const timer = setTimeout(killAll, options.timeout ?? 300_000)
  try {
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', (ended) => resolve(ended)),
    )
    return {
      code,
      log,
      outputs: Object.fromEntries(
        [...log.matchAll(/::set-output:: ([\w-]+)=(.*)/g)].map(([, name = '', value = '']) => [
          name,
          value.trim(),
        ]),
      ),
    }
  } finally {
    clearTimeout(timer)
    process.off('exit', killAll)
    killAll()
  }
}
