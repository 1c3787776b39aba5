import { UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { checkIdentities, recipientsOf } from '../stream/encrypt.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './listing.ts'
import { findBackup } from './find-backup.ts'
import type { SingleSelector } from './selector.ts'

/** Which backup is meant, and what opens it. */
export interface BackupSelection {
  /** Read from the first that has the backup. */
  sources: Storage[]
  /** Which database's backups. Undefined when the storage holds one label only. */
  label?: string
  backup: SingleSelector
  /** age identities; empty for backups that are not encrypted. */
  identities: string[]
}

/** Finds the backup and makes sure, before anything is fetched, that the given keys can open it. */
export async function findReadable(options: BackupSelection, work: Work): Promise<FoundBackup> {
  checkIdentities(options.identities, 'decrypt-with')
  const backup = await findBackup(options.sources, options.label, options.backup, work)
  await checkKeys(backup, options.identities)
  return backup
}

/**
 * Throws `key-missing` or `wrong-key` unless one of the identities belongs to a key that the
 * manifest names.
 */
export async function checkKeys(
  { manifest }: FoundBackup,
  identities: readonly string[],
): Promise<void> {
  const { encryption } = manifest
  if (encryption === 'none') return
  const keys = `It was encrypted to ${encryption.recipients.join(', ')}.`
  if (identities.length === 0)
    throw new UserError(
      'key-missing',
      `The backup ${manifest.id} is encrypted, and decrypt-with is empty.`,
      `${keys} Give the age identity that belongs to one of them.`,
    )
  const own = await recipientsOf(identities)
  if (!own.some((recipient) => encryption.recipients.includes(recipient)))
    throw new UserError(
      'wrong-key',
      `No identity in decrypt-with opens the backup ${manifest.id}.`,
      `${keys} The ${own.length === 1 ? 'identity' : 'identities'} given belong${own.length === 1 ? 's' : ''} to ${own.join(', ')}.`,
    )
}
