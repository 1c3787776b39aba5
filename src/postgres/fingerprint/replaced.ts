import { UserError } from '../../errors.ts'

/** The error of a name that stood for another object when it was read than when it was listed. */
export function replacedError(names: readonly string[], cause?: unknown): UserError {
  const [first = '', ...others] = names
  const which = others.length === 0 ? first : `One of ${first} and ${others.length} more`
  return new UserError(
    'relation-replaced',
    `${which} was renamed, dropped or replaced by another object in the meantime.`,
    undefined,
    { cause },
  )
}
