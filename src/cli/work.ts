import { mkdirSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { Cancelled } from '../errors.ts'
import { childEnvironment } from '../github/environment.ts'
import type { Env } from '../github/inputs/input.ts'
import type { Log, Work } from '../work.ts'

/** SIGHUP arrives when the terminal is closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface TerminalWork {
  work: Work
  cancelledBy(): NodeJS.Signals | undefined
  close(): void
}

/**
 * Starts the Work of a command. The first signal stops it and lets it clean up. The third ends the
 * process at once; then the next run cleans up.
 */
export function startWork(env: Env, log: Log, state: Pick<Work, 'hold' | 'release'>): TerminalWork {
  const controller = new AbortController()
  let came: NodeJS.Signals | undefined
  let times = 0
  const stop = (signal: NodeJS.Signals): void => {
    came ??= signal
    times++
    if (times === 1) log.warning(`Received ${signal}: stopping and cleaning up.`)
    else if (times === 2)
      log.warning(
        'Still cleaning up. Another signal ends this at once; the next run then cleans up.',
      )
    else process.exit(128 + constants.signals[came])
    controller.abort(new Cancelled(`The run was cancelled (${came}).`))
  }
  for (const signal of signals) process.on(signal, stop)
  const temporary = env['TMPDIR'] || tmpdir()
  mkdirSync(temporary, { recursive: true })
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
    },
  }
}
