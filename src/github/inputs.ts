import { availableParallelism } from 'node:os'
import { UserError } from '../errors.ts'
import { connectionFromEnv, parseConnection, type Connection } from '../postgres/connection.ts'
import { checkIdentities, checkRecipients } from '../stream/encrypt.ts'
import { badInput, existingFolder, inputChoice, inputCount, inputDuration, inputFlag, inputLines, inputSize, inputText, shown, type Env } from './input.ts'

/**
 * Each action's inputs, read once into one value. Whatever is wrong with them is a UserError that names the input, and comes
 * before anything is connected to.
 */
interface CommonInputs {
  /** One URL a destination, as typed. At least one. */
  storage: string[]
  label?: string
  /** Folders to look in first for PostgreSQL's programs. */
  bindirs: string[]
  /** Work done side by side. */
  jobs: number
}

export interface BackupInputs extends CommonInputs {
  database: Connection
  recipients: string[] | 'none'
  keep?: number
  /** Bytes. */
  largeTable: number
  fingerprint: 'content' | 'counts' | 'none'
}

export interface VerifyInputs extends CommonInputs {
  backup: string
  identities: string[]
  scratch?: Connection
}

export interface TestMigrationInputs extends VerifyInputs {
  command: string
  workingDirectory: string
  /** Milliseconds. */
  timeout: number
  /** Empty: no comment. */
  token: string
}

export interface RestoreInputs extends CommonInputs {
  backup: string
  identities: string[]
  target: Connection
  confirm: string
  dryRun: boolean
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

export function readVerifyInputs(env: Env): VerifyInputs {
  const scratch = inputText(env, 'scratch-url')
  return { ...readCommon(env), ...readSource(env), ...(scratch ? { scratch: readConnection(scratch, 'scratch-url') } : {}) }
}

export function readTestMigrationInputs(env: Env): TestMigrationInputs {
  const command = inputText(env, 'migrate-command')
  if (command === '') throw badInput('migrate-command', 'is empty', 'Give the command that migrates the database which DATABASE_URL names, for example migrate-command: npm run migrate.')
  return {
    ...readVerifyInputs(env),
    command,
    workingDirectory: existingFolder(env, 'working-directory', inputText(env, 'working-directory') || '.'),
    timeout: inputDuration(env, 'timeout', 30 * 60_000),
    token: inputText(env, 'github-token'),
  }
}

export function readRestoreInputs(env: Env): RestoreInputs {
  const url = inputText(env, 'target-url')
  if (url === '') throw badInput('target-url', 'is empty', 'Give the URL of the database to put back, for example target-url: ${{ secrets.DATABASE_URL }}.')
  const target = readConnection(url, 'target-url')
  const dryRun = inputFlag(env, 'dry-run')
  const confirm = inputText(env, 'confirm')
  // a dry run asks what would happen, so it need not be confirmed; a wrong name is an error all the same
  if (confirm !== target.database && !(dryRun && confirm === '')) {
    throw new UserError(
      'confirm-mismatch',
      confirm === '' ? 'The input confirm is empty, and a restore replaces a database.' : `The input confirm is ${shown(confirm)}, but target-url names the database ${shown(target.database)}.`,
      `To replace that database, write its name: confirm: ${target.database}. To see first what would happen, write dry-run: true.`,
    )
  }
  return { ...readCommon(env), ...readSource(env), target, confirm: target.database, dryRun }
}

/** For the clean-up after a run: what of storage and servers can be read; what cannot was never used. */
export function readSweepInputs(env: Env): { storage: string[]; servers: Partial<Record<'scratch-url' | 'target-url', Connection>> } {
  const servers: Partial<Record<'scratch-url' | 'target-url', Connection>> = {}
  for (const name of ['scratch-url', 'target-url'] as const) {
    const url = inputText(env, name)
    if (url) servers[name] = readConnection(url, name)
  }
  return { storage: inputLines(env, 'storage'), servers }
}

function readCommon(env: Env): CommonInputs {
  const storage = inputLines(env, 'storage')
  if (storage.length === 0) {
    throw badInput('storage', 'is empty', 'Say where backups are kept, one URL a line, for example storage: s3://bucket/prefix?region=eu-central-1 or storage: file:///mnt/backups.')
  }
  const label = inputText(env, 'label')
  if (label && !/^(?![-.])[^/\p{Cc}]{1,100}$/u.test(label)) {
    throw badInput('label', `is ${shown(label)}, and becomes part of a path`, 'Use at most 100 characters, no slash among them and neither a dot nor a hyphen first, for example label: production.')
  }
  const bindirs = inputLines(env, 'postgres-bin').map((folder) => existingFolder(env, 'postgres-bin', folder))
  return { storage, ...(label ? { label } : {}), bindirs, jobs: readJobs(env) }
}

/** The machine's cores by default, eight at most: each job is also a connection, and work for the server. */
function readJobs(env: Env): number {
  const jobs = inputCount(env, 'jobs', 1) ?? Math.min(availableParallelism(), 8)
  if (jobs > 64) throw badInput('jobs', `is ${jobs}, and each job is a connection to the server`, 'Use at most 64; more than the cores of this machine or of the server gains nothing.')
  return jobs
}

function readSource(env: Env): { backup: string; identities: string[] } {
  const backup = inputText(env, 'backup') || 'latest'
  if (!/^[A-Za-z0-9][\w.=-]{0,199}$/.test(backup)) {
    throw badInput('backup', `is ${shown(backup)}, which cannot be the id of a backup`, 'Write backup: latest, or an id as the output backup-id of the action backup gives it.')
  }
  const identities = inputLines(env, 'decrypt-with', { comments: true })
  checkIdentities(identities, 'decrypt-with')
  return { backup, identities }
}

/** A raw / in a password ends the host's part of a URL: the rest would be taken for the database's name, and shown. */
function readConnection(url: string, input: string): Connection {
  if (/^[^:]+:\/\/[^/?#]*\/[^?#]*@/.test(url)) {
    throw badInput(input, 'has an @ after the first /, so its password is not percent-encoded', 'In a URL, write @ as %40, / as %2F, : as %3A, # as %23 and % as %25.')
  }
  return parseConnection(url, input)
}

function readDatabase(env: Env): Connection {
  const url = inputText(env, 'database-url')
  if (url) return readConnection(url, 'database-url')
  const connection = connectionFromEnv(env, 'database-url')
  if (connection) return connection
  throw badInput('database-url', 'is empty, and no PG* variable names a database', 'Write database-url: ${{ secrets.DATABASE_URL }}, or set PGHOST, PGUSER, PGPASSWORD and PGDATABASE in env.')
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
  if (lines.includes('none')) throw badInput('encrypt-to', 'holds both a key and the word none', 'Leave out the one that you do not mean.')
  checkRecipients(lines, 'encrypt-to')
  return lines
}
