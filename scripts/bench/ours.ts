/**
 * Runs one of our actions as a runner would, from the committed dist/, and says which process it
 * is.
 */
import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type ActionRun, runAction } from '../../test/support/mini-runner.ts'

/** Milliseconds. */
const limit = 3 * 3_600_000

export interface Call {
  name: 'backup' | 'verify' | 'restore'
  inputs: Record<string, string>
  env: Record<string, string>
  /** For the runner's own files. */
  folder: string
  signal: AbortSignal
  /** Called as soon as the main step's process is there. */
  onStart?: (child: ChildProcess) => void
}

/**
 * Its exit code, what it said, what it gave out. When the signal fires, it is cancelled as a runner
 * would.
 */
export async function call({
  name,
  inputs,
  env,
  folder,
  signal,
  onStart,
}: Call): Promise<Pick<ActionRun, 'code' | 'log' | 'outputs' | 'ms'>> {
  signal.throwIfAborted()
  let main: ChildProcess | undefined
  const onChild = (message: unknown): void => {
    const child = (message as { process: ChildProcess }).process
    // Told of before it is started: what it is, and its pid, are known a moment later.
    child.once('spawn', () => {
      if (!child.spawnargs.some((argument) => argument.endsWith(`/${name}/main.js`))) return
      main = child
      onStart?.(child)
    })
  }
  const onAbort = (): void => void main?.kill('SIGINT')
  subscribe('child_process', onChild)
  signal.addEventListener('abort', onAbort)
  try {
    // By the environment and not as inputs: an older action.yml does not know all of them, and then
    // they mean nothing.
    const variables = Object.fromEntries(
      Object.entries(inputs).map(([input, value]) => [`INPUT_${input.toUpperCase()}`, value]),
    )
    const run = await runAction(name, {}, { env: { ...variables, ...env }, folder, timeout: limit })
    signal.throwIfAborted()
    return run
  } finally {
    unsubscribe('child_process', onChild)
    signal.removeEventListener('abort', onAbort)
  }
}
