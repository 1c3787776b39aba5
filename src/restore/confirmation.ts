import { UserError } from '../errors.ts'
import { either, input, join, text } from '../text.ts'

/** What must be typed before a restore begins, and what was typed. */
export interface Confirmation {
  /** The target database's name; `environment/database` if the environment is named. */
  readonly expected: string
  /** Empty if nothing was typed. */
  readonly typed: string
  readonly database: string
  readonly environment?: string
}

/** Returns the confirmation of a restore into `database`; `typed` is the input `confirm`. */
export function confirmationOf(
  database: string,
  typed: string,
  environment?: string,
): Confirmation {
  if (!environment) return { expected: database, typed, database }
  return { expected: `${environment}/${database}`, typed, database, environment }
}

/**
 * Throws `confirm-mismatch` unless the expected text was typed. Where the confirmation is
 * `optional` (a dry run, a list), nothing need be typed, but a wrong text is an error.
 */
export function checkConfirmation(
  { expected, typed, database, environment }: Confirmation,
  { optional }: { optional: boolean },
): void {
  if (typed === expected || (optional && typed === '')) return
  const confirm = text`${either('The input ', '')}${input('confirm')}`
  const ofEnvironment = environment ? ` of "${environment}"` : ''
  throw new UserError(
    'confirm-mismatch',
    typed === ''
      ? text`${confirm} is empty, and a restore replaces a database.`
      : join(
          [
            text`${confirm} is "${typed.slice(0, 80)}",`,
            text`but ${input('target-url')} names the database "${database}"${ofEnvironment}.`,
          ],
          ' ',
        ),
    join(
      [
        text`To replace that database, write its name: ${input('confirm', expected)}.`,
        text`To see first what would happen, write ${input('dry-run', true)}.`,
      ],
      ' ',
    ),
  )
}
