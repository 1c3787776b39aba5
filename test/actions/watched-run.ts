import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ActionRun, readCommands, runAction, type RunOptions } from '../support/mini-runner.ts'

const folders: string[] = []
// registered here, for the file: a hook that is registered inside `before` would run as soon as
// that is over
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

/** An empty folder, removed when the test file ends. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  folders.push(folder)
  return folder
}

/** An action's run, and what was seen of it from outside. */
export interface WatchedRun extends ActionRun {
  /** Command lines of all its processes, sampled while it ran. */
  commands: string[]
  /**
   * What was there after its post step (or, without one, after a kill): command lines of processes,
   * paths of files.
   */
  left: { processes: string[]; files: string[] }
  /** Milliseconds from the signal that `cancel` sent to the end of main. */
  endedAfter: number | undefined
}

export interface WatchOptions extends Omit<RunOptions, 'folder' | 'signal'> {
  /** Sends main this signal, once, as soon as the condition holds. */
  cancel?: { name: 'SIGINT' | 'SIGTERM' | 'SIGKILL'; when: () => boolean | Promise<boolean> }
  /** Called with the folder that has this run's files, before they are removed. */
  look?: (run: ActionRun) => void
}

/**
 * Runs an action with a temporary folder of its own. Its processes are known by that: all inherit
 * TMPDIR, and a server of theirs has it in its command line. So what it leaves behind is seen,
 * whatever else this machine does.
 */
export async function watchedRun(
  action: string,
  inputs: Record<string, string>,
  options: WatchOptions = {},
): Promise<WatchedRun> {
  const { cancel, look, ...rest } = options
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-run-'))
  const temporary = mkdtempSync(join(tmpdir(), 'hf-'))
  chmodSync(temporary, 0o755) // a server of the run's own has another user
  const commands = new Set<string>()
  const sampling = setInterval(
    () => processesOf(temporary).forEach((command) => commands.add(command)),
    40,
  )
  const over = new AbortController()
  let sent: number | undefined
  const cancelling =
    cancel === undefined
      ? undefined
      : (async () => {
          while (!over.signal.aborted && !(mainOf(folder) !== undefined && (await cancel.when())))
            await sleep(15)
          const pid = mainOf(folder)
          if (over.signal.aborted || pid === undefined) return
          sent = Date.now()
          process.kill(pid, cancel.name)
        })()
  let endedAfter: number | undefined
  const watching = setInterval(() => {
    const pid = mainOf(folder)
    if (
      sent !== undefined &&
      endedAfter === undefined &&
      (pid === undefined || !existsSync(`/proc/${pid}`))
    )
      endedAfter = Date.now() - sent
  }, 20)
  try {
    const run = await runAction(action, inputs, {
      ...rest,
      folder,
      env: { TMPDIR: temporary, ...rest.env },
    })
    look?.(run)
    over.abort()
    await cancelling
    if (cancel && sent === undefined) assert.fail(`the moment to cancel at never came:\n${run.log}`)
    // a child that was sent SIGKILL is gone as soon as the kernel comes to it
    for (let i = 0; i < 20 && processesOf(temporary).length > 0; i++) await sleep(25)
    return {
      ...run,
      commands: [...commands],
      left: { processes: processesOf(temporary), files: readdirSync(temporary) },
      endedAfter,
    }
  } finally {
    over.abort()
    clearInterval(sampling)
    clearInterval(watching)
    for (const path of [folder, temporary]) rmSync(path, { recursive: true, force: true })
  }
}

/** The process of the main step: the first thing that it notes as held. */
function mainOf(folder: string): number | undefined {
  const [state] = globSync(join(folder, 'runner-*/files/state'))
  if (state === undefined) return undefined
  try {
    const [first] = JSON.parse(readCommands(state)['held'] ?? '[]') as {
      kind: string
      pid: number
    }[]
    return first?.kind === 'process' ? first.pid : undefined
  } catch {
    return undefined // caught while it was written
  }
}

/**
 * Command lines of the processes that have this folder as TMPDIR or in their arguments; one that
 * has ended and is only not yet reaped is none.
 */
export function processesOf(folder: string): string[] {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8').replaceAll('\0', ' ').trim()
    } catch {
      return ''
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) => {
      const command = read(`/proc/${pid}/cmdline`)
      return command &&
        (command.includes(folder) || read(`/proc/${pid}/environ`).includes(`TMPDIR=${folder}`))
        ? [command]
        : []
    })
}

/** A secret may stand in a line by which the runner is told to mask it, and nowhere else. */
export function assertNoSecret(run: WatchedRun, secrets: readonly string[]): void {
  const places: Record<string, string> = {
    log: run.raw
      .split('\n')
      .filter((line) => !line.startsWith('::add-mask::'))
      .join('\n'),
    summary: run.summary,
    outputs: JSON.stringify(run.outputs),
    state: JSON.stringify(run.state),
    environment: JSON.stringify(run.exported),
    'command lines': run.commands.join('\n'),
  }
  for (const secret of secrets.flatMap((each) => [each, encodeURIComponent(each)]))
    for (const [place, text] of Object.entries(places)) {
      const at = text.indexOf(secret)
      const around = text.slice(Math.max(0, at - 200), at + 80)
      assert.equal(at, -1, `a secret stands in the ${place}: ${around}`)
    }
}
