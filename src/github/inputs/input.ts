import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { badInput, shown } from '../../errors/bad-input.ts'
import { either, text } from '../../text.ts'

export type Env = Record<string, string | undefined>

/** Returns an input as the runner passes it, trimmed; empty if it is not set. */
export function inputText(env: Env, name: string): string {
  return (env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] ?? '').trim()
}

/**
 * Returns the lines of an input of one value per line, without duplicates and blank lines. With
 * `comments`, lines that start with `#` are skipped.
 */
export function inputLines(env: Env, name: string, { comments = false } = {}): string[] {
  const lines = inputText(env, name)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !(comments && line.startsWith('#')))
  return [...new Set(lines)]
}

/** Reads `true` or `false`, in any of YAML's spellings. */
export function inputFlag(env: Env, name: string, fallback = false): boolean {
  const given = inputText(env, name)
  if (given === '') return fallback
  if (/^false$/i.test(given)) return false
  if (/^true$/i.test(given)) return true
  throw badInput(
    name,
    `is ${shown(given)}, which is neither true nor false`,
    'It takes true or false.',
    'true',
  )
}

/** Reads a whole number of at least `min`; undefined if empty. */
export function inputCount(env: Env, name: string, min: number): number | undefined {
  const given = inputText(env, name)
  if (given === '') return undefined
  const count = Number(given)
  if (/^\d+$/.test(given) && Number.isSafeInteger(count) && count >= min) return count
  throw badInput(
    name,
    `is ${shown(given)}, which is not a whole number of ${min} or more`,
    'Give a whole number, or leave it out.',
    '7',
  )
}

const milliseconds: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 }
/** The longest that a job can run, which is on a self-hosted runner. */
const maxJobDuration = 5 * 86_400_000

/**
 * Reads a time limit such as `30m`, `5s` or `1h30m`, in milliseconds; at most five days. `fallback`
 * if empty.
 */
export function inputDuration(env: Env, name: string, fallback: number): number {
  const given = inputText(env, name)
  const duration = given === '' ? fallback : parseDuration(name, given, ['30m', '1h30m'])
  if (duration <= maxJobDuration) return duration
  throw badInput(
    name,
    `is ${shown(given)}, which is longer than 5 days, the longest that a job can run`,
    'Give a number with a unit (s, m, h, d).',
    '30m',
    '1h30m',
  )
}

/** Reads an age such as `26h`, in milliseconds, of any length; undefined if empty. */
export function inputAge(env: Env, name: string): number | undefined {
  const given = inputText(env, name)
  return given === '' ? undefined : parseDuration(name, given, ['26h', '7d'])
}

function parseDuration(name: string, given: string, examples: readonly string[]): number {
  const parts = /^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$/i.exec(given.replaceAll(' ', ''))?.slice(1) ?? []
  const durations = parts.map((part) =>
    part ? Number.parseInt(part, 10) * (milliseconds[part.slice(-1).toLowerCase()] ?? 0) : 0,
  )
  const sum = durations.reduce((total, duration) => total + duration, 0)
  if (sum > 0 && Number.isSafeInteger(sum)) return sum
  throw badInput(
    name,
    `is ${shown(given)}, which is not a duration`,
    'Give a number with a unit (s, m, h, d).',
    ...examples,
  )
}

/** Reads one of some words, in any case. The first word is the default. */
export function inputChoice<Word extends string>(
  env: Env,
  name: string,
  words: readonly [Word, ...Word[]],
): Word {
  return inputWord(env, name, words) ?? words[0]
}

/** Reads one of some words, in any case; undefined if empty. */
export function inputWord<Word extends string>(
  env: Env,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const given = inputText(env, name)
  if (given === '') return undefined
  const word = words.find((each) => each === given.toLowerCase())
  if (word !== undefined) return word
  throw badInput(name, `is ${shown(given)}`, `It takes one of: ${words.join(', ')}.`)
}

/** Reads a share such as `50%` or `0.5`, as a number; undefined if empty. */
export function inputShare(env: Env, name: string): number | undefined {
  const given = inputText(env, name)
  if (given === '') return undefined
  const [, number = '', percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(given) ?? []
  const share = Number(number) / (percent ? 100 : 1)
  if (number !== '' && share > 0) return share
  throw badInput(
    name,
    `is ${shown(given)}, which is not a share`,
    'Give a percentage, or a number above 0.',
    '50%',
  )
}

/**
 * Reads a text, or the file that it names. One line that is the path of a file in the workspace
 * stands for the file's content.
 */
export function inputTextOrFile(env: Env, name: string): string {
  const given = inputText(env, name)
  if (given === '' || /\n/.test(given)) return given
  const file = resolve(env['GITHUB_WORKSPACE'] || '.', given)
  if (statSync(file, { throwIfNoEntry: false })?.isFile()) return readFileSync(file, 'utf8')
  if (/^[\w./~-]+\.(sql|txt)$/i.test(given)) throw notFound(name, given, 'file', file)
  return given
}

const unitBytes: Record<string, number> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/**
 * Reads a size such as `16MiB`, `64 MB` or `1g`, in bytes. As in PostgreSQL, 1 MB is 1024 kB.
 * `fallback` if empty.
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
    'Give a number with a unit (kB, MB, GB).',
    '64MB',
  )
}

/** Returns the absolute path of a folder that exists; relative paths start at the workspace. */
export function existingFolder(env: Env, name: string, given: string): string {
  const folder = resolve(env['GITHUB_WORKSPACE'] || '.', given)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return folder
  throw notFound(name, given, 'folder', folder)
}

function notFound(name: string, given: string, kind: string, path: string): Error {
  return badInput(
    name,
    `names ${shown(given)}, but there is no ${kind} ${shown(path)}`,
    text`Check the spelling${either(
      `, and that an earlier step creates the ${kind} (actions/checkout runs first)`,
      '',
    )}.`,
  )
}
