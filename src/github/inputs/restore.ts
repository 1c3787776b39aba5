import { badInput, shown } from '../../errors/bad-input.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import type { OwnerRule } from '../../postgres/pg-restore/owners.ts'
import type { ExternalSelector, SingleSelector } from '../../repository/selector.ts'
import { checkConfirmation, type Confirmation, confirmationOf } from '../../restore/confirmation.ts'
import { input, join, text } from '../../text.ts'
import {
  type Env,
  inputAge,
  inputChoice,
  inputFlag,
  inputLines,
  inputText,
  inputTextOrFile,
} from './input.ts'
import {
  type CommandInputs,
  type CommonInputs,
  isInStorage,
  readCommandInputs,
  readCommon,
  readConnection,
  readSource,
  type SourceInputs,
} from './inputs.ts'

export interface RestoreInputs
  extends CommonInputs, SourceInputs<SingleSelector | ExternalSelector>, CommandInputs {
  target: Connection
  confirm: Confirmation
  environmentName?: string
  task: 'restore' | 'undo' | 'clean'
  mode: 'swap' | 'new' | 'in-place'
  dryRun: boolean
  /** Milliseconds. */
  keepPrevious?: number
  safetyBackup: boolean
  /** As typed: `schema.table`. */
  tables: string[]
  schemas: string[]
  contents: 'all' | 'schema' | 'data'
  replace: boolean
  /** SQL. */
  prepare?: string
  owner: OwnerRule
  postCommand?: string
  /** Milliseconds. */
  maxRestoreTime?: number
}

/** With the name of the target's database as `assumedLabel`, if no label was given. */
export type ListInputs = Pick<CommonInputs, 'storage' | 'label'> & { assumedLabel?: string }

/**
 * Parses the inputs of a list; undefined for another task. A list needs no target, whose name is
 * only the default of the label.
 */
export function readListInputs(env: Env): ListInputs | undefined {
  if (!inputFlag(env, 'list')) return undefined
  const task = readTask(env)
  if (task !== 'restore') throw bothTasks(task, 'list')
  if (inputText(env, 'target-url') === '') return readCommon(env)
  // nothing needs to be confirmed; all else is checked as for a restore
  const { storage, label, target } = readRestoreInputs({ ...env, 'INPUT_DRY-RUN': 'true' })
  return label === undefined ? { storage, assumedLabel: target.database } : { storage, label }
}

/** Parses the inputs of `restore`. */
export function readRestoreInputs(env: Env): RestoreInputs {
  const target = readTarget(env)
  const task = readTask(env)
  const dryRun = inputFlag(env, 'dry-run')
  const environmentName = inputText(env, 'environment')
  const confirm = confirmationOf(target.database, inputText(env, 'confirm'), environmentName)
  checkConfirmation(confirm, { optional: dryRun })
  const source = readSource(env, ['one', 'external'])
  const mode = inputChoice(env, 'mode', ['swap', 'new', 'in-place'])
  const keepPrevious = inputAge(env, 'keep-previous')
  const maxRestoreTime = inputAge(env, 'max-restore-time')
  const prepare = inputTextOrFile(env, 'prepare')
  const postCommand = inputText(env, 'post-command')
  const selected = {
    tables: inputLines(env, 'tables'),
    schemas: inputLines(env, 'schemas'),
    replace: inputFlag(env, 'replace'),
    contents: inputChoice(env, 'contents', ['all', 'schema', 'data']),
  }
  checkTogether(env, { ...selected, mode, task })
  const needsStorage = task !== 'undo' && task !== 'clean' && isInStorage(source.backup)
  return {
    ...readCommon(env, needsStorage),
    ...source,
    ...readCommandInputs(env),
    target,
    confirm,
    ...(environmentName ? { environmentName } : {}),
    task,
    mode,
    dryRun,
    ...(keepPrevious === undefined ? {} : { keepPrevious }),
    safetyBackup: inputFlag(env, 'safety-backup', true),
    ...selected,
    ...(prepare ? { prepare } : {}),
    owner: readOwner(env),
    ...(postCommand ? { postCommand } : {}),
    ...(maxRestoreTime === undefined ? {} : { maxRestoreTime }),
  }
}

function readTarget(env: Env): Connection {
  const url = inputText(env, 'target-url')
  if (url !== '') return readConnection(url, 'target-url')
  throw badInput(
    'target-url',
    'is empty',
    text`Give the URL of the database to restore, for example ${input('target-url', { secret: 'DATABASE_URL' })}.`,
  )
}

function readTask(env: Env): RestoreInputs['task'] {
  const [task, other] = (['undo', 'clean'] as const).filter((name) => inputFlag(env, name))
  if (task && other) throw bothTasks(other, task)
  return task ?? 'restore'
}

function bothTasks(one: string, other: string): Error {
  return badInput(
    one,
    text`cannot be combined with ${input(other)}`,
    text`Use either ${input(other)} or ${input(one)}.`,
  )
}

type Together = Pick<RestoreInputs, 'tables' | 'schemas' | 'replace' | 'contents' | 'mode' | 'task'>
type Refusal = Parameters<typeof badInput>

