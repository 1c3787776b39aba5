import { catalogue, type ErrorCode } from './errors/catalogue.ts'
import { plainText, type Text } from './text.ts'

/**
 * A failure that the user can cause or fix: a wrong input, a refused password, a full disk. It is
 * shown without a stack. Every other error is a bug of Holdfast and keeps its stack. Neither text
 * may contain a secret.
 */
export class UserError extends Error {
  override name = 'UserError'
  /** A stable word for the output `error-code`, for example `wrong-password`. */
  readonly code: ErrorCode
  /** The likely cause and what to do, with inputs written as in a workflow. */
  readonly hint: string
  /** Both texts before rendering: a terminal shows flags where a workflow has inputs. */
  readonly texts: { readonly message: Text; readonly hint: Text }

  /**
   * `message` says what happened and where. `hint` gives the likely cause and what to type, in one
   * to three sentences; it defaults to the catalogue's hint for the code.
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

/** The work was stopped from outside, by a signal or a cancelled job. It neither failed nor finished. */
export class Cancelled extends Error {
  override name = 'Cancelled'
  constructor(message = 'The run was cancelled.') {
    super(message)
  }
}

/** Returns the message of a thrown value, whatever its type. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * Returns the address of a code's section in the reference of errors. `at` is where this version of
 * Holdfast is published: a server's URL without a trailing slash, `owner/name`, and a tag, branch or
 * commit. Without it, returns the page's path within the project.
 */
export function errorPage(
  code: string,
  at?: { server: string; repository: string; ref: string },
): string {
  const page = `docs/errors.md#${code}`
  return at === undefined ? page : `${at.server}/${at.repository}/blob/${at.ref}/${page}`
}
