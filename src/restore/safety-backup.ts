import { backup, type BackupOptions } from '../backup/backup.ts'
import { UserError } from '../errors.ts'
import { jobsOf } from '../load/options.ts'
import type { Manifest } from '../repository/manifest.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'

/** A backup of the target as it was before anything was done to it. */
export interface SafetyBackup {
  id: string
  label: string
  /** When its snapshot was taken (ISO 8601, UTC). */
  snapshotAt: string
  /** Its own place in each destination. */
  locations: string[]
  /** Stored, in one destination. */
  bytes: number
  /** Milliseconds. */
  took: number
}

/** From here on tables get an archive of their own; the default of the action that backs up. */
const largeTable = 16 * 1024 ** 2

/** Under which label, and to which keys. `encryption` undefined: what is restored tells of none. */
export interface SafetyLike {
  label: string
  encryption: Manifest['encryption'] | undefined
}

/** Why there cannot be one, as far as that is seen before anything is done. */
export function whyNoSafety(
  options: RestoreOptions,
  { encryption }: SafetyLike,
): UserError | undefined {
  if (options.sources.length === 0)
    return refusal(
      options,
      'there is no storage to put it in.',
      'Give the storage that backups of it are in.',
    )
  if (encryption === 'none' && options.identities.length > 0)
    return refusal(
      options,
      'the backup that is restored says that it is not encrypted, and decrypt-with has a key: production would be stored in the clear.',
      'If that backup was never encrypted, leave decrypt-with out; if it was, its manifest was changed.',
    )
  if (encryption !== undefined) return undefined
  return refusal(
    options,
    'what is restored was not made by Holdfast, and names no key to encrypt it to.',
    'Give an age identity in decrypt-with: it is encrypted to its public key. Or run the action backup first.',
  )
}

/**
 * The step of the plan: whoever may change a manifest could name a key of theirs in it, so it is
 * shown to which it goes.
 */
export function safetyStep(target: string, { label, encryption }: SafetyLike): string {
  const keys =
    encryption === undefined || encryption === 'none'
      ? 'not encrypted'
      : `encrypted to ${encryption.recipients.join(', ')}`
  return `Back up "${target}" as it is now, into the same storage (label ${label}, kind pre-restore, ${keys})`
}

function refusal(
  { target, mode, replace }: RestoreOptions,
  why: string,
  hint: string,
  cause?: unknown,
): UserError {
  const without = `To go on without one, write safety-backup: false. The database as it is now is then nowhere but on its own server${mode === 'in-place' || replace === true ? ', and is overwritten there' : ', where a swap keeps it beside the new one'}.`
  return new UserError(
    'safety-backup-failed',
    `The safety backup of "${target.database}" cannot be made, so nothing was restored: ${why}`,
    `${hint} ${without}`.trim(),
    { cause },
  )
}

/**
 * Backs up the target before it is restored: into all storages, under the label of the backup that
 * is restored, encrypted to the same keys. It is of the kind `pre-restore`, which `latest` and
 * retention never take for an ordinary one. Whatever keeps it from being made stops the restore,
 * with the way to do without.
 */
export async function backUpTarget(
  options: RestoreOptions,
  like: SafetyLike,
  work: Work,
): Promise<SafetyBackup> {
  const { target, sources, bindirs, runUrl } = options
  const { label, encryption } = like
  const without = whyNoSafety(options, like)
  if (without || encryption === undefined)
    throw without ?? new Error('a safety backup without keys')
  const refuse = (why: string, hint: string, cause: unknown): UserError =>
    refusal(options, why, hint, cause)
  const started = Date.now()
  try {
    const recipients = encryption === 'none' ? encryption : encryption.recipients
    const how = {
      bindirs,
      jobs: jobsOf(options),
      largeTable,
      fingerprint: 'content',
      kind: 'pre-restore',
    } as const
    const asked: BackupOptions = {
      database: target,
      destinations: sources,
      label,
      recipients,
      ...how,
    }
    const made = await work.log.group(`Safety backup of "${target.database}"`, () =>
      backup(runUrl ? { ...asked, runUrl } : asked, work),
    )
    options.known?.({ safetyBackup: made.id })
    work.log.info(`The target as it is now is stored as ${label}/${made.id}`)
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
    if (error instanceof UserError) throw refuse(error.message, error.hint, error)
    // what the server itself refuses: a catalog that is damaged, say
    if (error instanceof Error && /^[0-9A-Z]{5}$/.test((error as { code?: string }).code ?? ''))
      throw refuse(`${error.message}.`, 'Look at the log of the server.', error)
    throw error
  }
}
