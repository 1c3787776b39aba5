import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { Cancelled } from '../errors.ts'
import type { Work } from '../work.ts'

/**
 * A child process of ours: its streams, and how it ended.
 *
 * A stream that ended says nothing of how the child ended: whoever reads `stdout` also awaits
 * `exit` before anything is called finished. The command line is logged for debugging, so it never
 * holds a secret: those travel in `env`.
 */
export interface Child {
  readonly name: string
  readonly pid: number
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  /**
   * Settles when the child has ended and its streams are closed. Rejects only if the program could
   * not be started.
   */
  readonly exit: Promise<Exit>
  /** What stderr said so far (the last 256 KiB). */
  stderr(): string
  /**
   * Ends the child and what it started: SIGTERM to its process group, SIGKILL after two seconds.
   * Settles when it is gone.
   */
  stop(): Promise<void>
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
  stderr: string
}

export interface StartOptions {
  /** The whole environment of the child; nothing is inherited. */
  env: Record<string, string>
  cwd?: string
  stdin?: 'pipe' | 'ignore'
  stdout?: 'pipe' | 'ignore' | number
  stderr?: 'pipe' | number
  /** Run as this user; for servers that refuse to run as root. */
  user?: { uid: number; gid: number }
  /** Once the program has ended, end whatever it left running in its process group. */
  endGroup?: boolean
  /** Called with each whole line of stderr as it comes. */
  onLine?: (line: string) => void
}

const keptStderr = 256 * 1024

/** Starts a program in a process group of its own; it is stopped when the work's signal fires. */
export function start(
  program: string,
  args: readonly string[],
  options: StartOptions,
  work: Work,
): Child {
  if (work.signal.aborted) throw asError(work.signal.reason)
  const name = program.slice(program.lastIndexOf('/') + 1)
  work.log.debug(`$ ${[program, ...args].map(quoteArgument).join(' ')}`)
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: [options.stdin ?? 'ignore', options.stdout ?? 'ignore', options.stderr ?? 'pipe'],
    ...(options.user ?? {}),
  })
  const held =
    child.pid === undefined
      ? undefined
      : { kind: 'process' as const, pid: child.pid, startTicks: startTicks(child.pid) }
  if (held) work.hold(held)
  let stderr = ''
  let line = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr)
    if (!options.onLine) return
    const lines = (line + text).split('\n')
    line = lines.pop() ?? ''
    lines.forEach(options.onLine)
  })
  const stop = (): Promise<void> => stopGroup(child)
  const onAbort = (): void => void stop()
  work.signal.addEventListener('abort', onAbort, { once: true })
  const exit = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    let late: NodeJS.Timeout | undefined
    if (options.endGroup)
      child.once('exit', () => {
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
        // what has left the group may hold the output for as long as it lives: it is not waited for
        late = setTimeout(
          () => [child.stdout, child.stderr].forEach((stream) => stream?.destroy()),
          1000,
        )
      })
    child.once('close', (code, signal) => {
      clearTimeout(late)
      if (line) options.onLine?.(line)
      resolve({ code, signal, stderr })
    })
  }).finally(() => {
    work.signal.removeEventListener('abort', onAbort)
    if (held) work.release(held)
  })
  exit.catch(() => {}) // whoever awaits `exit` sees the failure; nobody awaiting it yet is no crash
  child.stdin?.on('error', () => {}) // EPIPE: the exit code says why
  return {
    name,
    pid: child.pid ?? -1,
    stdin: child.stdin,
    stdout: child.stdout,
    exit,
    stderr: () => stderr,
    stop,
  }
}

/** Runs a program to its end and gives what it wrote to stdout, as text. For small outputs. */
export async function capture(
  program: string,
  args: readonly string[],
  options: StartOptions,
  work: Work,
): Promise<Exit & { stdout: string }> {
  const child = start(program, args, { ...options, stdout: 'pipe' }, work)
  const pieces: Buffer[] = []
  child.stdout?.on('data', (piece: Buffer) => pieces.push(piece))
  const exit = await child.exit
  if (work.signal.aborted) throw asError(work.signal.reason)
  return { ...exit, stdout: Buffer.concat(pieces).toString('utf8') }
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  signalGroup(child.pid, 'SIGTERM')
  const timer = setTimeout(() => signalGroup(child.pid as number, 'SIGKILL'), 2000)
  await gone.finally(() => clearTimeout(timer))
}

/** Sends a signal to a process group; a group that is gone is no error. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * When a process started, in clock ticks since boot (field 22 of /proc/PID/stat). Empty where there
 * is no /proc, or no such process; one that has ended and is only not yet reaped is none.
 */
export function startTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? '' : (fields[18] ?? '')
  } catch {
    return ''
  }
}

function quoteArgument(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Cancelled()
}
