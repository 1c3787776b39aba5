import { createInterface } from 'node:readline/promises'
import { restoreStep } from '../actions/restore.ts'
import type { Step } from '../actions/run.ts'
import { UserError } from '../errors.ts'
import { type Env, inputFlag, inputText } from '../github/inputs/input.ts'
import { input, text } from '../text.ts'
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
  await restoreStep({
    ...step,
    env: { ...env, 'INPUT_DRY-RUN': 'true' },
    output: (name, value) => {
      if (name === 'backup-id') planned = String(value)
    },
    // the question takes the place of what to type next
    report: (blocks) => report(blocks.filter(({ kind }) => kind !== 'next')),
  })
  const confirm = await ask(question(env), work.signal)
  return restoreStep({
    ...step,
    env: { ...env, ...(planned ? { INPUT_BACKUP: planned } : {}), INPUT_CONFIRM: confirm },
  })
}

/** Returns the question. With `--environment`, the answer is `production/shop`, not `shop`. */
export function question(env: Env): string {
  const part = inputText(env, 'tables') !== '' || inputText(env, 'schemas') !== ''
  const ofPart = inputFlag(env, 'replace') ? 'whose tables to replace' : 'to restore into'
  const ofAll = inputText(env, 'mode') === 'new' ? 'to create' : 'to replace'
  const which = inputFlag(env, 'undo')
    ? 'to swap back'
    : inputFlag(env, 'clean')
      ? 'that was restored'
      : part
        ? ofPart
        : ofAll
  const name = inputText(env, 'environment')
    ? 'environment, a slash, and the name of the database'
    : 'name of the database'
  return `To continue, type the ${name} ${which}: `
}

/** Asks on the terminal, which stays in its usual mode, so that Ctrl-C remains a signal. */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const closed = new Promise<never>((_, reject) =>
      lines.once('close', () =>
        reject(
          new UserError(
            'confirm-mismatch',
            'No name was typed; nothing was changed.',
            text`Type the name of the database, or pass it as ${input('confirm')}.`,
          ),
        ),
      ),
    )
    const answer = lines.question(question, { signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw error
    })
    closed.catch(() => {})
    return (await Promise.race([answer, closed])).trim()
  } finally {
    lines.close()
    process.stdin.unref()
  }
}
