/**
 * The inputs of the actions, parsed once into typed values. A value that cannot be used is a
 * UserError that names the input, thrown before anything connects.
 */
import { availableParallelism } from 'node:os'
import { badInput, shown } from '../../errors/bad-input.ts'
import {
  connectionFromEnv,
  parseConnection,
  type Connection,
} from '../../postgres/connection/connection.ts'
import {
  type BackupSelector,
  parseSelector,
  type SelectedBy,
  type SelectorGroup,
  type SingleSelector,
} from '../../repository/selector.ts'
import { checkIdentities, checkRecipients } from '../../stream/encrypt.ts'
import { input, join, text } from '../../text.ts'
import {
  existingFolder,
  inputChoice,
  inputCount,
  inputDuration,
  inputLines,
  inputSize,
  inputText,
  type Env,
} from './input.ts'

/** The inputs that all actions have. */
export interface CommonInputs {
  /** One URL per destination, as typed. */
  storage: string[]
  label?: string
  /** Folders to search first for PostgreSQL's programs. */
  bindirs: string[]
  /** Number of concurrent jobs. */
  jobs: number
}

/** Which backups are read, and with which keys. */
export interface SourceInputs<Selector extends BackupSelector = SingleSelector> {
  backup: Selector
  identities: string[]
}

/** Where the user's command runs, and for how long. */
export interface CommandInputs {
  workingDirectory: string
  /** Milliseconds. */
  timeout: number
}

export interface BackupInputs extends CommonInputs {
  database: Connection
  recipients: string[] | 'none'
  keep?: number
  /** Bytes. */
  largeTable: number
  fingerprint: 'content' | 'counts' | 'none'
}

export interface TestMigrationInputs extends CommonInputs, SourceInputs, CommandInputs {
  scratch?: Connection
  command: string
  /** Empty: no comment. */
  token: string
}

/** Parses the inputs of `backup`. */
export function readBackupInputs(env: Env): BackupInputs {
  const recipients = readRecipients(env)
  const keep = inputCount(env, 'keep', 1)
  return {
    ...readCommon(env),
    database: readDatabase(env),
    recipients,
    ...(keep === undefined ? {} : { keep }),
    largeTable: inputSize(env, 'large-table', 16 * 1024 ** 2),
    fingerprint: inputChoice(env, 'fingerprint', ['content', 'counts', 'none']),
  }
}

/** Parses the inputs of `test-migration`. */
export function readTestMigrationInputs(env: Env): TestMigrationInputs {
  const command = inputText(env, 'migrate-command')
  if (command === '')
    throw badInput(
      'migrate-command',
      'is empty',
      'Give the command that migrates the database in DATABASE_URL.',
      'npm run migrate',
    )
  return {
    ...readCommon(env),
    ...readSource(env, ['one']),
    ...readScratch(env),
    command,
    ...readCommandInputs(env),
    token: inputText(env, 'github-token'),
  }
}

/** Reads the storages and servers that the cleanup after a step may need, as far as they are set. */
export function readSweepInputs(env: Env): {
  storage: string[]
  servers: Partial<Record<'scratch-url' | 'target-url', Connection>>
} {
  const servers: Partial<Record<'scratch-url' | 'target-url', Connection>> = {}
  for (const name of ['scratch-url', 'target-url'] as const) {
    const url = inputText(env, name)
    if (url) servers[name] = readConnection(url, name)
  }
  return { storage: inputLines(env, 'storage'), servers }
}

/** Parses the inputs that all actions have. `storage` may be empty unless it is `needed`. */
export function readCommon(env: Env, needed = true): CommonInputs {
  const storage = inputLines(env, 'storage')
  if (storage.length === 0 && needed)
    throw badInput(
      'storage',
      'is empty',
      'Give the storage of the backups, one URL per line.',
      's3://bucket/prefix?region=eu-central-1',
      'file:///mnt/backups',
    )
  const label = inputText(env, 'label')
  if (label && !/^(?![-.])[^/\p{Cc}]{1,100}$/u.test(label))
    throw badInput(
      'label',
      `is ${shown(label)}, and becomes part of a path`,
      'Use at most 100 characters, without a slash, and start with neither a dot nor a hyphen.',
      'production',
    )
  const bindirs = inputLines(env, 'postgres-bin').map((folder) =>
    existingFolder(env, 'postgres-bin', folder),
  )
  return { storage, ...(label ? { label } : {}), bindirs, jobs: readJobs(env) }
}

