import type { Connection } from '../../postgres/connection/connection.ts'
import {
  badInput,
  type Env,
  inputAge,
  inputChoice,
  inputShare,
  inputText,
  inputTextOrFile,
  shown,
} from './input.ts'
import {
  any,
  type CommandInputs,
  type CommonInputs,
  readCommandInputs,
  readCommon,
  readScratch,
  readSource,
  type SourceInputs,
} from './inputs.ts'

/** A check of the user's: one query that gives one row with one value, `true`. */
export interface Check {
  name: string
  sql: string
}

export interface VerifyInputs extends CommonInputs, SourceInputs, CommandInputs {
  scratch?: Connection
  /** How far to go; undefined: as far as it goes. */
  level?: 'stored' | 'readable' | 'restored' | 'counted' | 'identical' | 'accepted'
  checks: Check[]
  checkCommand?: string
  /** Milliseconds. */
  maxAge?: number
  /** Milliseconds. */
  maxRestoreTime?: number
  /** 0.5 is by half, up or down. */
  maxSizeChange?: number
}

export function readVerifyInputs(env: Env): VerifyInputs {
  const source = readSource(env, any)
  const level = inputChoice(env, 'level', [
    '',
    'stored',
    'readable',
    'restored',
    'counted',
    'identical',
    'accepted',
  ])
  const checkCommand = inputText(env, 'check-command')
  const maxAge = inputAge(env, 'max-age')
  const maxRestoreTime = inputAge(env, 'max-restore-time')
  const maxSizeChange = inputShare(env, 'max-size-change')
  const checks = readChecks(inputTextOrFile(env, 'checks'))
  checkTogether(level, {
    checks: checks.length > 0,
    'check-command': checkCommand !== '',
    'max-restore-time': maxRestoreTime !== undefined,
  })
  return {
    ...readCommon(env, !/^file:/.test(source.backup)),
    ...source,
    ...readScratch(env),
    ...(level ? { level } : {}),
    checks,
    ...(checkCommand ? { checkCommand } : {}),
    ...readCommandInputs(env),
    ...(maxAge === undefined ? {} : { maxAge }),
    ...(maxRestoreTime === undefined ? {} : { maxRestoreTime }),
    ...(maxSizeChange === undefined ? {} : { maxSizeChange }),
  }
}

/** What a level does not come to is not left out in silence. */
function checkTogether(
  level: string,
  given: Record<'checks' | 'check-command' | 'max-restore-time', boolean>,
): void {
  const beyond = (input: keyof typeof given, needs: string): void => {
    if (given[input])
      throw badInput(
        input,
        `is set, and level: ${level} ends before ${needs}`,
        `Leave level out, or leave ${input} out.`,
      )
  }
  if (level === 'stored' || level === 'readable')
    beyond('max-restore-time', 'anything is restored, so that the time cannot be measured')
  if (level !== '' && level !== 'accepted')
    for (const input of ['checks', 'check-command'] as const) beyond(input, 'they run')
  if (level === 'accepted' && !given.checks && !given['check-command'])
    throw badInput(
      'level',
      'is "accepted", and there is nothing to accept it by',
      'Give checks or check-command, or write level: identical.',
    )
}

/**
 * Lines `name: SQL`; blank ones and those that begin with # are left out, and one that begins with
 * white space goes on with the one before.
 */
function readChecks(text: string): Check[] {
  const checks: Check[] = []
  for (const line of text.split(/\r?\n/)) {
    const last = checks.at(-1)
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue
    if (/^\s/.test(line) && last) {
      last.sql += `\n${line.trim()}`
      continue
    }
    const [, name = '', sql = ''] = /^\s*([^:]{1,80}?)\s*:(?!:)\s*(.*)$/s.exec(line) ?? []
    if (name === '')
      throw badInput(
        'checks',
        `has the line ${shown(line)}, which is not name: SQL`,
        "Write for example: orders are recent: SELECT max(created_at) > now() - interval '2 days' FROM orders",
      )
    if (checks.some((check) => check.name === name))
      throw badInput(
        'checks',
        `has two checks of the name ${shown(name)}`,
        'Give each a name of its own.',
      )
    checks.push({ name, sql })
  }
  const empty = checks.find(({ sql }) => sql.trim() === '')
  if (empty)
    throw badInput(
      'checks',
      `has no SQL for ${shown(empty.name)}`,
      'Write the query after the colon, or in lines below it that begin with a space.',
    )
  return checks
}
