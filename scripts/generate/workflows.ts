import { inputs } from '../../src/github/descriptions/inputs.ts'
import { outputs } from '../../src/github/descriptions/outputs.ts'
import { descriptionFor } from '../../src/github/descriptions/text.ts'
import { nightlyDescription } from './actions.ts'
import type { Generated } from './generated.ts'
import { descriptionLines } from './yaml.ts'

type Described = Parameters<typeof nightlyDescription>[0]

/** The reusable workflows: those of their inputs and outputs that are an action's. */
export const workflowFiles: Generated[] = [
  {
    file: '.github/workflows/nightly.yml',
    content: (current) => withDescriptions(current, nightlyDescription),
  },
  {
    file: '.github/workflows/migration-check.yml',
    content: (current) =>
      withDescriptions(current, (described) => descriptionFor(described, 'test-migration')),
  },
]

/** Replaces the descriptions below `workflow_call:`. Secrets have capitals, and keep their own. */
function withDescriptions(current: string, describe: (described: Described) => string): string {
  const from = current.indexOf('  workflow_call:')
  const to = current.indexOf('\npermissions:', from)
  if (from < 0 || to < 0) throw new Error('no workflow_call: or no permissions: in it')
  const block = current
    .slice(from, to + 1)
    .replace(
      /^ {6}([\w-]+):\n {8}description:.*\n(?: {10}.*\n)*/gm,
      (entry: string, name: string) => {
        const described = [...inputs, ...outputs].find((each) => each.name === name)
        if (described === undefined) return entry
        return [`      ${name}:`, ...descriptionLines(describe(described), '        '), ''].join(
          '\n',
        )
      },
    )
  return `${current.slice(0, from)}${block}${current.slice(to + 1)}`
}
