import { parse } from 'yaml'
import {
  type CommandName,
  type InputDescription,
  inputs,
} from '../../src/github/descriptions/inputs.ts'
import { type OutputDescription, outputs } from '../../src/github/descriptions/outputs.ts'
import { descriptionFor, descriptionForAll } from '../../src/github/descriptions/text.ts'
import type { Generated } from './generated.ts'
import { descriptionLines, scalar } from './yaml.ts'

/** The actions with an `action.yml` of their own. */
export const actionNames = ['backup', 'verify', 'test-migration', 'restore'] as const
export type ActionName = (typeof actionNames)[number]

/** One input or output, as an `action.yml` lists it. */
interface Entry {
  name: string
  description: string
  required?: boolean
  default?: string | undefined
  /** Of an output of a composite action. */
  value?: string
}

/** The `action.yml` of each action, the composite one and the root action among them. */
export const actionFiles: Generated[] = [
  { file: 'action.yml', content: (current) => withEntries(current, rootInputs(), rootOutputs()) },
  ...actionNames.map((name): Generated => ({
    file: `actions/${name}/action.yml`,
    content: (current) => withEntries(current, inputsOf(name), outputsOf(name)),
  })),
  {
    file: 'actions/nightly/action.yml',
    content: (current) => withEntries(current, nightlyInputs(), nightlyOutputs(current)),
  },
]

/** The inputs of one action. */
export function inputsOf(action: ActionName): Entry[] {
  return inputs
    .filter(({ of }) => of.includes(action))
    .map((input) => ({
      name: input.name,
      description: descriptionFor(input, action),
      required: input.required?.includes(action) ?? false,
      default: input.default,
    }))
}

/** The outputs of one action. */
export function outputsOf(action: ActionName): Entry[] {
  return outputs
    .filter(({ of }) => of.includes(action))
    .map((output) => ({ name: output.name, description: descriptionFor(output, action) }))
}

/** The root action runs any of the four: each description names those that it applies to. */
function rootInputs(): Entry[] {
  const command = {
    name: 'command',
    description:
      'Action to run: `backup`, `verify`, `test-migration` or `restore`. ' +
      'Each other input names the actions that it applies to.',
    required: true,
  }
  const others = inputs.filter(({ of }) => ownersOf(of).length > 0)
  return [
    command,
    ...others.map((input) => ({
      name: input.name,
      description: `(${ownersText(input.of)}) ${descriptionForAll(input)}`,
      required: false,
      default: input.default,
    })),
  ]
}

function rootOutputs(): Entry[] {
  return outputs.map((output) => ({
    name: output.name,
    description: `(${ownersText(output.of)}) ${descriptionForAll(output)}`,
  }))
}

/** The composite action takes what backup and verify take; the backup is the one it has made. */
function nightlyInputs(): Entry[] {
  return inputs
    .filter(({ name, of }) => nightlyPart(of) !== undefined && name !== 'backup')
    .map((input) => ({
      name: input.name,
      description: nightlyDescription(input),
      required: input.required?.some((command) => command === 'backup') ?? false,
      default: input.default,
    }))
}

/** Its outputs, and the expressions that they have, are its own. */
function nightlyOutputs(current: string): Entry[] {
  const action = parse(current) as { outputs: Record<string, { value: string }> }
  return Object.entries(action.outputs).map(([name, { value }]) => {
    const output = outputs.find((each) => each.name === name)
    if (output === undefined) throw new Error(`actions/nightly has an output ${name}, no other has`)
    return { name, description: nightlyDescription(output), value }
  })
}

/** A description of what backup and verify do, one after the other. */
export function nightlyDescription(described: InputDescription | OutputDescription): string {
  return descriptionFor(described, nightlyPart(described.of) ?? 'backup')
}

function nightlyPart(of: readonly CommandName[]): 'backup' | 'verify' | undefined {
  return (['backup', 'verify'] as const).find((action) => of.includes(action))
}

function ownersOf(of: readonly CommandName[]): ActionName[] {
  return actionNames.filter((name) => of.includes(name))
}

function ownersText(of: readonly CommandName[]): string {
  const owners = ownersOf(of)
  return owners.length === actionNames.length ? 'all' : owners.join(', ')
}

/** Returns an `action.yml` with other inputs and outputs; the rest of it stays as it is. */
function withEntries(current: string, inputs: Entry[], outputs: Entry[]): string {
  const [head, rest] = current.split(/^inputs:\n/m)
  const runs = /^runs:\n[^]*$/m.exec(rest ?? '')?.[0]
  if (head === undefined || runs === undefined) throw new Error('no inputs: or no runs: in it')
  const list = (entries: Entry[]): string => entries.map(entryText).join('')
  return `${head}inputs:\n${list(inputs)}outputs:\n${list(outputs)}${runs}`
}

function entryText(entry: Entry): string {
  const lines = [
    `  ${entry.name}:`,
    ...descriptionLines(entry.description, '    '),
    ...(entry.required === undefined ? [] : [`    required: ${entry.required}`]),
    ...(entry.default === undefined ? [] : [`    default: ${scalar(entry.default)}`]),
    ...(entry.value === undefined ? [] : [`    value: ${entry.value}`]),
  ]
  return lines.map((line) => `${line}\n`).join('')
}
