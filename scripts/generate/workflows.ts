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
  const [from, middle, to] = ['\n  workflow_call:', '\n    outputs:', '\npermissions:'].map(
    (line) => current.indexOf(line),
  ) as [number, number, number]
  if (!(0 < from && from < middle && middle < to))
    throw new Error('no workflow_call: with outputs:, or no permissions: after it')
  return [
    current.slice(0, from),
    replaceDescriptions(current.slice(from, middle + 1), inputs, describe),
    replaceDescriptions(current.slice(middle + 1, to + 1), outputs, describe),
    current.slice(to + 1),
  ].join('')
}

function replaceDescriptions(
  block: string,
  known: readonly Described[],
  describe: (described: Described) => string,
): string {
  return block.replace(
    /^ {6}([\w-]+):\n {8}description:.*\n(?: {10}.*\n)*/gm,
    (entry: string, name: string) => {
      const described = known.find((each) => each.name === name)
      if (described === undefined) return entry
      return [`      ${name}:`, ...descriptionLines(describe(described), '        '), ''].join('\n')
    },
  )
}
