import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { Cancelled } from '../errors.ts'
import type { Work } from '../work.ts'

/**
 * A child process: its streams and its exit.
 *
 * The end of `stdout` says nothing about the exit code: always await `exit` before you treat the
 * output as complete. The command line is logged for debugging, so it must not contain a secret:
 * pass secrets in `env`.
 */
export interface Child {
  readonly name: string
  readonly pid: number
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  /**
   * Resolves when the child has ended and its streams are closed. Rejects only if the program could
   * not be started.
   */
  readonly exit: Promise<Exit>
  /** Returns what the child wrote to stderr so far (the last 256 KiB). */
  stderr(): string
  /**
   * Ends the child and what it started: SIGTERM to its process group, SIGKILL after two seconds.
   * Resolves when the child has ended.
   */
  stop(): Promise<void>
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
  stderr: string
}

export interface StartOptions {
  /** The complete environment of the child; it inherits nothing. */
  env: Record<string, string>
  cwd?: string
  stdin?: 'pipe' | 'ignore'
  stdout?: 'pipe' | 'ignore' | number
  stderr?: 'pipe' | number
  /** Runs the child as this user, for servers that refuse to run as root. */
  user?: { uid: number; gid: number }
  /** Once the program has ended, kills what it left running in its process group. */
  endGroup?: boolean
  /** Called with each complete line of stderr as it comes. */
  onLine?: (line: string) => void
}

/** Bytes of stderr that are kept. */
const keptStderr = 256 * 1024

/**
 * Starts a program in its own process group and stops it when the work's signal fires. Throws the
 * signal's reason if it has fired already.
 */
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
  const stderr = collectStderr(child, options.onLine)
  const stop = (): Promise<void> => stopGroup(child)
  const onAbort = (): void => void stop()
  work.signal.addEventListener('abort', onAbort, { once: true })
  const exit = exitOf(child, stderr, options.endGroup ?? false).finally(() => {
    work.signal.removeEventListener('abort', onAbort)
    if (held) work.release(held)
  })
  exit.catch(() => {}) // The failure stays in `exit`. It is no crash if nothing awaits it yet.
  child.stdin?.on('error', () => {}) // EPIPE: the exit code says why.
  return {
    name,
    pid: child.pid ?? -1,
    stdin: child.stdin,
    stdout: child.stdout,
    exit,
    stderr,
    stop,
  }
}

/** Resolves when the child has ended and its streams are closed. */
function exitOf(child: ChildProcess, stderr: () => string, endGroup: boolean): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    let late: NodeJS.Timeout | undefined
    if (endGroup)
      child.once('exit', () => {
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
        // A process that left the group may keep the output open. Do not wait for it.
        late = setTimeout(
          () => [child.stdout, child.stderr].forEach((stream) => stream?.destroy()),
          1000,
        )
      })
    child.once('close', (code, signal) => {
      clearTimeout(late)
      resolve({ code, signal, stderr: stderr() })
    })
  })
}

/**
 * Collects the end of what the child writes to stderr, and passes on each line. Returns a function
 * that returns the text so far.
 */
function collectStderr(child: ChildProcess, onLine?: (line: string) => void): () => string {
  let stderr = ''
  let line = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr)
    if (!onLine) return
    const lines = (line + text).split('\n')
    line = lines.pop() ?? ''
    lines.forEach(onLine)
  })
  child.once('close', () => {
    if (line) onLine?.(line)
  })
  return () => stderr
}

/**
 * Runs a program to its end. Returns its exit and what it wrote to stdout, as text held in memory.
 * Throws the signal's reason if the work is stopped.
 */
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

/** Sends a signal to a process group. A group that does not exist is not an error. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * Returns when a process started, in clock ticks since boot (field 22 of /proc/PID/stat). Returns an
 * empty string without /proc, or without such a process; a zombie does not count.
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
