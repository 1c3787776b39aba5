import { backup, type BackupOptions } from '../backup/backup.ts'
import { UserError } from '../errors.ts'
import { jobsOf } from '../load/options.ts'
import { isServerError } from '../postgres/connection/server-error.ts'
import type { Manifest } from '../repository/manifest.ts'
import { input, join, type Text, text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'

/** A backup of the target, taken before the restore. */
export interface SafetyBackup {
  id: string
  label: string
  /** When its snapshot was taken (ISO 8601, UTC). */
  snapshotAt: string
  /** Its path in each destination. */
  locations: string[]
  /** Stored bytes, in one destination. */
  bytes: number
  /** Milliseconds. */
  took: number
}

/** Tables from this size on, in bytes, get their own archive: the default of the backup action. */
const largeTable = 16 * 1024 ** 2

/** The label and the encryption of a safety backup; `encryption` is undefined if nothing names it. */
export interface SafetyBackupSettings {
  label: string
  encryption: Manifest['encryption'] | undefined
}

/**
 * Returns why no safety backup can be taken, as far as the options show it; undefined if it can.
 */
export function safetyBackupObstacle(
  options: RestoreOptions,
  { encryption }: SafetyBackupSettings,
): UserError | undefined {
  if (options.sources.length === 0)
    return safetyBackupFailed(
      options,
      'there is no storage to put it in.',
      text`Set ${input('storage')} to where its backups are.`,
    )
  if (encryption === 'none' && options.identities.length > 0)
    return safetyBackupFailed(
      options,
      join(
        [
          'the restored backup says that it is not encrypted,',
          text`but ${input('decrypt-with')} has a key.`,
          'The current data would be stored in the clear.',
        ],
        ' ',
      ),
      join(
        [
          text`If that backup was never encrypted, leave out ${input('decrypt-with')}.`,
          'If it was, its manifest was changed.',
        ],
        ' ',
      ),
    )
  if (encryption !== undefined) return undefined
  return safetyBackupFailed(
    options,
    'the restored file was not made by Holdfast, and names no key to encrypt to.',
    join(
      [
        text`Set ${input('decrypt-with')} to an age identity:`,
        'the backup is encrypted to its public key. Or take a backup first.',
      ],
      ' ',
    ),
  )
}

/**
 * Returns the step of the plan. It shows the recipients, because someone who can change a manifest
 * could add a key of their own.
 */
export function safetyStep(target: string, { label, encryption }: SafetyBackupSettings): string {
  const keys =
    encryption === undefined || encryption === 'none'
      ? 'not encrypted'
      : `encrypted to ${encryption.recipients.join(', ')}`
  return (
    `Back up "${target}" as it is now, into the same storage ` +
    `(label ${label}, kind pre-restore, ${keys})`
  )
}

function safetyBackupFailed(
  { target, mode, replace }: RestoreOptions,
  reason: Text,
  hint: Text,
  cause?: unknown,
): UserError {
  const fate =
    mode === 'in-place' || replace === true
      ? 'The current data then has no other copy, and is overwritten.'
      : 'The current data then exists only on its own server, as the previous database.'
  return new UserError(
    'safety-backup-failed',
    join(
      [`The safety backup of "${target.database}" failed, so nothing was restored:`, reason],
      ' ',
    ),
    join(
      [hint, text`To restore without one, set ${input('safety-backup', false)}.`, fate].filter(
        (part) => part !== '',
      ),
      ' ',
    ),
    { cause },
  )
}

/**
 * Backs up the target before it is restored: to every storage, under the label of the restored
 * backup, encrypted to the same keys. The backup has the kind `pre-restore`: `latest` never selects
 * it, and retention removes it once it is older than every backup that it keeps. Throws
 * `safety-backup-failed`, whose hint says how to restore without one.
 */
export async function createSafetyBackup(
  options: RestoreOptions,
  settings: SafetyBackupSettings,
  work: Work,
): Promise<SafetyBackup> {
  const { target, sources, bindirs, runUrl } = options
  const { label, encryption } = settings
  const obstacle = safetyBackupObstacle(options, settings)
  if (obstacle || encryption === undefined)
    throw obstacle ?? new Error('a safety backup without keys')
  const started = Date.now()
  options.known?.({ progress: 'begun' })
  const backupOptions: BackupOptions = {
    database: target,
    destinations: sources,
    label,
    recipients: encryption === 'none' ? encryption : encryption.recipients,
    bindirs,
    jobs: jobsOf(options),
    largeTable,
    fingerprint: 'content',
    kind: 'pre-restore',
    ...(runUrl ? { runUrl } : {}),
  }
  try {
    const made = await work.log.group(`Safety backup of "${target.database}"`, () =>
      backup(backupOptions, work),
    )
    options.known?.({ safetyBackup: made.id })
    work.log.info(`The safety backup is stored as ${label}/${made.id}`)
    const { id, snapshotAt, bytes } = made
    return {
      id,
      label,
      snapshotAt,
      locations: made.locations.map(({ location }) => location),
      bytes,
      took: Date.now() - started,
    }
  } catch (error) {
    work.signal.throwIfAborted()
    if (error instanceof UserError)
      throw safetyBackupFailed(options, error.texts.message, error.texts.hint, error)
    // The server's own errors, for example about a damaged catalog.
    if (isServerError(error))
      throw safetyBackupFailed(options, `${error.message}.`, "See the server's log.", error)
    throw error
  }
}
