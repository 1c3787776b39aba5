import { constants } from 'node:os'
import { Cancelled, errorPage, messageOf, UserError } from '../errors.ts'
import { actionAddress } from '../github/action-address.ts'
import { annotate, type Annotation } from '../github/annotations.ts'
import type { Env } from '../github/inputs/input.ts'
import { maskSecrets, type Secrets } from '../github/mask.ts'
import { writeOutputs } from '../github/outputs.ts'
import { writeSummary } from '../github/summary.ts'
import { startWork } from '../github/work.ts'
import { mapReport, mapText, type Report } from '../report/blocks.ts'
import { failureReport, initialState } from '../report/failure.ts'
import { either, plainText, type Text, text } from '../text.ts'
import type { Work } from '../work.ts'

/** The step in which an action's handler runs. */
export interface Step {
  env: Env
  work: Work
  secrets: Secrets
  /** Sets an output. All outputs are written when the step ends, even if it fails. */
  output: (name: string, value: string | number | boolean) => void
  /** Says what is true if the step fails from now on. The report of a failure ends with it. */
  state: (text: Text) => void
  /** Shows the report: in the job summary, or in the terminal. */
  report: (report: Report) => void
  /** Whether a file with the full result may stay: on a terminal, only for `--json`. */
  keepsFiles: boolean
  /** Shows a few sentences where they are not overlooked. */
  annotate: (annotations: readonly Annotation[]) => void
}

/**
 * Runs one action. Masks the secrets before anything else, starts the Work, and handles every error
 * of the handler: a UserError becomes one annotation and exit code 1, a cancellation the exit code
 * of its signal, and only a bug of Holdfast shows a stack. Always sets the outputs `outcome` and
 * `error-code`.
 */
export async function run(action: string, handler: (step: Step) => Promise<void>): Promise<void> {
  const env: Env = process.env
  const secrets = maskSecrets(env)
  const runner = startWork(env, secrets.redact)
  for (const { text, notable } of secrets.warnings)
    runner.work.log[notable ? 'warning' : 'info'](text)
  const outputs = new Map<string, string | number | boolean>()
  let reported = false
  let state = initialState(action)
  const step: Step = {
    env,
    work: runner.work,
    secrets,
    output: (name, value) => outputs.set(name, value),
    state: (text) => (state = text),
    annotate,
    keepsFiles: true,
    report(report) {
      reported = true
      if (!writeSummary(mapReport(report, secrets.redact), env))
        runner.work.log.info('The report was not written: the job summary has no room for it.')
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
    const shown = {
      ...failure,
      message: mapText(failure.message, secrets.redact),
      hint: mapText(failure.hint, secrets.redact),
      state: mapText(state, secrets.redact),
      ...pageOf(failure, env),
    }
    annotateFailure(action, thrown, shown, runner.work)
    if (!reported) step.report(failureReport({ action, ...shown }))
  } finally {
    writeOutputs(outputs)
    runner.close()
  }
  endSoon(runner.work)
}

export interface StepFailure {
  cancelled: boolean
  code: string
  message: Text
  hint: Text
  /** The address of the code's section in the reference of errors; undefined for our own bugs. */
  page?: string
  exitCode: number
}

/** Returns the failure to show for a thrown value. `signal` is the signal that stopped the work. */
export function failureOf(thrown: unknown, signal: NodeJS.Signals | undefined): StepFailure {
  // stopped children and closed connections fail in many ways; the signal is the cause
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
      message: mapText(thrown.texts.message, shorten),
      hint: thrown.texts.hint,
      page: errorPage(thrown.code),
      exitCode: 1,
    }
  return {
    cancelled: false,
    code: 'internal',
    message: shorten(`Unexpected error: ${messageOf(thrown)}`),
    hint: text`This is a bug in Holdfast. Report it with the stack trace and the log of a run
      ${either('with debug logging on', 'with --debug')}.`,
    page: errorPage('internal'),
    exitCode: 1,
  }
}

/** Leaves room for the hint: a server's message can be longer than an annotation or a report. */
function shorten(message: string): string {
  return message.length <= 2000 ? message : `${message.slice(0, 2000)} …`
}

/** A link instead of a path, if the address of the running action is known. */
function pageOf({ code, cancelled }: StepFailure, env: Env): Pick<StepFailure, 'page'> {
  return cancelled ? {} : { page: errorPage(code, actionAddress(env)) }
}

function annotateFailure(action: string, thrown: unknown, failure: StepFailure, work: Work): void {
  if (failure.cancelled) {
    annotate([{ severity: 'warning', title: `${action} cancelled`, message: failure.message }])
    work.log.debug(stacks(thrown))
    return
  }
  annotate([
    {
      severity: 'error',
      title: `${action} failed`,
      message: [failure.message, failure.hint, failure.page ?? '']
        .map((line) => plainText(line))
        .filter((line) => line !== '')
        .join('\n'),
    },
  ])
  if (thrown instanceof UserError) work.log.debug(stacks(thrown))
  else work.log.info(stacks(thrown))
}

/** Returns the stacks of a thrown value and of its causes. */
export function stacks(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const own = thrown.stack ?? messageOf(thrown)
  return thrown.cause === undefined ? own : `${own}\nCaused by: ${stacks(thrown.cause)}`
}

/** Lets the process end by itself, and ends it if an idle connection keeps it alive. */
function endSoon(work: Work): void {
  setTimeout(() => {
    work.log.debug(`Still open at the end: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit()
  }, 1000).unref()
}
