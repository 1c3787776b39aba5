import { readFileSync } from 'node:fs'
import { messageOf, UserError } from '../errors.ts'
import type { InputDescription } from '../github/descriptions/inputs.ts'
import type { Env } from '../github/inputs/input.ts'
import {
  connectionFromEnv,
  connectionUrl,
  parseConnection,
} from '../postgres/connection/connection.ts'
import { code, join, type Text, text } from '../text.ts'
import type { Asked } from './arguments.ts'
import { hasVariable, inputs, inputsOf, variableOf } from './commands.ts'
import { passwordFor } from './passfile.ts'

/**
 * Returns the environment that the step of an action would have: each input as `INPUT_…`, from its
 * flag, its file or its variable. Existing `INPUT_…` and `STATE_…` variables are dropped, and so
 * are our own: a rehearsed migration inherits the rest.
 *
 * `warn` is called with a sentence about a password file that is not used. Throws UserErrors for a
 * file that cannot be read (`file-unreadable`) and for a missing input (`input-missing`).
 */
export function stepEnvironment(asked: Asked, env: Env, warn: (text: string) => void): Env {
  const variables = new Set(inputs.map(({ name }) => variableOf(name)))
  const step: Env = Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(INPUT|STATE)_/i.test(name) && !variables.has(name)),
  )
  for (const input of inputsOf(asked.command)) {
    const { name, secret, required } = input
    const value = valueOf(input, asked, env)
    step[`INPUT_${name.toUpperCase()}`] =
      secret === 'url' ? withPassword(value.trim(), name, env, warn) : value
    const needed = required?.includes(asked.command) && !(name === 'target-url' && isList(asked))
    if (value.trim() === '' && needed) throw missing(asked.command, input)
  }
  if (asked.command === 'backup' && !step['INPUT_DATABASE-URL']) {
    const connection = connectionFromEnv(env, 'database-url')
    const password = connection && passwordFor(connection, env, warn)
    if (password) step['PGPASSWORD'] = password
  }
  return step
}

/** Returns where the keys of a command line were read, as a sentence for errors about them. */
export function keysFrom({ files }: Asked): Text {
  const from = files.get('decrypt-with') ?? [variableOf('decrypt-with')]
  return text`The keys were read from ${join(
    from.map((each) => [code(each)]),
    ' and ',
  )}.`
}

/** A list of backups is the only restore without a target. */
function isList({ values }: Asked): boolean {
  return /^true$/i.test(values.get('list')?.[0] ?? '')
}

/** A flag comes before a file, and both before the variable. */
function valueOf(input: InputDescription, { values, files }: Asked, env: Env): string {
  const { name } = input
  return (
    values.get(name)?.join('\n') ??
    files
      .get(name)
      ?.map((file) => readInput(file, name))
      .join('\n') ??
    (hasVariable(input) ? env[variableOf(name)] : undefined) ??
    ''
  )
}

/** Reads the file of an input; `-` is standard input. */
function readInput(file: string, name: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new UserError(
      'file-unreadable',
      `--${name}-file cannot be read: ${messageOf(cause)}.`,
      'Check its name and permissions. The name - stands for standard input.',
      { cause },
    )
  }
}

/**
 * Adds the password that libpq would use to a URL without one. A text that is no URL is returned as
 * it is: the action's own code refuses it.
 */
function withPassword(url: string, name: string, env: Env, warn: (text: string) => void): string {
  if (url === '') return url
  try {
    const connection = parseConnection(url, name)
    if (connection.password !== undefined) return url
    const password = passwordFor(connection, env, warn)
    return password === undefined ? url : connectionUrl({ ...connection, password })
  } catch (error) {
    if (error instanceof UserError) return url
    throw error
  }
}

function missing(command: string, input: InputDescription): UserError {
  const { name, secret } = input
  const ways = [
    `--${name} ${name.endsWith('-url') ? 'URL' : 'VALUE'}`,
    ...(secret ? [`--${name}-file FILE`] : []),
    ...(hasVariable(input) ? [`the variable ${variableOf(name)}`] : []),
  ]
  return new UserError(
    'input-missing',
    `${command} needs --${name}.`,
    `Pass ${ways.join(', or ')}. See node dist/cli.js ${command} --help.`,
  )
}
