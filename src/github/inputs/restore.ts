import { UserError } from '../../errors.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import {
  badInput,
  type Env,
  inputAge,
  inputChoice,
  inputFlag,
  inputLines,
  inputText,
  inputTextOrFile,
  shown,
} from './input.ts'
import {
  type CommandInputs,
  type CommonInputs,
  oneOrFile,
  readCommandInputs,
  readCommon,
  readConnection,
  readSource,
  type SourceInputs,
} from './inputs.ts'

/** `keep`, `drop`, or the new role of each old one. */
export type OwnerInput = 'keep' | 'drop' | Record<string, string>

export interface RestoreInputs extends CommonInputs, SourceInputs, CommandInputs {
  target: Connection
  /** What must be typed: the database's name, after its environment's where that is given. */
  confirm: string
  environmentName?: string
  /** What to do: restore, or only one of the others. */
  task: 'restore' | 'list' | 'undo' | 'clean'
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
  owner: OwnerInput
  postCommand?: string
  /** Milliseconds. */
  maxRestoreTime?: number
}

export function readRestoreInputs(env: Env): RestoreInputs {
  const url = inputText(env, 'target-url')
  if (url === '')
    throw badInput(
      'target-url',
      'is empty',
      'Give the URL of the database to put back, for example target-url: ${{ secrets.DATABASE_URL }}.',
    )
  const target = readConnection(url, 'target-url')
  const task = readTask(env)
  const dryRun = inputFlag(env, 'dry-run')
  const environmentName = inputText(env, 'environment')
  const confirm = readConfirm(env, target, environmentName, dryRun || task === 'list')
  const source = readSource(env, oneOrFile)
  const mode = inputChoice(env, 'mode', ['swap', 'new', 'in-place'])
  const keepPrevious = inputAge(env, 'keep-previous')
  const maxRestoreTime = inputAge(env, 'max-restore-time')
  const prepare = inputTextOrFile(env, 'prepare')
  const postCommand = inputText(env, 'post-command')
  const part = {
    tables: inputLines(env, 'tables'),
    schemas: inputLines(env, 'schemas'),
    replace: inputFlag(env, 'replace'),
    contents: inputChoice(env, 'contents', ['all', 'schema', 'data']),
  }
  checkTogether(env, { ...part, mode, task })
  return {
    ...readCommon(env, task !== 'undo' && task !== 'clean' && !/^file:/.test(source.backup)),
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
    ...part,
    ...(prepare ? { prepare } : {}),
    owner: readOwner(env),
    ...(postCommand ? { postCommand } : {}),
    ...(maxRestoreTime === undefined ? {} : { maxRestoreTime }),
  }
}

function readTask(env: Env): RestoreInputs['task'] {
  const [task, other] = (['list', 'undo', 'clean'] as const).filter((name) => inputFlag(env, name))
  if (other) throw badInput(other, `is true, and ${task} is too`, 'Do one after the other.')
  return task ?? 'restore'
}

/**
 * A dry run asks what would happen, so it need not be confirmed; a wrong name is an error all the
 * same.
 */
function readConfirm(env: Env, target: Connection, environment: string, optional: boolean): string {
  const given = inputText(env, 'confirm')
  const wanted = environment ? `${environment}/${target.database}` : target.database
  if (given === wanted || (optional && given === '')) return wanted
  throw new UserError(
    'confirm-mismatch',
    given === ''
      ? 'The input confirm is empty, and a restore replaces a database.'
      : `The input confirm is ${shown(given)}, but target-url names the database ${shown(target.database)}${environment ? ` of ${shown(environment)}` : ''}.`,
    `To replace that database, write its name: confirm: ${wanted}. To see first what would happen, write dry-run: true.`,
  )
}

/** What contradicts itself. */
function checkTogether(
  env: Env,
  {
    tables,
    schemas,
    replace,
    contents,
    mode,
    task,
  }: Pick<RestoreInputs, 'tables' | 'schemas' | 'replace' | 'contents' | 'mode' | 'task'>,
): void {
  const part = tables.length + schemas.length > 0
  if (task !== 'restore')
    refuseBeside(env, task, part || replace || contents !== 'all' || mode !== 'swap')
  if (!part && contents === 'schema' && mode === 'swap')
    throw badInput(
      'contents',
      'is "schema", and a swap would put a database without rows in the place of the live one',
      'To make an empty one beside it, write mode: new and a free name in target-url.',
    )
  if (replace && !part)
    throw badInput(
      'replace',
      'is true, and neither tables nor schemas name what to replace',
      'Name the tables, for example tables: public.orders; without them, the whole database is put back, by mode.',
    )
  if (part && inputText(env, 'mode') && mode !== 'swap')
    throw badInput(
      'mode',
      `is ${shown(mode)}, and tables or schemas name a part`,
      'A part goes into the live database; leave mode out.',
    )
  if (!part && contents === 'data' && mode !== 'in-place')
    throw badInput(
      'contents',
      'is "data", and a new database has no tables to put rows into',
      'Name the tables whose rows are to be put back, with tables and replace: true.',
    )
  if (contents === 'data' && part && !replace)
    throw badInput(
      'contents',
      'is "data", and replace is not true',
      'Rows alone can only go into the live tables: write replace: true.',
    )
  const inside = part
    ? 'tables or schemas name a part'
    : mode === 'in-place'
      ? 'mode is "in-place"'
      : undefined
  if (inside && inputText(env, 'prepare'))
    throw badInput(
      'prepare',
      `is given, and ${inside}`,
      'It runs in a database that nobody uses yet: use it with mode: swap or mode: new.',
    )
  if (inside && task === 'restore' && inputText(env, 'keep-previous'))
    throw badInput(
      'keep-previous',
      `is given, and ${inside}`,
      'No database is replaced then, so none is kept. To drop what earlier restores replaced, run it with clean: true.',
    )
  if (task === 'clean' && inputText(env, 'keep-previous') === '')
    throw badInput(
      'clean',
      'is true, and keep-previous is empty',
      'Say how long replaced databases are kept, for example keep-previous: 24h.',
    )
}

/**
 * An undo, a clean and a list are of whole databases, and do nothing else: what asks for more was
 * meant for a restore.
 */
function refuseBeside(env: Env, task: 'list' | 'undo' | 'clean', restoring: boolean): void {
  const other = restoring
    ? 'tables, schemas, replace, contents or mode'
    : ['prepare', 'max-restore-time'].find((name) => inputText(env, name) !== '')
  if (other === undefined || task === 'list') return
  const way =
    task === 'undo'
      ? 'An undo swaps the whole database back that a swap replaced. What a restore of tables or in place changed is in its safety backup: restore that one, by its id, in the same way.'
      : 'Run it without them.'
  throw badInput(task, `is true, and so is something in ${other}, which is for restoring`, way)
}

function readOwner(env: Env): OwnerInput {
  const lines = inputLines(env, 'owner')
  const [first = 'keep'] = lines
  if (lines.length <= 1 && (first === 'keep' || first === 'drop')) return first
  const pairs = lines.map((line) => {
    const [, old = '', mapped = ''] = /^(\S.*?)\s*:\s+(\S.*)$/.exec(line) ?? []
    if (old === '')
      throw badInput(
        'owner',
        `has the line ${shown(line)}`,
        'Write keep, drop, or lines of two roles, for example owner: production_app: staging_app.',
      )
    return [old, mapped] as const
  })
  return Object.fromEntries(pairs)
}
