import { UserError } from '../errors.ts'
import { either, input, join, text, type Text } from '../text.ts'

/**
 * Returns the `bad-input` error for an input that cannot be used as it is.
 *
 * `problem` completes the sentence "The input NAME …" and shows what was given, unless that may be
 * a secret. `allowed` is one or more sentences: what can be given instead. `examples` are values to
 * give.
 */
export function badInput(
  name: string,
  problem: Text,
  allowed: Text,
  ...examples: readonly string[]
): UserError {
  const values = examples.map((example) => input(name, example))
  return new UserError(
    'bad-input',
    text`${either('The input ', '')}${input(name)} ${problem}.`,
    values.length === 0 ? allowed : text`${allowed} For example, ${join(values, ' or ')}.`,
  )
}

/**
 * Returns a value as a message shows it: in quotes, on one line, 80 characters at most. Never use it
 * for an input that may hold a secret.
 */
export function shown(value: string): string {
  const line = value.replace(/\s+/g, ' ')
  return `"${line.length > 80 ? `${line.slice(0, 77)}...` : line}"`
}