/** The default is the machine's cores, at most 8, because each job loads the server too. */
function readJobs(env: Env): number {
  const jobs = inputCount(env, 'jobs', 1) ?? Math.min(availableParallelism(), 8)
  if (jobs > 64)
    throw badInput(
      'jobs',
      `is ${jobs}, and each job is a connection to the server`,
      'Use at most 64. More jobs than cores, here or on the server, gain nothing.',
      '8',
    )
  return jobs
}

/** Parses `backup`, as one of the groups that the action accepts, and `decrypt-with`. */
export function readSource<Group extends SelectorGroup>(
  env: Env,
  accepts: readonly Group[],
): SourceInputs<SelectedBy<Group>> {
  const backup = parseSelector(inputText(env, 'backup') || 'latest', accepts)
  const identities = inputLines(env, 'decrypt-with', { comments: true })
  checkIdentities(identities, 'decrypt-with')
  return { backup, identities }
}

/** Whether the backup is read from a storage; a file of the workspace is not. */
export function isInStorage(backup: BackupSelector): boolean {
  return backup.kind !== 'external' || backup.scheme === 'store'
}

export function readScratch(env: Env): { scratch?: Connection } {
  const url = inputText(env, 'scratch-url')
  return url ? { scratch: readConnection(url, 'scratch-url') } : {}
}

export function readCommandInputs(env: Env): CommandInputs {
  return {
    workingDirectory: existingFolder(
      env,
      'working-directory',
      inputText(env, 'working-directory') || '.',
    ),
    timeout: inputDuration(env, 'timeout', 30 * 60_000),
  }
}

/**
 * Parses a PostgreSQL URL. An unencoded `/` in a password ends the host part of a URL, and the rest
 * of the password would be shown as the database's name: such a URL is refused.
 */
export function readConnection(url: string, name: string): Connection {
  if (/^[^:]+:\/\/[^/?#]*\/[^?#]*@/.test(url))
    throw badInput(
      name,
      'has an @ after the first /, so its password is not percent-encoded',
      'In a URL, write @ as %40, / as %2F, : as %3A, # as %23 and % as %25.',
    )
  return parseConnection(url, name)
}

function readDatabase(env: Env): Connection {
  const url = inputText(env, 'database-url')
  if (url) return readConnection(url, 'database-url')
  const connection = connectionFromEnv(env, 'database-url')
  if (connection) return connection
  throw badInput(
    'database-url',
    'is empty, and no PG* variable names a database',
    join(
      [
        text`Write ${input('database-url', { secret: 'DATABASE_URL' })},`,
        'or set PGHOST, PGUSER, PGPASSWORD and PGDATABASE in the environment.',
      ],
      ' ',
    ),
  )
}

function readRecipients(env: Env): string[] | 'none' {
  const lines = inputLines(env, 'encrypt-to', { comments: true })
  if (lines.length === 0)
    throw badInput(
      'encrypt-to',
      'is empty, and a backup is stored unencrypted only on request',
      join(
        [
          'Create a key with: age-keygen -o key.txt.',
          text`Write its public line (age1...) in ${input('encrypt-to')}.`,
          'Keep key.txt outside CI, in two places.',
          text`To store the backup unencrypted, write ${input('encrypt-to', 'none')}.`,
        ],
        ' ',
      ),
    )
  if (lines.length === 1 && lines[0] === 'none') return 'none'
  if (lines.includes('none'))
    throw badInput(
      'encrypt-to',
      'holds both a key and the word none',
      'Give public keys, or none alone.',
      'none',
    )
  checkRecipients(lines, 'encrypt-to')
  return lines
}
