import { UserError } from '../errors.ts'
import { findSecrets } from '../github/mask.ts'
import { commands, type CommandName, type Input, inputsOf, variableOf } from './commands.ts'

/** What was typed. No value of it is a secret: those are refused here. */
export interface Asked {
  command: CommandName
  /** By the input's name, as typed. */
  values: ReadonlyMap<string, string[]>
  /** Files that hold an input, by its name. */
  files: ReadonlyMap<string, string[]>
  json: boolean
  debug: boolean
}

/** Help was asked for, of one command or of all. */
export interface HelpAsked {
  help: CommandName | 'all'
}

const switches = ['json', 'debug', 'help']

/**
 * Reads a command line. Throws UserErrors that name the flag, and the nearest one that exists; none
 * shows a value, which may be a secret in the wrong place.
 */
export function readArguments(argv: readonly string[]): Asked | HelpAsked {
  const [first, ...rest] = argv
  if (first === undefined || ['help', '--help', '-h'].includes(first))
    return { help: rest[0] !== undefined && isCommand(rest[0]) ? rest[0] : 'all' }
  if (!isCommand(first)) {
    const names = Object.keys(commands)
    const what = /^[a-z][a-z-]{0,20}$/.test(first)
      ? `There is no command ${first}.`
      : 'The first word is no command.'
    throw new UserError(
      'unknown-command',
      `${what}${meant(first, names, '')}`,
      `It is one of: ${names.join(', ')}. To see more: node dist/cli.js --help`,
    )
  }
  const known = new Map(inputsOf(first).map((input) => [input.name, input]))
  const asked = {
    command: first,
    values: new Map<string, string[]>(),
    files: new Map<string, string[]>(),
    json: false,
    debug: false,
  }
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? ''
    const [, name, given] = /^--([^=]+)(?:=(.*))?$/s.exec(word === '-h' ? '--help' : word) ?? []
    if (name === undefined)
      throw wrong(
        first,
        `Word ${at + 2} of the command line is no flag, and belongs to none.`,
        'A value with spaces in it needs quotes; a flag begins with two hyphens.',
      )
    if (name === 'help') return { help: first }
    const input = known.get(name)
    const file = known.get(name.replace(/-file$/, ''))
    if (name === 'json' || name === 'debug' || input?.flag) {
      if (given !== undefined && !/^(true|false)$/i.test(given))
        throw wrong(first, `--${name} is either there or not.`, `Write --${name}, or leave it out.`)
      if (input) asked.values.set(name, [given ?? 'true'])
      else asked[name as 'json' | 'debug'] = given?.toLowerCase() !== 'false'
      continue
    }
    const target = input ?? (file?.secret && name.endsWith('-file') ? file : undefined)
    if (!target) throw unknownFlag(first, name, known)
    const value = given ?? rest[++at]
    if (value === undefined || (given === undefined && value.startsWith('--')))
      throw wrong(first, `--${name} needs a value.`, `Write --${name} VALUE or --${name}=VALUE.`)
    const into = target === input ? asked.values : asked.files
    if (target === input) refuseSecret(input, value)
    const before = into.get(target.name) ?? []
    if (before.length > 0 && !target.lines)
      throw wrong(first, `--${name} is there twice.`, 'Leave out the one that you do not mean.')
    into.set(target.name, [...before, value])
  }
  for (const name of asked.files.keys())
    if (asked.values.has(name))
      throw wrong(
        first,
        `--${name} and --${name}-file are both there.`,
        'Leave out the one that you do not mean.',
      )
  return asked
}

function isCommand(word: string): word is CommandName {
  return Object.hasOwn(commands, word)
}

/** Whoever lists this machine's processes sees a command line, and the shell keeps it in a file. */
function refuseSecret(input: Input, value: string): void {
  const { values, warnings } = findSecrets({ [`INPUT_${input.name.toUpperCase()}`]: value })
  if (input.secret !== 'always' && values.length === 0 && warnings.length === 0) return
  const what =
    input.secret === 'url' || input.name === 'storage' ? 'holds a password' : 'holds a secret'
  const how =
    input.secret === undefined
      ? 'A secret has no place in this input; S3 credentials come from the environment (AWS_ACCESS_KEY_ID and so on).'
      : `${input.secret === 'url' ? 'Leave the password out of the URL, and give it in PGPASSWORD or ~/.pgpass; or write' : 'Write'} --${input.name}-file FILE, or set ${variableOf(input.name)} in the environment.`
  throw new UserError(
    'secret-in-arguments',
    `--${input.name} ${what}, and a command line is seen by everybody on this machine.`,
    `${how} What you typed may be in your shell's history: remove it there.`,
  )
}

function unknownFlag(
  command: CommandName,
  name: string,
  known: ReadonlyMap<string, Input>,
): UserError {
  const names = [...known.values()]
    .flatMap((input) => [input.name, ...(input.secret ? [`${input.name}-file`] : [])])
    .concat(switches)
  const what = /^[a-z][a-z0-9-]{0,40}$/i.test(name)
    ? `${command} has no flag --${name}.`
    : `${command} has no such flag.`
  return wrong(
    command,
    `${what}${meant(name, names, '--')}`,
    'An option of another command, or a word misspelt.',
  )
}

function wrong(command: CommandName, message: string, hint: string): UserError {
  return new UserError(
    'bad-arguments',
    message,
    `${hint} All flags: node dist/cli.js ${command} --help`,
  )
}

function meant(word: string, names: readonly string[], mark: string): string {
  const [nearest] = names
    .map((name) => ({ name, far: distance(word.toLowerCase(), name) }))
    .sort((a, b) => a.far - b.far)
  return nearest && nearest.far <= Math.max(2, Math.floor(nearest.name.length / 3))
    ? ` Did you mean ${mark}${nearest.name}?`
    : ''
}

/**
 * How many letters must be added, left out, changed or swapped with their neighbour to make one
 * word of the other.
 */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const steps = [
        (rows[i - 1]?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (rows[i - 1]?.[j - 1] ?? 0) + same,
      ]
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        steps.push((rows[i - 2]?.[j - 2] ?? 0) + 1)
      row.push(Math.min(...steps))
    }
    rows.push(row)
  }
  return rows[a.length]?.[b.length] ?? 0
}
