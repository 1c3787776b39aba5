import { Cancelled } from '../../errors.ts'
import type { Programs } from './find-programs.ts'
import { type Connection, connectionUrl, libpqEnvironment } from '../connection/connection.ts'
import { start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'

/** A command of the user's, and where it runs. */
export interface Command {
  /** Run by bash. */
  command: string
  workingDirectory: string
  /** Milliseconds. */
  timeout: number
  /**
   * What its environment starts from, before DATABASE_URL and PG* are set: already without our
   * inputs and tokens.
   */
  environment: Record<string, string>
}

export interface CommandEnd {
  /** Null when a signal ended it. */
  exitCode: number | null
  signal: NodeJS.Signals | null
  timedOut: boolean
  /** Milliseconds. */
  took: number
  /** The last that it wrote, stdout and stderr as they came. */
  output: string
}

const shownOutput = 16 * 1024

/**
 * Runs the command by bash (`-e -o pipefail`: a failure in the middle or in a pipe is a failure),
 * with a database's connection in its environment and PostgreSQL's programs of that server's major
 * first on its PATH. What it leaves running is ended with it. How it ended is a result, whatever it
 * is.
 */
export async function runCommand(
  asked: Command,
  connection: Connection,
  programs: Pick<Programs, 'directory'>,
  work: Work,
): Promise<CommandEnd> {
  // our own quieting of event triggers is not the command's: it meets them as on production
  const settings = Object.fromEntries(
    Object.entries(connection.settings).filter(([name]) => name !== 'PGOPTIONS'),
  )
  const reached = { ...connection, settings }
  const env = {
    ...asked.environment,
    ...libpqEnvironment(reached),
    DATABASE_URL: connectionUrl(reached),
    PATH: [programs.directory, asked.environment['PATH'] ?? work.env['PATH'] ?? ''].join(':'),
  }
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(new Cancelled('timeout')), asked.timeout)
  const from = Date.now()
  let output = ''
  try {
    const child = start(
      'bash',
      ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', `exec 2>&1\n${asked.command}`],
      { env, cwd: asked.workingDirectory, stdout: 'pipe', endGroup: true },
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
      took: Date.now() - from,
      output: shown,
    }
  } finally {
    clearTimeout(timer)
  }
}

/**
 * How it ended, as the rest of a sentence that begins with what it was; and what it said last, if
 * it said anything of an error.
 */
export function endOf(
  { exitCode, signal, timedOut, output }: CommandEnd,
  { timeout }: Command,
): string {
  if (timedOut)
    return `was still running after its timeout of ${timeout / 1000} s, and was ended with all that it had started`
  const lines = output.split('\n')
  const said = lines.findLast((line) => /\bERROR\b|\berror:/i.test(line)) ?? lines.at(-1)
  return `ended with ${exitCode === null ? `signal ${signal}` : `exit code ${exitCode}`}${said ? `; it said: ${said}` : ''}`
}

function tail(text: string): string {
  return text.length <= shownOutput
    ? text
    : `(the last ${shownOutput} characters)\n${text.slice(-shownOutput)}`
}
