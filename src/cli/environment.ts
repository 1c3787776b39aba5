import { readFileSync } from 'node:fs'
import { messageOf, UserError } from '../errors.ts'
import type { Env } from '../github/inputs/input.ts'
import {
  connectionFromEnv,
  connectionUrl,
  parseConnection,
} from '../postgres/connection/connection.ts'
import type { Asked } from './arguments.ts'
import { inputs, inputsOf, variableOf } from './commands.ts'
import { passwordFor } from './passfile.ts'

/**
 * The environment that an action's step would find: each input as `INPUT_…`, from the flag, the
 * file or the variable that gives it. What else looks like a step's (`INPUT_…`, left by something
 * outside) is taken out, and so are our own variables: a migration that is rehearsed inherits the
 * rest. Throws UserErrors for a file that cannot be read and for what is missing.
 */
export function stepEnvironment(asked: Asked, env: Env, warn: (text: string) => void): Env {
  const ours = new Set(inputs.map(({ name }) => variableOf(name)))
  const step: Env = Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(INPUT|STATE)_/i.test(name) && !ours.has(name)),
  )
  for (const { name, secret, required } of inputsOf(asked.command)) {
    const fromOutside = secret || name === 'storage' ? env[variableOf(name)] : undefined
    const value =
      asked.values.get(name)?.join('\n') ??
      asked.files
        .get(name)
        ?.map((file) => readInput(file, name))
        .join('\n') ??
      fromOutside ??
      ''
    step[`INPUT_${name.toUpperCase()}`] =
      secret === 'url' ? withPassword(value.trim(), name, env, warn) : value
    // without --confirm the plan is shown and the name asked for, or the restore refused
    if (value.trim() === '' && required?.includes(asked.command) && name !== 'confirm')
      throw missing(asked, name, secret !== undefined)
  }
  if (asked.command === 'backup' && !step['INPUT_DATABASE-URL']) {
    const connection = connectionFromEnv(env, 'database-url')
    const password = connection && passwordFor(connection, env, warn)
    if (password) step['PGPASSWORD'] = password
  }
  return step
}

function readInput(file: string, name: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new UserError(
      'file-unreadable',
      `--${name}-file cannot be read: ${messageOf(error)}.`,
      'Check its name and its rights. The name - stands for the standard input.',
      { cause: error },
    )
  }
}

/**
 * A URL without a password gets the one that libpq would use. What is no URL is left as it is: the
 * action's own code says what is wrong with it.
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

function missing({ command }: Asked, name: string, secret: boolean): UserError {
  const ways = [
    `--${name} VALUE`,
    ...(secret ? [`--${name}-file FILE`] : []),
    ...(secret || name === 'storage' ? [`the variable ${variableOf(name)}`] : []),
  ]
  return new UserError(
    'input-missing',
    `${command} needs --${name}.`,
    `Give it by ${ways.join(', or ')}. What it is: node dist/cli.js ${command} --help`,
  )
}
