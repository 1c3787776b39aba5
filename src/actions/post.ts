import { sweep } from '../cleanup/sweep.ts'
import { messageOf, UserError } from '../errors.ts'
import { readSweepInputs } from '../github/inputs/inputs.ts'
import { maskSecrets } from '../github/mask.ts'
import { heldBefore } from '../github/state.ts'
import { endEarlierStep, startWork } from '../github/work.ts'
import { withStorages } from './destinations.ts'

/**
 * Runs after every action: ends and removes what the action still held when it was killed or
 * crashed. A failed cleanup is only a warning, because the step has its result already.
 */
export async function post(): Promise<void> {
  const held = heldBefore(process.env)
  if (held.length === 0) return
  const secrets = maskSecrets(process.env)
  const nothing = (): void => {}
  const runner = startWork(process.env, secrets.redact, { hold: nothing, release: nothing })
  const { log } = runner.work
  try {
    await endEarlierStep(held)
    const { storage, servers } = readSweepInputs(process.env)
    const cleaned = await withStorages(storage, process.env, (destinations) =>
      sweep(held, { destinations, servers }, runner.work),
    )
    for (const sentence of cleaned)
      log[sentence.startsWith('Could not') ? 'warning' : 'info'](sentence)
  } catch (error) {
    const hint = error instanceof UserError ? ` ${error.hint}` : ''
    log.warning(`Cleaning up after the step failed: ${messageOf(error)}${hint}`)
    if (!(error instanceof UserError) && error instanceof Error) log.info(error.stack ?? '')
  } finally {
    runner.close()
  }
  setTimeout(() => process.exit(), 1000).unref()
}
