/** Errors of the restore that several modes throw. */
import { UserError } from '../errors.ts'
import { quoteName } from '../postgres/connection/session.ts'
import type { Difference } from '../repository/level.ts'
import type { Text } from '../text.ts'

/**
 * Throws `restored-differs` unless `differences` is empty.
 *
 * `subject` names what was compared with the backup's fingerprint. `outcome` says in full sentences
 * what state the target is in. `hint` replaces the catalogue's hint.
 */
export function checkRestored(
  subject: string,
  differences: readonly Difference[],
  outcome: string,
  hint?: Text,
): void {
  const [first] = differences
  if (!first) return
  const { object, expected, found } = first
  const which = differences.length === 1 ? '' : `${differences.length} differences; the first: `
  throw new UserError(
    'restored-differs',
    `${subject} does not match the backup's fingerprint ` +
      `(${which}${object}: expected ${expected}, found ${found}). ${outcome}`,
    hint,
  )
}

/** Returns the error `swap-unsafe`; `outcome` is a further sentence. */
export function swapUnsafe(
  target: string,
  obstacles: readonly string[],
  outcome: string = '',
): UserError {
  return new UserError(
    'swap-unsafe',
    `A swap of "${target}" would break: ${obstacles.join('; ')}. ${outcome}`.trim(),
  )
}

/** Returns the error `no-permission` for a role that does not own these databases. */
export function notOwner(
  user: string,
  databases: readonly string[],
  action: 'rename' | 'empty',
): UserError {
  const names = databases.map((name) => `"${name}"`).join(' and ')
  const owner = databases.length === 1 ? 'its owner' : 'their owner'
  return new UserError(
    'no-permission',
    `"${user}" does not own ${names} and cannot ${action} ${databases.length === 1 ? 'it' : 'them'}.`,
    `Connect as ${owner} or a member of that role: GRANT <owner> TO ${quoteName(user)};`,
  )
}

/** Returns the error `encoding-differs`. */
export function encodingDiffers(
  database: string,
  encodings: { target: string; backup: string },
  hint?: Text,
): UserError {
  return new UserError(
    'encoding-differs',
    `"${database}" has the encoding ${encodings.target}, and the backup has ${encodings.backup}.`,
    hint,
  )
}
