/**
 * A failure that the person who runs an action can cause or mend.
 *
 * It is shown without a stack: `message` says what happened and where, `hint` gives the likely
 * cause and what to type. Everything that is not a UserError is our bug, and keeps its stack. No
 * secret may stand in any of them.
 */
export class UserError extends Error {
  override name = 'UserError'
  /** Stable kebab-case word for the `error-code` output, for example `wrong-password`. */
  readonly code: string
  /** The likely cause, and what to do or type. One to three sentences. */
  readonly hint: string

  constructor(code: string, message: string, hint: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}

/**
 * The work was stopped from outside (SIGINT, SIGTERM, a cancelled job): nothing is wrong, nothing
 * was finished.
 */
export class Cancelled extends Error {
  override name = 'Cancelled'
  constructor(message = 'The run was cancelled.') {
    super(message)
  }
}

/** What went wrong, in one line, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
