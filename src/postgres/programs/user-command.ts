import { Cancelled } from '../../errors.ts'
import type { Programs } from './find-programs.ts'
import { type Connection, connectionUrl, libpqEnvironment } from '../connection/connection.ts'
import { start as startProcess } from '../../stream/process.ts'
import type { Work } from '../../work.ts'

/** A command that a user wrote, and where it runs. */
export interface Command {
  /** A script for bash. */
  command: string
  workingDirectory: string
  /** Milliseconds. */
  timeout: number
  /** Its environment without DATABASE_URL and PG*: holds none of the run's inputs and tokens. */
  environment: Record<string, string>
}

export interface CommandEnd {
  /** Null if a signal ended it. */
  exitCode: number | null
  signal: NodeJS.Signals | null
  timedOut: boolean
  /** Milliseconds. */
  took: number
  /** The end of stdout and stderr together, at most 16 KiB. */
  output: string
}

/** Characters of the output that are logged and kept. */
const shownOutput = 16 * 1024

/**
 * Runs the command with bash (`-e -o pipefail`: a failure in the middle or in a pipe is a failure).
 * Its environment has the database's connection, and PATH starts with `programs`. Kills processes
 * that it leaves running. Returns how it ended, also if it failed.
 */
export async function runCommand(
  command: Command,
  connection: Connection,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<CommandEnd> {
  const env = environmentOf(command, connection, programs, work)
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(new Cancelled('timeout')), command.timeout)
  const start = Date.now()
  let output = ''
  try {
    const child = startProcess(
      'bash',
      ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', `exec 2>&1\n${command.command}`],
      { env, cwd: command.workingDirectory, stdout: 'pipe', endGroup: true },
      { ...work, signal: AbortSignal.any([work.signal, deadline.signal]) },
    )
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4 * shownOutput)
    })
    const exit = await child.exit
    work.signal.throwIfAborted()
    const shown = tail(output.trimEnd())
    if (shown) await work.log.group('What the command wrote', async () => work.log.info(shown))
    return {
      exitCode: exit.code,
      signal: exit.signal,
      timedOut: deadline.signal.aborted,
      took: Date.now() - start,
      output: shown,
    }
  } finally {
    clearTimeout(timer)
  }
}

function environmentOf(
  { environment }: Command,
  connection: Connection,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Record<string, string> {
  // PGOPTIONS may turn event triggers off: the command must meet them as in production
  const settings = Object.fromEntries(
    Object.entries(connection.settings).filter(([name]) => name !== 'PGOPTIONS'),
  )
  const database = { ...connection, settings }
  return {
    ...environment,
    ...libpqEnvironment(database),
    DATABASE_URL: connectionUrl(database),
    PATH: [programs.directory, environment['PATH'] ?? work.env['PATH'] ?? ''].join(':'),
  }
}

/**
 * Returns how a command ended, as the predicate of a sentence, for example `ended with exit code 3`.
 * Includes the last line about an error, or else the last line of its output.
 */
export function endOf(
  { exitCode, signal, timedOut, output }: CommandEnd,
  { timeout }: Command,
): string {
  if (timedOut)
    return (
      `was still running after its timeout of ${timeout / 1000} s, ` +
      'and was stopped with all its processes'
    )
  const lines = output.split('\n')
  const said = lines.findLast((line) => /\bERROR\b|\berror:/i.test(line)) ?? lines.at(-1)
  const end = exitCode === null ? `signal ${signal}` : `exit code ${exitCode}`
  return `ended with ${end}${said ? `; it said: ${said}` : ''}`
}

function tail(text: string): string {
  return text.length <= shownOutput
    ? text
    : `(the last ${shownOutput} characters)\n${text.slice(-shownOutput)}`
}
