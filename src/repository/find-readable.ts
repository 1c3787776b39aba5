import { UserError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'
import { checkIdentities, recipientsOf } from '../stream/encrypt.ts'
import { input, text } from '../text.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './listing.ts'
import { findBackup } from './find-backup.ts'
import type { SingleSelector } from './selector.ts'

/** Which backup to use, and the keys that decrypt it. */
export interface BackupSelection {
  /** The backup is read from the first one that has it. */
  sources: Storage[]
  /** Undefined if the storage holds one label only. */
  label?: string
  backup: SingleSelector
  /** age identities; empty for backups that are not encrypted. */
  identities: string[]
}

/**
 * Finds the backup, and checks that the given keys can decrypt it before an archive is read. Throws
 * `findBackup`'s and `checkKeys`' UserErrors, and `bad-identity`.
 */
export async function findReadable(options: BackupSelection, work: Work): Promise<FoundBackup> {
  checkIdentities(options.identities, 'decrypt-with')
  const backup = await findBackup(options.sources, options.label, options.backup, work)
  await checkKeys(backup, options.identities)
  return backup
}

/** Throws `key-missing` or `wrong-key` unless an identity matches a public key of the manifest. */
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
      text`The backup ${manifest.id} is encrypted, and ${input('decrypt-with')} is empty.`,
      text`${keys} Give the age identity that belongs to one of these keys:
        ${input('decrypt-with', { secret: 'BACKUP_IDENTITY' })}`,
    )
  const { recipients } = encryption
  const own = await recipientsOf(identities)
  if (!own.some((recipient) => encryption.recipients.includes(recipient)))
    throw wrongKey(manifest.id, own, recipients)
}

function wrongKey(id: string, own: readonly string[], needed: readonly string[]): UserError {
  const [message, keys] =
    own.length === 1
      ? [text`The private key in ${input('decrypt-with')} does not open`, 'Its public key is']
      : [text`No private key in ${input('decrypt-with')} opens`, 'Their public keys are']
  return new UserError(
    'wrong-key',
    text`${message} the backup ${id}.`,
    `${keys} ${own.join(', ')}. The backup needs the private key of ${needed.join(' or ')}.`,
  )
}
