/**
 * The command line: runs the actions' code without a runner. Its flags are the actions' inputs, from
 * the same table.
 */
import { backupStep } from '../actions/backup.ts'
import { failureOf, stacks, type Step } from '../actions/run.ts'
import { testMigrationStep } from '../actions/test-migration.ts'
import { verifyStep } from '../actions/verify.ts'
import type { Env } from '../github/inputs/input.ts'
import { inputLines } from '../github/inputs/input.ts'
import { findSecrets } from '../github/mask.ts'
import { verdict } from '../report/blocks.ts'
import { failureReport, initialState } from '../report/failure.ts'
import { join, type Text } from '../text.ts'
import { version } from '../version.ts'
import { type Asked, readArguments } from './arguments.ts'
import { Declined, restoreAsked } from './confirm.ts'
import { keysFrom, stepEnvironment } from './environment.ts'
import { helpText } from './help.ts'
import { heldInFile, stateFolder } from './state.ts'
import { statusStep } from './status.ts'
import { placeOf, serversOf, sweepEarlier } from './sweep-earlier-runs.ts'
import { openTerminal, type Terminal, type TerminalOptions } from './terminal.ts'
import { startWork } from './work.ts'

/**
 * Runs one command: the code of the actions, without a runner. Reads the arguments, gives the step
 * the environment that a runner would give it, and handles every error. The exit codes are those of
 * the actions.
 */
export async function cli(argv: readonly string[], env: Env): Promise<void> {
  const options: TerminalOptions = {
    json: argv.includes('--json'),
    debug: false,
    plain: Boolean(env['NO_COLOR']) || env['TERM'] === 'dumb',
    secrets: findSecrets(env),
  }
  let command = 'holdfast'
  try {
    const asked = readArguments(argv)
    if ('version' in asked) return openTerminal({ ...options, json: false }).print(version)
    if ('help' in asked)
      return openTerminal({ ...options, json: false }).report(helpText(asked.help))
    command = asked.command
    const early = openTerminal(options)
    const stepEnv = stepEnvironment(asked, env, (text) => early.log.warning(text))
    await perform(asked, stepEnv, options)
  } catch (error) {
    // no work has started: a misspelt flag, a missing input
    fail({ command, state: initialState(command) }, error, openTerminal(options), new Map())
    if (options.json)
      openTerminal(options).result({
        outcome: 'failure',
        'error-code': failureOf(error, undefined).code,
      })
  }
}

type Outputs = Map<string, unknown>

async function perform(asked: Asked, env: Env, options: TerminalOptions): Promise<void> {
  const { command } = asked
  const secrets = findSecrets(env)
  const terminal = openTerminal({
    ...options,
    json: asked.json,
    debug: asked.debug,
    secrets,
  })
  for (const { text, notable } of secrets.warnings) if (notable) terminal.log.warning(text)
  const folder = stateFolder(env)
  const servers = Object.fromEntries(
    serversOf(env).map((connection) => [connection.input, placeOf(connection)]),
  )
  const held = heldInFile(
    folder,
    { command, started: new Date().toISOString(), storage: inputLines(env, 'storage'), servers },
    terminal.log,
  )
  const running = startWork(env, terminal.log, held)
  const outputs: Outputs = new Map()
  let state = initialState(command)
  const step: Step = {
    env,
    work: running.work,
    secrets,
    output: (name, value) => outputs.set(name, value),
    keepsFiles: asked.json,
    state: (text) => (state = text),
    report(report) {
      terminal.report(report)
      // it says how things are
      state = ''
    },
    annotate: (annotations) => terminal.annotate(annotations),
  }
  try {
    await sweepEarlier(folder, env, running.work)
    running.work.signal.throwIfAborted()
    await handlers[command](step, terminal, outputs)
    outputs.set('outcome', 'success').set('error-code', '')
  } catch (error) {
    const ending = { command, state, signal: running.cancelledBy() }
    fail(ending, error, terminal, outputs, keysFrom(asked))
  } finally {
    running.close()
  }
  showOutputs(outputs, asked, terminal)
  // an idle connection must not keep the process alive
  setTimeout(() => process.exit(), 1000).unref()
}

const handlers: Record<
  Asked['command'],
  (step: Step, terminal: Terminal, outputs: Outputs) => Promise<void>
> = {
  backup: backupStep,
  verify: verifyStep,
  'test-migration': testMigrationStep,
  restore: restoreAsked,
  status: (step, _, outputs) => statusStep(step, (name, value) => outputs.set(name, value)),
}

function fail(
  { command, state, signal }: { command: string; state: Text; signal?: NodeJS.Signals | undefined },
  thrown: unknown,
  terminal: Terminal,
  outputs: Outputs,
  keys: Text = '',
): void {
  const failure = failureOf(thrown, signal)
  if (['wrong-key', 'bad-identity'].includes(failure.code))
    failure.hint = join([failure.hint, keys], ' ')
  process.exitCode = failure.exitCode
  outputs
    .set('outcome', failure.cancelled ? 'cancelled' : 'failure')
    .set('error-code', failure.code)
  if (failure.code === 'internal') terminal.log.warning(stacks(thrown))
  else terminal.log.debug(stacks(thrown))
  terminal.failure(
    thrown instanceof Declined
      ? [verdict('stopped', 'Stopped. Nothing was changed.')]
      : failureReport({ action: command, state, ...failure }),
  )
}

function showOutputs(outputs: Outputs, { json }: Asked, terminal: Terminal): void {
  if (json) return terminal.result(Object.fromEntries(outputs))
  for (const [name, value] of outputs) {
    if (name === 'outcome' || name === 'error-code' || value === '') continue
    // a list is for other programs; the report has shown it
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      terminal.print(`${name}: ${value}`)
  }
}
