import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { UserError } from '../../errors.ts'

export type Env = Record<string, string | undefined>

/** One input as the runner passes it on; an input that is not set is empty. */
export function inputText(env: Env, name: string): string {
  return (env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] ?? '').trim()
}

/**
 * An input of one value a line; blank lines are left out, and so are comments where `comments` says
 * that a line may be one.
 */
export function inputLines(env: Env, name: string, { comments = false } = {}): string[] {
  const lines = inputText(env, name)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !(comments && line.startsWith('#')))
  return [...new Set(lines)]
}

/** `true` or `false`, in any of YAML's spellings. */
export function inputFlag(env: Env, name: string, fallback = false): boolean {
  const given = inputText(env, name)
  if (given === '') return fallback
  if (/^false$/i.test(given)) return false
  if (/^true$/i.test(given)) return true
  throw badInput(
    name,
    `is ${shown(given)}, which is neither true nor false`,
    `Write ${name}: true or ${name}: false.`,
  )
}

/** A whole number of at least `least`; undefined when empty. */
export function inputCount(env: Env, name: string, least: number): number | undefined {
  const given = inputText(env, name)
  if (given === '') return undefined
  const count = Number(given)
  if (/^\d+$/.test(given) && Number.isSafeInteger(count) && count >= least) return count
  throw badInput(
    name,
    `is ${shown(given)}, which is not a whole number of ${least} or more`,
    `Write for example ${name}: 7, or leave it out.`,
  )
}

const milliseconds: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 }
/** The longest that a job may run, on a runner of one's own. */
const longestJob = 5 * 86_400_000

/**
 * How long a job waits at most, such as `30m`, `5s`, `1h30m`, in milliseconds; `fallback` when
 * empty.
 */
export function inputDuration(env: Env, name: string, fallback: number): number {
  const given = inputText(env, name)
  const duration = given === '' ? fallback : readDuration(name, given, '30m or 1h30m')
  if (duration <= longestJob) return duration
  throw badInput(
    name,
    `is ${shown(given)}, which is longer than 5 days, the longest that a job may run`,
    `Write a number with its unit (s, m, h, d), for example ${name}: 30m or ${name}: 1h30m.`,
  )
}

/** An age, or a time that nobody waits for: of any length; undefined when empty. */
export function inputAge(env: Env, name: string): number | undefined {
  const given = inputText(env, name)
  return given === '' ? undefined : readDuration(name, given, '26h or 7d')
}

function readDuration(name: string, given: string, example: string): number {
  const parts = /^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$/i.exec(given.replaceAll(' ', ''))?.slice(1) ?? []
  const sum = parts.reduce(
    (total, part) =>
      total +
      (part ? Number.parseInt(part, 10) * (milliseconds[part.slice(-1).toLowerCase()] ?? 0) : 0),
    0,
  )
  if (sum > 0 && Number.isSafeInteger(sum)) return sum
  throw badInput(
    name,
    `is ${shown(given)}, which is not a time`,
    `Write a number with its unit (s, m, h, d), for example ${example
      .split(' or ')
      .map((one) => `${name}: ${one}`)
      .join(' or ')}.`,
  )
}

/** The first of the words is the default. */
export function inputChoice<Word extends string>(
  env: Env,
  name: string,
  words: readonly [Word, ...Word[]],
): Word {
  const given = inputText(env, name)
  if (given === '') return words[0]
  const word = words.find((one) => one === given.toLowerCase())
  if (word !== undefined) return word
  throw badInput(name, `is ${shown(given)}`, `Write one of: ${words.join(', ')}.`)
}

/** A share such as `50%` or `0.5`, as a number; undefined when empty. */
export function inputShare(env: Env, name: string): number | undefined {
  const given = inputText(env, name)
  if (given === '') return undefined
  const [, number = '', percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(given) ?? []
  const share = Number(number) / (percent ? 100 : 1)
  if (number !== '' && share > 0) return share
  throw badInput(
    name,
    `is ${shown(given)}, which is not a share`,
    `Write for example ${name}: 50%.`,
  )
}

/** A text, or the path of a file that holds it: one line that names a file of the workspace. */
export function inputTextOrFile(env: Env, name: string): string {
  const given = inputText(env, name)
  if (given === '' || /\n/.test(given)) return given
  const file = resolve(env['GITHUB_WORKSPACE'] || '.', given)
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return readFileSync(file, 'utf8')
  if (/^[\w./~-]+\.(sql|txt)$/i.test(given))
    throw badInput(
      name,
      `names ${shown(given)}, but there is no file ${shown(file)}`,
      'Check the spelling, and that an earlier step has made it (actions/checkout comes first).',
    )
  return given
}

const unitBytes: Record<string, number> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/**
 * A size with its unit, such as `16MiB`, `64 MB` or `1g`, in bytes; as in PostgreSQL, 1 MB is 1024
 * kB. `fallback` when empty.
 */
export function inputSize(env: Env, name: string, fallback: number): number {
  const given = inputText(env, name)
  if (given === '') return fallback
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt])(?:i?b)?$/i.exec(given) ?? []
  const bytes = Math.round(Number(number) * (unitBytes[unit.toLowerCase()] ?? 0))
  if (number !== '' && Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw badInput(
    name,
    `is ${shown(given)}, which is not a size`,
    `Write a number with its unit (kB, MB, GB), for example ${name}: 64MB.`,
  )
}

/** A folder that exists, absolute; what is relative is relative to the workspace. */
export function existingFolder(env: Env, name: string, given: string): string {
  const folder = resolve(env['GITHUB_WORKSPACE'] || '.', given)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return folder
  throw badInput(
    name,
    `names ${shown(given)}, but there is no folder ${shown(folder)}`,
    'Check the spelling, and that an earlier step has made it (actions/checkout comes first).',
  )
}

/** One error for every input that holds what it must not. `what` goes on after the input's name. */
export function badInput(name: string, what: string, hint: string): UserError {
  return new UserError('bad-input', `The input ${name} ${what}.`, hint)
}

/**
 * A value for a message: one line, in quotes, and not too long. Never for an input that may hold a
 * secret.
 */
export function shown(value: string): string {
  const flat = value.replace(/\s+/g, ' ')
  return `"${flat.length > 80 ? `${flat.slice(0, 77)}...` : flat}"`
}
