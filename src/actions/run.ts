import { constants } from 'node:os'
import { Cancelled, messageOf, UserError } from '../errors.ts'
import { annotate, type Annotation } from '../github/annotations.ts'
import type { Env } from '../github/inputs/input.ts'
import { maskSecrets, type Secrets } from '../github/mask.ts'
import { writeOutputs } from '../github/outputs.ts'
import { writeSummary } from '../github/summary.ts'
import { startWork } from '../github/work.ts'
import { failureReport } from '../report/failure.ts'
import type { Work } from '../work.ts'

/** What an action's handler has of the step it runs in. */
export interface Step {
  env: Env
  work: Work
  secrets: Secrets
  /** Sets an output; all are written when the step ends, however it ends. */
  output: (name: string, value: string | number | boolean) => void
  /** Writes the job summary. */
  report: (markdown: string) => void
  /** Shows a few things where nobody overlooks them. */
  annotate: (annotations: readonly Annotation[]) => void
}

/**
 * Runs one action: masks the secrets before anything else, gives the handler its Work, and is the
 * one place where an error ends. A UserError becomes one line and exit code 1, a cancel the code of
 * its signal, and only what is our own fault shows a stack. The outputs `outcome` and `error-code`
 * are always there.
 */
export async function run(action: string, handler: (step: Step) => Promise<void>): Promise<void> {
  const env: Env = process.env
  const secrets = maskSecrets(env)
  const runner = startWork(env, secrets.redact)
  for (const { text, notable } of secrets.warnings)
    runner.work.log[notable ? 'warning' : 'info'](text)
  const outputs = new Map<string, string | number | boolean>()
  let reported = false
  const step: Step = {
    env,
    work: runner.work,
    secrets,
    output: (name, value) => outputs.set(name, value),
    annotate,
    report(markdown) {
      reported = true
      if (!writeSummary(secrets.redact(markdown), env))
        runner.work.log.info('There is no room for a job summary here; the report is left out.')
    },
  }
  try {
    await handler(step)
    outputs.set('outcome', 'success').set('error-code', '')
  } catch (thrown) {
    const failure = failureOf(thrown, runner.cancelledBy())
    outputs
      .set('outcome', failure.cancelled ? 'cancelled' : 'failure')
      .set('error-code', failure.code)
    process.exitCode = failure.exitCode
    const message = secrets.redact(failure.message)
    const hint = secrets.redact(failure.hint)
    say(action, thrown, { ...failure, message, hint }, runner.work)
    if (!reported) step.report(failureReport({ action, ...failure, message, hint }))
  } finally {
    writeOutputs(outputs)
    runner.close()
  }
  endSoon(runner.work)
}

export interface StepFailure {
  cancelled: boolean
  code: string
  message: string
  hint: string
  exitCode: number
}

/**
 * What was thrown, as a person is told it. `signal` is the one that stopped the work, if one did.
 */
export function failureOf(thrown: unknown, signal: NodeJS.Signals | undefined): StepFailure {
  // children that are stopped, and connections that are cut, fail in many ways; the signal is why
  if (signal || thrown instanceof Cancelled) {
    const message = signal ? `The run was cancelled (${signal}).` : messageOf(thrown)
    return {
      cancelled: true,
      code: 'cancelled',
      message,
      hint: '',
      exitCode: 128 + constants.signals[signal ?? 'SIGINT'],
    }
  }
  if (thrown instanceof UserError)
    return {
      cancelled: false,
      code: thrown.code,
      message: thrown.message,
      hint: thrown.hint,
      exitCode: 1,
    }
  const hint =
    'This is a fault of the action itself. Please report it with the stack below, and with a log of a run with debug logging on.'
  return {
    cancelled: false,
    code: 'internal',
    message: `Unexpected error: ${messageOf(thrown)}`,
    hint,
    exitCode: 1,
  }
}

function say(action: string, thrown: unknown, failure: StepFailure, work: Work): void {
  if (failure.cancelled) {
    annotate([{ severity: 'warning', title: `${action} cancelled`, message: failure.message }])
    work.log.debug(stacks(thrown))
    return
  }
  annotate([
    {
      severity: 'error',
      title: `${action} failed`,
      message: `${failure.message}\n${failure.hint}`.trim(),
    },
  ])
  if (thrown instanceof UserError) work.log.debug(stacks(thrown))
  else work.log.info(stacks(thrown))
}

/** The stack of what was thrown, and of what caused it. */
export function stacks(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const own = thrown.stack ?? messageOf(thrown)
  return thrown.cause === undefined ? own : `${own}\nCaused by: ${stacks(thrown.cause)}`
}

/**
 * All is done and cleaned up: lets the process end by itself, and ends it if a connection that
 * idles would keep it alive.
 */
function endSoon(work: Work): void {
  setTimeout(() => {
    work.log.debug(`Still open at the end: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit()
  }, 1000).unref()
}
