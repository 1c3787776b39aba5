import type { CommandName, InputDescription } from './inputs.ts'

type Described = Pick<InputDescription, 'description' | 'more' | 'lines' | 'example'>

/** Returns the description of an input or output, as one command's users read it. */
export function descriptionFor(described: Described, command: CommandName): string {
  const { description, more = [], lines, example } = described
  const own = more.filter(({ of }) => of.includes(command)).map(({ text }) => text)
  return sentences(description, ...own, lines && 'One per line.', exampleText(example))
}

/** Returns the description for all actions; a sentence that holds for some names them. */
export function descriptionForAll({ description, more = [], lines, example }: Described): string {
  const marked = more
    .filter(({ of }) => !of.includes('status'))
    .map(({ of, text }) => `${of.map((command) => `\`${command}\``).join(', ')}: ${text}`)
  return sentences(description, ...marked, lines && 'One per line.', exampleText(example))
}

/** Returns an example as a sentence. */
export function exampleText(example: string | undefined): string | undefined {
  return example === undefined ? undefined : `Example: \`${example}\`.`
}

function sentences(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(' ')
}
