/**
 * Runs a Holdfast action as a runner would, from the committed dist/, and passes on its process.
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
  /** Called as soon as the process of the main step has started. */
  onStart?: (child: ChildProcess) => void
}

/**
 * Returns the exit code, the log and the outputs. When the signal fires, it cancels the action as a
 * runner would.
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
    // The channel reports a child before it starts; its arguments and pid are known on `spawn`.
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
    // Set in the environment and not as inputs, because an older action.yml does not declare all of
    // them, and ignores those.
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
