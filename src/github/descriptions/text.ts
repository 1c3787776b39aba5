import { asFlag, input } from '../../text.ts'
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

/**
 * Returns a description as a terminal shows it: `mode: new` as `--mode new`, and without the words
 * of GitHub. `names` are the inputs. `backup` alone stays, because it is a command too.
 */
export function descriptionForTerminal(description: string, names: readonly string[]): string {
  return description
    .replace(/`([a-z-]+)(?:: ([^`]+))?`/g, (whole, name: string, value?: string) =>
      names.includes(name) && (name !== 'backup' || value !== undefined)
        ? asFlag(input(name, value))
        : whole.slice(1, -1),
    )
    .replaceAll('`', '')
    .replaceAll('starts at the workspace', 'starts at the current folder')
    .replaceAll('the step fails', 'the run fails')
}
