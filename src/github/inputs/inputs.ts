import { availableParallelism } from 'node:os'
import {
  connectionFromEnv,
  parseConnection,
  type Connection,
} from '../../postgres/connection/connection.ts'
import { checkIdentities, checkRecipients } from '../../stream/encrypt.ts'
import {
  badInput,
  existingFolder,
  inputChoice,
  inputCount,
  inputDuration,
  inputLines,
  inputSize,
  inputText,
  shown,
  type Env,
} from './input.ts'

/**
 * Each action's inputs, read once into one value. Whatever is wrong with them is a UserError that
 * names the input, and comes before anything is connected to.
 */
export interface CommonInputs {
  /** One URL a destination, as typed. At least one. */
  storage: string[]
  label?: string
  /** Folders to look in first for PostgreSQL's programs. */
  bindirs: string[]
  /** Work done side by side. */
  jobs: number
}

/** What is read of a storage, and with which keys. */
export interface SourceInputs {
  /** As typed, in one of the forms that the action takes; the core gives it its meaning. */
  backup: string
  identities: string[]
}

/** Where a command of the user's runs, and how long. */
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

export function readTestMigrationInputs(env: Env): TestMigrationInputs {
  const command = inputText(env, 'migrate-command')
  if (command === '')
    throw badInput(
      'migrate-command',
      'is empty',
      'Give the command that migrates the database which DATABASE_URL names, for example migrate-command: npm run migrate.',
    )
  return {
    ...readCommon(env),
    ...readSource(env, one),
    ...readScratch(env),
    command,
    ...readCommandInputs(env),
    token: inputText(env, 'github-token'),
  }
}

/**
 * For the clean-up after a run: what of storage and servers can be read; what cannot was never
 * used.
 */
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

/** `needed` false: it can do without a storage. */
export function readCommon(env: Env, needed = true): CommonInputs {
  const storage = inputLines(env, 'storage')
  if (storage.length === 0 && needed) {
    throw badInput(
      'storage',
      'is empty',
      'Say where backups are kept, one URL a line, for example storage: s3://bucket/prefix?region=eu-central-1 or storage: file:///mnt/backups.',
    )
  }
  const label = inputText(env, 'label')
  if (label && !/^(?![-.])[^/\p{Cc}]{1,100}$/u.test(label)) {
    throw badInput(
      'label',
      `is ${shown(label)}, and becomes part of a path`,
      'Use at most 100 characters, no slash among them and neither a dot nor a hyphen first, for example label: production.',
    )
  }
  const bindirs = inputLines(env, 'postgres-bin').map((folder) =>
    existingFolder(env, 'postgres-bin', folder),
  )
  return { storage, ...(label ? { label } : {}), bindirs, jobs: readJobs(env) }
}

/**
 * The machine's cores by default, eight at most: each job is also a connection, and work for the
 * server.
 */
function readJobs(env: Env): number {
  const jobs = inputCount(env, 'jobs', 1) ?? Math.min(availableParallelism(), 8)
  if (jobs > 64)
    throw badInput(
      'jobs',
      `is ${jobs}, and each job is a connection to the server`,
      'Use at most 64; more than the cores of this machine or of the server gains nothing.',
    )
  return jobs
}

/** Which backup, in words: see `docs/recipes.md`. */
const id = String.raw`[A-Za-z0-9][\w.=-]{0,199}`
const moment = String.raw`\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|UTC|[+-]\d\d:?\d\d)?)?`
/** One backup that we made. */
export const one = new RegExp(String.raw`^(${id}|before:\s*${moment})$`)
/** The same, or a file of another tool. */
export const oneOrFile = new RegExp(String.raw`${one.source}|^(file|store):\s*\S.*$`)
/** The same, or several. */
export const any = new RegExp(String.raw`${oneOrFile.source}|^sample:\s*[1-9]\d{0,5}$`)

export function readSource(env: Env, forms: RegExp): SourceInputs {
  const backup = inputText(env, 'backup') || 'latest'
  if (!forms.test(backup)) {
    const more =
      forms === one
        ? ''
        : forms === any
          ? ', all, unproven, oldest-unproven, sample: 3, or file: and a path'
          : ', or file: and a path'
    throw badInput(
      'backup',
      `is ${shown(backup)}, which names no backup`,
      `Write backup: latest, latest-proven, an id as the output backup-id of the action backup gives it, before: 2026-11-20T03:00:00Z${more}.`,
    )
  }
  const identities = inputLines(env, 'decrypt-with', { comments: true })
  checkIdentities(identities, 'decrypt-with')
  return { backup, identities }
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
 * A raw / in a password ends the host's part of a URL: the rest would be taken for the database's
 * name, and shown.
 */
export function readConnection(url: string, input: string): Connection {
  if (/^[^:]+:\/\/[^/?#]*\/[^?#]*@/.test(url)) {
    throw badInput(
      input,
      'has an @ after the first /, so its password is not percent-encoded',
      'In a URL, write @ as %40, / as %2F, : as %3A, # as %23 and % as %25.',
    )
  }
  return parseConnection(url, input)
}

function readDatabase(env: Env): Connection {
  const url = inputText(env, 'database-url')
  if (url) return readConnection(url, 'database-url')
  const connection = connectionFromEnv(env, 'database-url')
  if (connection) return connection
  throw badInput(
    'database-url',
    'is empty, and no PG* variable names a database',
    'Write database-url: ${{ secrets.DATABASE_URL }}, or set PGHOST, PGUSER, PGPASSWORD and PGDATABASE in env.',
  )
}

function readRecipients(env: Env): string[] | 'none' {
  const lines = inputLines(env, 'encrypt-to', { comments: true })
  if (lines.length === 0) {
    throw badInput(
      'encrypt-to',
      'is empty, and a backup that is not encrypted is never made by accident',
      'Make a key with: age-keygen -o key.txt. Write its public line (age1...) in encrypt-to, and keep key.txt away from CI, in two places. To store in the clear, write encrypt-to: none.',
    )
  }
  if (lines.length === 1 && lines[0] === 'none') return 'none'
  if (lines.includes('none'))
    throw badInput(
      'encrypt-to',
      'holds both a key and the word none',
      'Leave out the one that you do not mean.',
    )
  checkRecipients(lines, 'encrypt-to')
  return lines
}
