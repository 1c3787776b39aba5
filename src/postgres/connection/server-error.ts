/** An error that a PostgreSQL server sent, as the driver throws it. */
export interface ServerError extends Error {
  /** The SQLSTATE, for example `42501`. */
  readonly code: string
  readonly detail?: string
  readonly schema?: string
  readonly table?: string
  readonly constraint?: string
  /** The server's C function that raised it: the same in every language of its messages. */
  readonly routine?: string
}

/**
 * Returns whether a server sent this error; with `codes`, whether its SQLSTATE is one of them.
 * False for a UserError and for the errors of a socket, whose code can look alike (`EPIPE`).
 */
export function isServerError(error: unknown, ...codes: string[]): error is ServerError {
  if (!(error instanceof Error) || 'syscall' in error) return false
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return false
  return codes.length === 0 || codes.includes(code)
}
