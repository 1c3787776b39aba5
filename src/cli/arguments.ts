import { statSync } from 'node:fs'
import { privateKeyHint } from '../stream/encrypt.ts'
import { parseArgs } from 'node:util'
import { suggestName } from '../errors/suggest.ts'
import { UserError } from '../errors.ts'
import type { CommandName, InputDescription } from '../github/descriptions/inputs.ts'
import { findSecrets } from '../github/mask.ts'
import { asFlag, input as textInput } from '../text.ts'
import { commands, inputsOf, variableOf } from './commands.ts'

/** A command line. None of its values is a secret: `readArguments` refuses those. */
export interface Asked {
  command: CommandName
  /** By the input's name, as typed. */
  values: ReadonlyMap<string, string[]>
  /** Files that hold an input, by its name. */
  files: ReadonlyMap<string, string[]>
  json: boolean
  debug: boolean
}

/** A request for help, on one command or on all. */
export interface HelpAsked {
  help: CommandName | 'all'
}

/** A request for the version. */
export interface VersionAsked {
  version: true
}

/** A flag of one command: an input, a file that holds an input, or a switch of the command line. */
type Flag =
  { kind: 'value' | 'file'; input: InputDescription } | { kind: 'switch'; input?: InputDescription }

interface Draft {
  values: Map<string, string[]>
  files: Map<string, string[]>
  switches: Map<string, boolean>
}

const switches = ['json', 'debug', 'help']

/**
 * Reads a command line. Throws UserErrors that name the flag, and the nearest one that exists. No
 * message shows a value, which may be a secret in the wrong place.
 */
