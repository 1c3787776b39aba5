import { badInput, shown } from '../../errors/bad-input.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { type TargetLevel, targetLevels } from '../../repository/level.ts'
import type { BackupSelector } from '../../repository/selector.ts'
import { input, text } from '../../text.ts'
import type { Check } from '../../verify/user-checks.ts'
import { type Env, inputAge, inputShare, inputText, inputTextOrFile, inputWord } from './input.ts'
import {
  type CommandInputs,
  type CommonInputs,
  isInStorage,
  readCommandInputs,
  readCommon,
  readScratch,
  readSource,
  type SourceInputs,
} from './inputs.ts'

export interface VerifyInputs extends CommonInputs, SourceInputs<BackupSelector>, CommandInputs {
  scratch?: Connection
  /** Undefined: as far as the backup and the checks allow. */
  level?: TargetLevel
  checks: Check[]
  checkCommand?: string
  /** Milliseconds. */
  maxAge?: number
  /** Milliseconds. */
  maxRestoreTime?: number
  /** 0.5 is half, more or less. */
  maxSizeChange?: number
}

/** Parses the inputs of `verify`. */
export function readVerifyInputs(env: Env): VerifyInputs {
  const source = readSource(env, ['one', 'several', 'external'])
  const level = inputWord(env, 'level', targetLevels)
  const checkCommand = inputText(env, 'check-command')
  const maxAge = inputAge(env, 'max-age')
  const maxRestoreTime = inputAge(env, 'max-restore-time')
  const maxSizeChange = inputShare(env, 'max-size-change')
  const checks = parseChecks(inputTextOrFile(env, 'checks'))
  checkLevel(level, {
    checks: checks.length > 0,
    'check-command': checkCommand !== '',
    'max-restore-time': maxRestoreTime !== undefined,
  })
  return {
    ...readCommon(env, isInStorage(source.backup)),
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

/** Refuses inputs that have no effect because the verification stops at `level`. */
function checkLevel(
  level: TargetLevel | undefined,
  given: Record<'checks' | 'check-command' | 'max-restore-time', boolean>,
): void {
  if (level === undefined) return
  const refuse = (name: keyof typeof given, event: string): void => {
    if (given[name])
      throw badInput(
        name,
        text`is set, and ${input('level', level)} ends before ${event}`,
        text`Leave out ${input('level')} or ${input(name)}.`,
      )
  }
  if (level === 'stored' || level === 'readable')
    refuse('max-restore-time', 'anything is restored, so the time cannot be measured')
  if (level !== 'accepted')
    for (const name of ['checks', 'check-command'] as const) refuse(name, 'they run')
  if (level === 'accepted' && !given.checks && !given['check-command'])
    throw badInput(
      'level',
      'is "accepted", and there are no checks to accept the backup by',
      text`Give ${input('checks')} or ${input('check-command')}, or write ${input('level', 'identical')}.`,
    )
}

/**
 * Parses lines of `name: SQL`. Blank lines and lines that start with # are skipped; a line that
 * starts with white space continues the one before.
 */
function parseChecks(lines: string): Check[] {
  const checks: Check[] = []
  for (const line of lines.split(/\r?\n/)) {
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
        'Give one check per line: a name, a colon, and a query that returns true. For example, ' +
          "orders are recent: SELECT max(created_at) > now() - interval '2 days' FROM orders",
      )
    if (checks.some((check) => check.name === name))
      throw badInput(
        'checks',
        `has two checks of the name ${shown(name)}`,
        'Give each check its own name.',
      )
    checks.push({ name, sql })
  }
  const empty = checks.find(({ sql }) => sql.trim() === '')
  if (empty)
    throw badInput(
      'checks',
      `has no SQL for ${shown(empty.name)}`,
      'Write the query after the colon, or on the following lines, each indented by a space.',
    )
  return checks
}