/** Refuses inputs that contradict each other, or that have no effect together. */
function checkTogether(env: Env, given: Together): void {
  const ofTables = given.tables.length + given.schemas.length > 0
  if (given.task === 'undo' || given.task === 'clean') checkOtherTask(env, given.task, given)
  const conflicts = [
    ...(ofTables ? tablesConflicts(env, given) : databaseConflicts(given)),
    ...liveConflicts(env, given, ofTables),
    ...(given.task === 'clean' ? cleanConflicts(env) : []),
  ]
  for (const [applies, ...refusal] of conflicts) if (applies) throw badInput(...refusal)
}

/** An undo and a clean concern whole databases, and restore nothing from a backup. */
function checkOtherTask(env: Env, task: 'undo' | 'clean', given: Together): void {
  const { tables, schemas, replace, contents, mode } = given
  const set = {
    tables: tables.length > 0,
    schemas: schemas.length > 0,
    replace,
    contents: contents !== 'all',
    mode: mode !== 'swap',
    prepare: inputText(env, 'prepare') !== '',
    'max-restore-time': inputText(env, 'max-restore-time') !== '',
  }
  const others = Object.entries(set).flatMap(([name, isSet]) => (isSet ? [[input(name)]] : []))
  if (others.length === 0) return
  throw badInput(
    task,
    text`cannot be combined with ${join(others, ' and ')}`,
    task === 'undo'
      ? 'An undo swaps back the whole database that a swap replaced. To revert a restore of ' +
          'tables or in place, restore its safety backup, by its id, in the same way.'
      : 'Leave that out: a clean restores nothing.',
  )
}

function databaseConflicts({ contents, mode, replace }: Together): [boolean, ...Refusal][] {
  return [
    [
      contents === 'schema' && mode === 'swap',
      'contents',
      'is "schema", and a swap would put a database without rows in the place of the live one',
      join(
        [
          text`To create an empty database next to it, write ${input('mode', 'new')}`,
          text`and a free name in ${input('target-url')}.`,
        ],
        ' ',
      ),
    ],
    [
      replace,
      'replace',
      text`needs ${input('tables')} or ${input('schemas')}`,
      join(
        [
          text`Name the tables, for example ${input('tables', 'public.orders')}.`,
          text`Without them the whole database is restored, by ${input('mode')}.`,
        ],
        ' ',
      ),
    ],
    [
      contents === 'data' && mode !== 'in-place',
      'contents',
      'is "data", and a new database has no tables to put rows into',
      text`Name the tables that get the rows in ${input('tables')}, and write ${input('replace', true)}.`,
    ],
  ]
}

function tablesConflicts(env: Env, { contents, mode, replace }: Together): [boolean, ...Refusal][] {
  return [
    [
      inputText(env, 'mode') !== '' && mode !== 'swap',
      'mode',
      text`is ${shown(mode)}, which restores the whole database`,
      text`Leave out ${input('mode')} to restore tables.`,
    ],
    [
      contents === 'data' && !replace,
      'contents',
      text`is "data", which needs ${input('replace', true)}`,
      'Rows alone can only go into the live tables.',
    ],
  ]
}

/** A restore into the live database itself has no side database, and replaces no database. */
function liveConflicts(
  env: Env,
  { mode, task }: Together,
  ofTables: boolean,
): [boolean, ...Refusal][] {
  if (!ofTables && mode !== 'in-place') return []
  const reason = ofTables
    ? text`${input('tables')} or ${input('schemas')}`
    : text`${input('mode', 'in-place')}`
  return [
    [
      inputText(env, 'prepare') !== '',
      'prepare',
      text`cannot be combined with ${reason}`,
      join(
        [
          'It runs in a database that is not in use yet.',
          text`Use it with ${input('mode', 'swap')} or ${input('mode', 'new')}.`,
        ],
        ' ',
      ),
    ],
    [
      task === 'restore' && inputText(env, 'keep-previous') !== '',
      'keep-previous',
      text`cannot be combined with ${reason}`,
      join(
        [
          'No database is replaced, so none is kept.',
          text`To drop what earlier restores replaced, run it with ${input('clean', true)}.`,
        ],
        ' ',
      ),
    ],
  ]
}

function cleanConflicts(env: Env): [boolean, ...Refusal][] {
  return [
    [
      inputText(env, 'keep-previous') === '',
      'clean',
      text`needs ${input('keep-previous')}`,
      text`Say how long previous databases are kept, for example ${input('keep-previous', '7d')}.`,
    ],
  ]
}

function readOwner(env: Env): OwnerRule {
  const lines = inputLines(env, 'owner')
  const [first = 'keep'] = lines
  if (lines.length <= 1 && (first === 'keep' || first === 'drop')) return first
  const pairs = lines.map((line) => {
    const [, old = '', replacement = ''] = /^(\S.*?)\s*:\s+(\S.*)$/.exec(line) ?? []
    if (old === '')
      throw badInput(
        'owner',
        `has the line ${shown(line)}`,
        'It takes keep, drop, or lines "old role: new role", for example production_app: staging_app.',
      )
    return [old, replacement] as const
  })
  return Object.fromEntries(pairs)
}