export function readArguments(argv: readonly string[]): Asked | HelpAsked | VersionAsked {
  const [command, ...args] = argv
  if (command === undefined || ['help', '--help', '-h'].includes(command))
    return { help: args[0] !== undefined && isCommand(args[0]) ? args[0] : 'all' }
  if (['version', '--version', '-V'].includes(command)) return { version: true }
  if (!isCommand(command)) throw unknownCommand(command)
  const flags = flagsOf(command)
  const { tokens } = parseArgs({
    args,
    options: optionsOf(flags),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const draft: Draft = { values: new Map(), files: new Map(), switches: new Map() }
  let before: Flag | undefined
  for (const token of tokens) {
    if (token.kind !== 'option') throw notAFlag(command, token.index, before)
    if (token.name === 'help') return { help: command }
    if (!token.rawName.startsWith('--'))
      throw oneHyphen(command, token.index, args[token.index] ?? '', [...flags.keys()])
    const flag = flags.get(token.name)
    if (flag === undefined) throw unknownFlag(command, token.name, [...flags.keys()])
    if (flag.kind === 'switch') addSwitch(command, token.name, token.value, draft, flag.input)
    else addValue(command, token, flag, draft)
    before = flag
  }
  refuseBoth(command, draft)
  const { values, files } = draft
  return {
    command,
    values,
    files,
    json: draft.switches.get('json') ?? false,
    debug: draft.switches.get('debug') ?? false,
  }
}

function isCommand(word: string): word is CommandName {
  return Object.hasOwn(commands, word)
}

function flagsOf(command: CommandName): Map<string, Flag> {
  const inputs = inputsOf(command).flatMap((input): [string, Flag][] => [
    [input.name, { kind: input.flag ? 'switch' : 'value', input }],
    ...(input.secret ? [[`${input.name}-file`, { kind: 'file', input }] as [string, Flag]] : []),
  ])
  return new Map([...inputs, ...switches.map((name): [string, Flag] => [name, { kind: 'switch' }])])
}

function optionsOf(
  flags: ReadonlyMap<string, Flag>,
): NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']> {
  const options = [...flags].map(([name, { kind }]) => [
    name,
    {
      type: kind === 'switch' ? 'boolean' : 'string',
      multiple: true,
      ...(name === 'help' ? { short: 'h' } : {}),
    } as const,
  ])
  return Object.fromEntries(options) as ReturnType<typeof optionsOf>
}

/** A switch of an input sets the input; `--name=false` is allowed. */
function addSwitch(
  command: CommandName,
  name: string,
  value: string | undefined,
  draft: Draft,
  input: InputDescription | undefined,
): void {
  if (value !== undefined && !/^(true|false)$/i.test(value))
    throw badArguments(
      command,
      `--${name} takes no value but true or false.`,
      `Write --${name}, or leave it out.`,
    )
  if (draft.values.has(name) || draft.switches.has(name)) throw givenTwice(command, name)
  if (input) draft.values.set(name, [value ?? 'true'])
  else draft.switches.set(name, value?.toLowerCase() !== 'false')
}

function addValue(
  command: CommandName,
  token: { name: string; value: string | undefined; inlineValue: boolean | undefined },
  { kind, input }: { kind: 'value' | 'file'; input: InputDescription },
  draft: Draft,
): void {
  const { name, value } = token
  if (value === undefined || (!token.inlineValue && value.startsWith('--')))
    throw badArguments(
      command,
      `--${name} needs a value.`,
      `Write --${name} VALUE or --${name}=VALUE.`,
    )
  if (kind === 'value') refuseSecret(command, input, value)
  const target = kind === 'value' ? draft.values : draft.files
  const before = target.get(input.name) ?? []
  if (before.length > 0 && !input.lines) throw givenTwice(command, name)
  target.set(input.name, [...before, value])
}

function refuseBoth(command: CommandName, { values, files }: Draft): void {
  for (const name of files.keys())
    if (values.has(name))
      throw badArguments(
        command,
        `--${name} and --${name}-file are both given.`,
        'Leave one of them out.',
      )
}

/** Other users of the machine can list its command lines, and the shell keeps them in a file. */
function refuseSecret(command: CommandName, input: InputDescription, value: string): void {
  const { name, secret } = input
  const { values, warnings } = findSecrets({ [`INPUT_${name.toUpperCase()}`]: value })
  if (secret !== 'always' && values.length === 0 && warnings.length === 0) return
  // the name of a file is no secret
  if (secret === 'always' && statSync(value, { throwIfNoEntry: false })?.isFile())
    throw badArguments(
      command,
      `--${name} takes no value on a command line. Did you mean ${asFlag(textInput(`${name}-file`, value))}?`,
      'A secret is given by its file.',
    )
  const what = secret === 'url' || name === 'storage' ? 'holds a password' : 'holds a secret'
  throw new UserError(
    'secret-in-arguments',
    `--${name} ${what}, and every user of this machine can read a command line.`,
    `${wayToGive(input)} Your shell's history may hold what you typed: remove it there.`,
  )
}

function wayToGive({ name, secret }: InputDescription): string {
  const ways = `--${name}-file FILE, or set ${variableOf(name)} in the environment.`
  if (secret === 'always') return `Write ${ways}`
  if (secret === 'url')
    return (
      'Leave the password out of the URL, and give it in PGPASSWORD or ~/.pgpass; ' +
      `or write ${ways}`
    )
  if (name === 'encrypt-to') return `This is a private key. ${privateKeyHint}`
  return (
    'This input takes no secret. S3 credentials come from the environment ' +
    '(AWS_ACCESS_KEY_ID and so on).'
  )
}

function unknownCommand(word: string): UserError {
  const names = Object.keys(commands)
  // anything else may be a secret in the wrong place
  const what = /^[a-z][a-z-]{0,20}$/.test(word)
    ? `There is no command ${word}.`
    : 'The first word is not a command.'
  return new UserError(
    'unknown-command',
    `${what}${suggestion(word, names, '')}`,
    `The commands are: ${names.join(', ')}. For more, type: node dist/cli.js --help`,
  )
}

function unknownFlag(command: CommandName, name: string, names: readonly string[]): UserError {
  const what = /^[a-z][a-z0-9-]{0,40}$/i.test(name)
    ? `${command} has no flag --${name}.`
    : `${command} has no such flag.`
  return badArguments(
    command,
    `${what}${suggestion(name, names, '--')}`,
    'It may be misspelt, or a flag of another command.',
  )
}

function givenTwice(command: CommandName, name: string): UserError {
  return badArguments(command, `--${name} is given twice.`, 'Leave one of them out.')
}

function notAFlag(command: CommandName, index: number, before?: Flag): UserError {
  const { kind, input } = before ?? {}
  const flag = kind === 'file' ? `--${input?.name}-file` : `--${input?.name}`
  return badArguments(
    command,
    `Word ${index + 2} of the command line is neither a flag nor the value of one.`,
    input?.lines
      ? `To give several values, repeat the flag: ${flag} ONE ${flag} TWO.`
      : 'A flag begins with two hyphens. A value with spaces needs quotes.',
  )
}

/** A word with one hyphen, such as `-storage`. */
function oneHyphen(
  command: CommandName,
  index: number,
  word: string,
  names: readonly string[],
): UserError {
  const [name = ''] = word.slice(1).split('=')
  return badArguments(
    command,
    `Word ${index + 2} of the command line begins with one hyphen.${suggestion(name, names, '--')}`,
    'A flag begins with two hyphens.',
  )
}

function badArguments(command: CommandName, message: string, hint: string): UserError {
  return new UserError(
    'bad-arguments',
    message,
    `${hint} For all flags, type: node dist/cli.js ${command} --help`,
  )
}

function suggestion(word: string, names: readonly string[], prefix: string): string {
  const name = suggestName(word, names)
  return name === undefined ? '' : ` Did you mean ${prefix}${name}?`
}
