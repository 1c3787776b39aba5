/**
 * A small runner of our own. It runs an action's main.js and post.js as GitHub's runner does:
 * inputs and their defaults, the files for outputs, state, summary, environment and path, the
 * event, masks, a cancel in three steps. It is used where the other runner (act) cannot serve: act
 * cancels with a kill at once.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { JobLog, type Annotation } from './job-log.ts'

export interface RunOptions {
  /** Variables of the job, for example AWS_ACCESS_KEY_ID; they win over the runner's own. */
  env?: Record<string, string>
  /** What GITHUB_EVENT_PATH holds. */
  event?: unknown
  /** What `${{ github.token }}` stands for in a default. */
  token?: string
  /** GITHUB_WORKSPACE, where the action is started. Default: an empty folder. */
  workspace?: string
  /**
   * Where this run's files are put, kept for the caller to read and remove. Default: a temporary
   * folder, removed at the end.
   */
  folder?: string
  /**
   * A cancel: its first signal, and when it comes (milliseconds after the start, or once a line of
   * the log matches).
   */
  signal?:
    | { name: 'SIGINT' | 'SIGTERM' | 'SIGKILL'; after: number }
    | { name: 'SIGINT' | 'SIGTERM' | 'SIGKILL'; when: RegExp }
  /** Milliseconds until a run that hangs is killed. Default four minutes. */
  timeout?: number
  /** False leaves out the post step, as when the runner's machine dies. */
  post?: boolean
  /** Called with each line that a person would see, as it comes. */
  onLine?: (line: string) => void
  /** The repository with actions/ and dist/. Default: this one. */
  root?: string
}

export interface ActionRun {
  /** Exit code of the main step; 128 + number for a signal. */
  code: number
  /** What a person would see: commands carried out, secrets masked. Main and post. */
  log: string
  /** What was written, as it came: for showing that a secret is not there, or is masked. */
  raw: string
  outputs: Record<string, string>
  /** The job summary; empty if it went over the 1 MiB that GitHub keeps. */
  summary: string
  annotations: Annotation[]
  /** What the main step saved for the post step. */
  state: Record<string, string>
  /** What was added to the environment of later steps. */
  exported: Record<string, string>
  /** Exit code of the post step; undefined if there was none. */
  postCode: number | undefined
  /** Milliseconds of the main step, until its streams were closed. */
  ms: number
  /**
   * Something still held the step's output five seconds after it had ended: the runner would have
   * waited that long.
   */
  leftOpen: boolean
}

const ourRoot = dirname(dirname(import.meta.dirname))
/** GitHub's own times between the steps of a cancel, milliseconds. */
const patience = { SIGINT: 7500, SIGTERM: 2500 }
const summaryLimit = 1024 * 1024

/**
 * Runs `actions/<name>` (or, for the name `.`, the root action), main and then post, whatever
 * became of main.
 */
export async function runAction(
  name: string,
  inputs: Record<string, string>,
  options: RunOptions = {},
): Promise<ActionRun> {
  const root = options.root ?? ourRoot
  const action = name === '.' ? root : join(root, 'actions', name)
  const { inputs: declared = {}, runs } = parse(
    readFileSync(join(action, 'action.yml'), 'utf8'),
  ) as ActionFile
  const base = mkdtempSync(join(options.folder ?? tmpdir(), 'runner-'))
  const log = new JobLog(options.onLine)
  try {
    const files = makeFiles(base, options.event ?? {})
    const env = {
      ...runnerEnvironment(base, options),
      ...inputVariables(declared, inputs, options.token ?? ''),
      ...files,
      ...options.env,
    }
    const main = await runStep(join(action, runs.main), env, log, options)
    const [state, exported] = [readCommands(files.GITHUB_STATE), readCommands(files.GITHUB_ENV)]
    const [outputs, summary] = [
      readCommands(files.GITHUB_OUTPUT),
      readFileSync(files.GITHUB_STEP_SUMMARY),
    ]
    let postCode: number | undefined
    if (runs.post !== undefined && options.post !== false) {
      const saved = Object.fromEntries(
        Object.entries(state).map(([key, value]) => [`STATE_${key}`, value]),
      )
      const limit = options.timeout === undefined ? {} : { timeout: options.timeout }
      postCode = (
        await runStep(join(action, runs.post), { ...env, ...exported, ...saved }, log, limit)
      ).code
    }
    return {
      ...main,
      outputs,
      state,
      exported,
      postCode,
      summary: summary.byteLength > summaryLimit ? '' : summary.toString('utf8'),
      log: log.text(),
      raw: log.raw(),
      annotations: log.annotations,
    }
  } finally {
    if (options.folder === undefined) rmSync(base, { recursive: true, force: true })
  }
}

interface ActionFile {
  inputs?: Record<string, { default?: string | number | boolean } | null>
  runs: { using: string; main: string; post?: string }
}

type RunnerFiles = Record<
  | 'GITHUB_OUTPUT'
  | 'GITHUB_STATE'
  | 'GITHUB_ENV'
  | 'GITHUB_PATH'
  | 'GITHUB_STEP_SUMMARY'
  | 'GITHUB_EVENT_PATH',
  string
>

