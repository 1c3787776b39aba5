import { debug, group, info, isDebug, warning } from '@actions/core'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { Cancelled } from '../errors.ts'
import { startTicks } from '../stream/process.ts'
import type { Held, Log, Work } from '../work.ts'
import { childEnvironment } from './environment.ts'
import type { Env } from './inputs/input.ts'
import { heldInState } from './state.ts'

/**
 * A Work, and what ends it: `close` takes the listeners away again and notes that this process need
 * not be stopped.
 */
export interface RunnerWork {
  work: Work
  /** The signal that came, if one did. */
  cancelledBy(): NodeJS.Signals | undefined
  close(): void
}

/** The runner sends SIGINT, 7.5 seconds later SIGTERM, and 2.5 seconds later it kills. */
const signals = ['SIGINT', 'SIGTERM'] as const

/**
 * The Work of this process, as the runner's step. The process itself is the first thing held: in a
 * container job the runner's signals do not arrive, and `post` may begin while this still runs.
 */
export function startWork(
  env: Env,
  redact: Redact,
  state: Pick<Work, 'hold' | 'release'> = heldInState(),
): RunnerWork {
  const temporary = env['RUNNER_TEMP'] || tmpdir()
  mkdirSync(temporary, { recursive: true })
  const log = runnerLog(redact)
  const controller = new AbortController()
  let came: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals): void => {
    if (came) return
    came = signal
    log.info(`Received ${signal}: stopping, and cleaning up.`)
    controller.abort(new Cancelled(`The run was cancelled (${signal}).`))
  }
  for (const signal of signals) process.on(signal, stop)
  const self: Held = { kind: 'process', pid: process.pid, startTicks: startTicks(process.pid) }
  state.hold(self)
  return {
    work: {
      signal: controller.signal,
      log,
      env: childEnvironment(env),
      temporary,
      hold: state.hold,
      release: state.release,
    },
    cancelledBy: () => came,
    close() {
      for (const signal of signals) process.off(signal, stop)
      state.release(self)
    },
  }
}

/**
 * Ends the step before this one if it still runs: as a cancel would, so that it cleans up after
 * itself, and by force if it does not. It is what that step held first; and not the leader of a
 * process group, as its children are.
 */
export async function endEarlierStep(held: readonly Held[], timeout = 5000): Promise<void> {
  const first = held[0]
  if (first?.kind !== 'process') return
  const runs = (): boolean => first.startTicks !== '' && startTicks(first.pid) === first.startTicks
  const deadline = Date.now() + timeout
  for (let told = false; runs() && Date.now() < deadline; told = true) {
    if (!told) signal(first.pid, 'SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  if (runs()) signal(first.pid, 'SIGKILL')
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * Takes secrets out of a text: the runner does so too, but not in every place where a log may be
 * kept.
 */
type Redact = (text: string) => string

function runnerLog(redact: Redact): Log {
  return {
    info: (text) => printInert(redact(text)),
    debug: (text) => {
      if (isDebug()) debug(redact(text))
    },
    warning: (text) => warning(redact(text)),
    group: (title, body) => group(redact(title), body),
  }
}

/**
 * Prints text that may be somebody else's, such as what a migration wrote. The runner would obey a
 * line of it that looks like a workflow command (`::set-output …`, `##[…]`); between these marks it
 * obeys none, and the word that ends them is not to be guessed.
 */
function printInert(text: string): void {
  if (!/^\s*::|##\[/m.test(text)) return info(text)
  const token = randomUUID()
  info(`::stop-commands::${token}\n${text}\n::${token}::`)
}
