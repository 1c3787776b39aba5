/** The runner's side of a step: inputs, masks, outputs, state, log and job summary. */
import { debug, group, info, isDebug, warning } from '@actions/core'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { Cancelled } from '../errors.ts'
import { flatten, logLines } from '../escape.ts'
import { startTicks } from '../stream/process.ts'
import { mapText } from '../report/blocks.ts'
import { plainText, type Text } from '../text.ts'
import type { Held, Log, Work } from '../work.ts'
import { childEnvironment } from './environment.ts'
import type { Env } from './inputs/input.ts'
import { heldInState } from './state.ts'

/** A Work and its signal handlers. */
export interface RunnerWork {
  work: Work
  /** Returns the signal that cancelled the work, if one did. */
  cancelledBy(): NodeJS.Signals | undefined
  /** Removes the signal handlers and releases this process. */
  close(): void
}

/** The runner sends SIGINT, after 7.5 seconds SIGTERM, and after 2.5 more seconds SIGKILL. */
const signals = ['SIGINT', 'SIGTERM'] as const

/**
 * Starts the Work of this process as a step of the runner. The process itself is the first thing
 * held: in a container job the runner's signals do not arrive, and `post` can begin while this
 * process still runs.
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
    log.info(`Received ${signal}: stopping and cleaning up.`)
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
 * Ends the step before this one if it still runs: by SIGTERM, so that it cleans up, and by SIGKILL
 * if it does not end within `timeout` milliseconds. That step's process is the first thing it held.
 * It does not lead a process group, unlike its children.
 */
export async function endEarlierStep(held: readonly Held[], timeout = 5000): Promise<void> {
  const first = held[0]
  if (first?.kind !== 'process') return
  const runs = (): boolean => first.startTicks !== '' && startTicks(first.pid) === first.startTicks
  const deadline = Date.now() + timeout
  for (let signalled = false; runs() && Date.now() < deadline; signalled = true) {
    if (!signalled) signal(first.pid, 'SIGTERM')
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

/** Removes secrets from a text. The runner does so too, but not everywhere a log is kept. */
type Redact = (text: string) => string

function runnerLog(redact: Redact): Log {
  // before and after: quotes around a value can split a secret, and so can the pieces of a text
  const shown = (text: Text): string => logLines(redact(plainText(mapText(text, redact))))
  return {
    info: (text) => printInert(shown(text)),
    debug: (text) => {
      if (isDebug()) debug(redact(text))
    },
    warning: (text) => warning(shown(text)),
    group: (title, body) => group(flatten(redact(title)), body),
  }
}

/**
 * Prints text that may not be trusted, such as the output of a migration. The runner would run a
 * line that looks like a workflow command (`::set-output …`). Between these two commands it runs
 * none, and the token that ends them cannot be guessed.
 */
function printInert(text: string): void {
  if (!/^[^\S\n]*::/m.test(text)) return info(text)
  const token = randomUUID()
  info(`::stop-commands::${token}\n${text}\n::${token}::`)
}
