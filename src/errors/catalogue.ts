/** Every error code, with what it means and what to do: the source of `docs/errors.md`. */
import { backupErrors } from './backups.ts'
import { fileErrors } from './files.ts'
import { findingErrors } from './findings.ts'
import { inputErrors } from './inputs.ts'
import { restoreErrors } from './restore.ts'
import { serverErrors } from './servers.ts'
import { storageErrors } from './storage.ts'

export const catalogue = {
  ...inputErrors,
  ...serverErrors,
  ...storageErrors,
  ...backupErrors,
  ...fileErrors,
  ...restoreErrors,
  ...findingErrors,
} as const

/** A code of the catalogue. */
export type ErrorCode = keyof typeof catalogue

/** A code of what a rehearsal or a verification found. */
export type FindingCode = keyof typeof findingErrors
