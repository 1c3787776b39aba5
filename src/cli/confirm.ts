import { createInterface } from 'node:readline/promises'
import { restoreStep } from '../actions/restore.ts'
import type { Step } from '../actions/run.ts'
import { Cancelled } from '../errors.ts'
import { type Env, inputFlag, inputText } from '../github/inputs/input.ts'
import { readRestoreInputs } from '../github/inputs/restore.ts'
import { type Report, verdict } from '../report/blocks.ts'
import { initialState } from '../report/failure.ts'
import { code, text } from '../text.ts'
import type { Terminal } from './terminal.ts'

/**
 * Runs a restore, an undo or a clean. On a terminal without `--confirm`, shows the plan first and
 * asks for the name of the database. Then restores the backup of that plan, even if a newer one
 * exists by then. An external dump has no id and is read as it was typed.
 */
export async function restoreAsked(
  step: Step,
  { interactive }: Pick<Terminal, 'interactive'>,
): Promise<void> {
  const { env, work, report } = step
  if (
    !interactive ||
    inputText(env, 'confirm') !== '' ||
    inputFlag(env, 'dry-run') ||
    inputFlag(env, 'list')
  )
    return restoreStep(step)
  let planned = ''
  let shown = false
  const dryRun = { ...env, 'INPUT_DRY-RUN': 'true' }
  await restoreStep({
    ...step,
    env: dryRun,
    output: (name, value) => {
      if (name === 'backup-id') planned = String(value)
    },
    report(blocks) {
      shown = true
      report(asPlan(blocks, readRestoreInputs(dryRun).target.database))
    },
    // the last line would call the plan a dry run
    work: { ...work, log: { ...work.log, info: (line) => shown || work.log.info(line) } },
  })
  step.state(initialState('restore'))
  const confirm = await ask(question(dryRun), work.signal)
  return restoreStep({
    ...step,
    env: { ...env, ...(planned ? { INPUT_BACKUP: planned } : {}), INPUT_CONFIRM: confirm },
  })
}

/** The question takes the place of what to type next. */
function asPlan([first, ...others]: Report, target: string): Report {
  const title =
    first?.kind === 'heading' && first.mark === 'plan'
      ? verdict('plan', text`Plan for ${code(target)}`)
      : first
  return [...(title ? [title] : []), ...others.filter(({ kind }) => kind !== 'next')]
}

/** Returns the question. With `--environment`, the answer is `production/shop`, not `shop`. */
export function question(env: Env): string {
  const { expected } = readRestoreInputs(env).confirm
  return `Type ${expected} to start, or press Enter to stop: `
}

/** Nothing was typed at the question. */
export class Declined extends Cancelled {}

/** Asks on the terminal, which stays in its usual mode, so that Ctrl-C remains a signal. */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const closed = new Promise<never>((_, reject) =>
      lines.once('close', () => reject(new Declined())),
    )
    const answer = lines.question(question, { signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw error
    })
    closed.catch(() => {})
    const typed = (await Promise.race([answer, closed])).trim()
    if (typed === '') throw new Declined()
    return typed
  } finally {
    lines.close()
    process.stdin.unref()
  }
}