function makeFiles(base: string, event: unknown): RunnerFiles {
  for (const folder of ['files', 'temp', 'workspace', 'tools']) mkdirSync(join(base, folder))
  const file = (name: string, text = ''): string => {
    const path = join(base, 'files', name)
    writeFileSync(path, text)
    return path
  }
  return {
    GITHUB_OUTPUT: file('output'),
    GITHUB_STATE: file('state'),
    GITHUB_ENV: file('env'),
    GITHUB_PATH: file('path'),
    GITHUB_STEP_SUMMARY: file('summary'),
    GITHUB_EVENT_PATH: file('event.json', JSON.stringify(event)),
  }
}

/**
 * What a step finds set on a runner, with no more of this process's environment than a runner's
 * machine would have.
 */
function runnerEnvironment(base: string, { workspace }: RunOptions): Record<string, string> {
  return {
    PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
    HOME: process.env.HOME ?? base,
    LANG: 'C.UTF-8',
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTOR: 'octocat',
    GITHUB_API_URL: 'http://127.0.0.1:9',
    GITHUB_EVENT_NAME: 'workflow_dispatch',
    GITHUB_JOB: 'test',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REPOSITORY: 'acme/shop',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '42',
    GITHUB_SERVER_URL: 'https://github.example',
    GITHUB_SHA: '0'.repeat(40),
    GITHUB_WORKFLOW: 'test',
    GITHUB_WORKSPACE: workspace ?? join(base, 'workspace'),
    RUNNER_ARCH: process.arch.toUpperCase(),
    RUNNER_OS: process.platform === 'darwin' ? 'macOS' : 'Linux',
    RUNNER_TEMP: join(base, 'temp'),
    RUNNER_TOOL_CACHE: join(base, 'tools'),
  }
}

/**
 * `INPUT_*` as the runner makes it: upper case, spaces as underscores, hyphens kept; a default
 * where nothing was given.
 */
function inputVariables(
  declared: NonNullable<ActionFile['inputs']>,
  given: Record<string, string>,
  token: string,
): Record<string, string> {
  for (const name of Object.keys(given))
    if (!(name in declared)) throw new Error(`The action has no input ${name}.`)
  return Object.fromEntries(
    Object.entries(declared).map(([name, input]) => {
      const usual = String(input?.default ?? '').replace(/\$\{\{\s*github\.token\s*\}\}/g, token)
      return [`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`, given[name] ?? usual]
    }),
  )
}

type Ended = Pick<ActionRun, 'code' | 'ms' | 'leftOpen'>

async function runStep(
  script: string,
  env: Record<string, string>,
  log: JobLog,
  options: RunOptions,
): Promise<Ended> {
  if (!existsSync(script)) throw new Error(`${script} does not exist`)
  const began = Date.now()
  const child = spawn(process.execPath, [script], {
    cwd: env.GITHUB_WORKSPACE,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const over = new AbortController()
  const { signal } = options
  const watch = signal !== undefined && 'when' in signal ? signal.when : undefined
  const onLine = (line: string): void => {
    log.add(line)
    if (signal !== undefined && watch?.test(line)) void cancel(child, signal.name, over.signal)
  }
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine)
  if (signal !== undefined && 'after' in signal)
    void after(signal.after, over.signal, () => void cancel(child, signal.name, over.signal))
  let late = false
  void after(options.timeout ?? 240_000, over.signal, () => {
    late = true
    child.kill('SIGKILL')
  })

  let leftOpen = false
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (exitCode, by) =>
      resolve(exitCode ?? 128 + constants.signals[by ?? 'SIGKILL']),
    )
  }).finally(() => over.abort())
  const waited = new AbortController()
  await Promise.race([
    closed,
    after(5000, waited.signal, () => {
      leftOpen = true
    }),
  ]).finally(() => waited.abort())
  child.stdout.destroy()
  child.stderr.destroy()
  if (late) throw new Error(`${script} did not end in time and was killed. It said:\n${log.text()}`)
  return { code, ms: Date.now() - began, leftOpen }
}

/** Only the step's own process is told; what it started is its own care. */
async function cancel(
  child: ReturnType<typeof spawn>,
  first: NodeJS.Signals,
  over: AbortSignal,
): Promise<void> {
  const steps = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const
  for (const name of steps.slice(steps.findIndex((step) => step === first))) {
    child.kill(name)
    if (name !== 'SIGKILL') await after(patience[name], over, () => {})
    if (over.aborted) return
  }
}

/** Waits, then acts; an abort ends the wait, and nothing is done. */
async function after(ms: number, signal: AbortSignal, act: () => void): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
    act()
  } catch {
    // it is over: nothing to do any more
  }
}

/** Reads a file of `name=value` and `name<<delimiter` entries, as the toolkit writes them. */
export function readCommands(path: string): Record<string, string> {
  const found: Record<string, string> = {}
  const lines = readFileSync(path, 'utf8').split(/\r?\n/)
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const block = /^([^=]+?)<<(.+)$/.exec(line)
    const [, name, delimiter] = block ?? []
    if (name !== undefined && delimiter !== undefined) {
      const end = lines.indexOf(delimiter, at + 1)
      if (end < 0) throw new Error(`${path}: ${name} has no end`)
      found[name] = lines.slice(at + 1, end).join('\n')
      at = end
    } else if (line.includes('=')) {
      found[line.slice(0, line.indexOf('='))] = line.slice(line.indexOf('=') + 1)
    } else if (line !== '') {
      throw new Error(`${path}: not an entry: ${line}`)
    }
  }
  return found
}
