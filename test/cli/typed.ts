import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { processesOf } from '../actions/watched-run.ts'

/** The command line under test: of the committed bundle, or of the one in HOLDFAST_TEST_DIST. */
export const dist =
  process.env['HOLDFAST_TEST_DIST'] ?? join(dirname(dirname(import.meta.dirname)), 'dist')

export interface Typed {
  code: number
  stdout: string
  stderr: string
  /** Both, as they came; on a terminal all is one. */
  said: string
  /** Command lines of all its processes, sampled while it ran. */
  commands: string[]
  left: { processes: string[]; files: string[] }
  /** Its TMPDIR, by which its processes are known; removed when the test file ends. */
  temporary: string
}

export interface TypedOptions {
  env?: Record<string, string>
  /**
   * What is typed on a pseudo-terminal, each when the output so far fits; with this, all output is
   * in `said`.
   */
  keys?: { when: RegExp | (() => boolean | Promise<boolean>); type: string }[]
  /** A signal to the command's own process, as soon as the condition holds. */
  cancel?: { name: 'SIGINT' | 'SIGTERM' | 'SIGKILL'; when: () => boolean | Promise<boolean> }
  /** A folder for HOME and its state, kept from one run to the next. */
  home: string
}

const folders: string[] = []
// registered here, for the file: a hook that is registered inside `before` would run as soon as
// that is over
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

/** Runs `node dist/cli.js …` as a person would, with no environment but a person's. */
export async function typed(
  args: readonly string[],
  { env, keys, cancel, home }: TypedOptions,
): Promise<Typed> {
  const temporary = mkdtempSync(join(tmpdir(), 'hf-'))
  folders.push(temporary)
  chmodSync(temporary, 0o755) // a server of the run's own has another user
  const command = [process.execPath, join(dist, 'cli.js'), ...args]
  const environment = {
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    LANG: 'C.UTF-8',
    TERM: 'xterm',
    TMPDIR: temporary,
    ...env,
  }
  const [program = '', ...rest] = keys
    ? ['script', '-qefc', command.map((word) => `'${word}'`).join(' '), '/dev/null']
    : command
  const child = spawn(program, rest, {
    cwd: home,
    env: environment,
    stdio: [keys ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  const ran: Typed = {
    code: -1,
    stdout: '',
    stderr: '',
    said: '',
    commands: [],
    left: { processes: [], files: [] },
    temporary,
  }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (piece: string) => {
      ran[name] += piece
      ran.said += piece
    })
  const over = new AbortController()
  const commands = new Set<string>()
  const sampling = setInterval(
    () => processesOf(temporary).forEach((each) => commands.add(each)),
    40,
  )
  const typing = type(child, keys ?? [], () => ran.said, over.signal)
  const cancelling =
    cancel &&
    (async () => {
      while (!over.signal.aborted && !(await cancel.when())) await sleep(15)
      if (!over.signal.aborted && child.pid !== undefined) process.kill(child.pid, cancel.name)
    })()
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000)
  try {
    ran.code = await new Promise<number>((resolve, reject) =>
      child
        .once('error', reject)
        .once('close', (code, signal) =>
          resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']),
        ),
    )
    over.abort()
    await Promise.all([typing, cancelling])
    for (let i = 0; i < 40 && processesOf(temporary).length > 0; i++) await sleep(25)
    return {
      ...ran,
      commands: [...commands],
      left: { processes: processesOf(temporary), files: readdirSync(temporary) },
    }
  } finally {
    over.abort()
    clearTimeout(timer)
    clearInterval(sampling)
  }
}

async function type(
  child: ChildProcess,
  keys: NonNullable<TypedOptions['keys']>,
  said: () => string,
  signal: AbortSignal,
): Promise<void> {
  child.stdin?.on('error', () => {})
  for (const { when, type: text } of keys) {
    while (!signal.aborted && !(typeof when === 'function' ? await when() : when.test(said())))
      await sleep(15)
    child.stdin?.write(text)
  }
}

/** What runs have noted as held, and not let go. */
export function notes(home: string): unknown[] {
  const folder = join(home, '.local/state/holdfast/runs')
  return existsSync(folder)
    ? readdirSync(folder).map(
        (name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as unknown,
      )
    : []
}
