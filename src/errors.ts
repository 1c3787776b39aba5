import { catalogue, type ErrorCode } from './errors/catalogue.ts'
import { plainText, type Text } from './text.ts'

/**
 * A failure that the person who runs an action can cause or fix. It is shown without a stack.
 * Every other error is our bug, and keeps its stack. No secret may appear in either text.
 */
export class UserError extends Error {
  override name = 'UserError'
  /** A stable word for the output `error-code`, for example `wrong-password`. */
  readonly code: ErrorCode
  /** The likely cause, and what to do or type, as a workflow would write it. */
  readonly hint: string
  /** Both texts before rendering: a terminal shows flags where a workflow has inputs. */
  readonly texts: { readonly message: Text; readonly hint: Text }

  /**
   * `message` says what happened and where. `hint` gives the likely cause and what to type, in one
   * to three sentences; without it, the catalogue's hint for the code is shown.
   */
  constructor(
    code: ErrorCode,
    message: Text,
    hint: Text = catalogue[code].hint,
    options: { cause?: unknown } = {},
  ) {
    super(plainText(message), options)
    this.code = code
    this.hint = plainText(hint)
    this.texts = { message, hint }
  }
}

/** The work was stopped from outside (a signal, a cancelled job): nothing failed, nothing was finished. */
export class Cancelled extends Error {
  override name = 'Cancelled'
  constructor(message = 'The run was cancelled.') {
    super(message)
  }
}

/** Returns the message of anything that was thrown, in one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
