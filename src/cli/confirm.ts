import { createInterface } from 'node:readline/promises'
import { restoreStep } from '../actions/restore.ts'
import type { Step } from '../actions/run.ts'
import { UserError } from '../errors.ts'
import { type Env, inputFlag, inputText } from '../github/inputs/input.ts'
import type { Terminal } from './terminal.ts'

/**
 * A restore as a person at a terminal wants it: without `--confirm`, the plan is shown first, and
 * the name of the database asked for; an undo and a clean likewise. What is then restored is the
 * very backup that the plan named, whatever has become the latest since; a file that another tool
 * made has no id, and is what was typed.
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

/** Where an environment is named, it is typed too: `production/shop`, not `shop`. */
export function question(env: Env): string {
  const part = inputText(env, 'tables') !== '' || inputText(env, 'schemas') !== ''
  const ofPart = inputFlag(env, 'replace') ? 'whose tables are replaced' : 'that they come into'
  const ofAll = inputText(env, 'mode') === 'new' ? 'that is made' : 'that is replaced'
  const which = inputFlag(env, 'undo')
    ? 'that is swapped back'
    : inputFlag(env, 'clean')
      ? 'that was restored'
      : part
        ? ofPart
        : ofAll
  const name = inputText(env, 'environment')
    ? 'environment, a slash, and the name of the database'
    : 'name of the database'
  return `To go on, type the ${name} ${which}: `
}

/**
 * Asks on the terminal. The terminal stays in its usual mode, so Ctrl-C is a signal there as ever.
 */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    const closed = new Promise<never>((_, reject) =>
      lines.once('close', () =>
        reject(
          new UserError(
            'confirm-mismatch',
            'No name was typed; nothing was touched.',
            'Type the name of the database, or give it as --confirm.',
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
