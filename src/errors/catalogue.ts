/** Every error code, with what it means and what to do: the source of `docs/errors.md`. */
import { backupErrors } from './backups.ts'
import type { ErrorEntry } from './entry.ts'
import { fileErrors } from './programs-and-dumps.ts'
import { findingErrors } from './findings.ts'
import { inputErrors } from './inputs.ts'
import { restoreErrors } from './restore.ts'
import { serverErrors } from './servers.ts'
import { storageErrors } from './storage.ts'

/** The codes of a `UserError`. */
export const catalogue = {
  ...inputErrors,
  ...serverErrors,
  ...storageErrors,
  ...backupErrors,
  ...fileErrors,
  ...restoreErrors,
  ...findingErrors,
} as const

/** The codes of a run that ends without a `UserError`. */
export const outcomes = {
  cancelled: {
    message: 'The run was stopped before it finished: the job was cancelled or timed out.',
    hint:
      'Nothing failed, and nothing was finished. The run removes what it had created, or its post ' +
      'step does. Run it again.',
  },
  internal: {
    message: 'An unexpected error occurred: this is a bug in Holdfast.',
    hint:
      'Report it with the stack in the log, and with the log of a run with debug logging on ' +
      '(on the command line: --debug).',
  },
} as const satisfies Record<string, ErrorEntry>

/** The codes by topic, in the order of the page. */
export const topics: readonly {
  title: string
  about: string
  errors: Readonly<Record<string, ErrorEntry>>
}[] = [
  {
    title: 'Inputs and arguments',
    about: 'An input, a flag or an argument cannot be used as it is. Nothing was changed.',
    errors: inputErrors,
  },
  {
    title: 'PostgreSQL servers',
    about: 'A server refuses a connection, lacks a permission, or ends what is running.',
    errors: serverErrors,
  },
  {
    title: 'Storage',
    about: 'A destination of backups, or the network on the way to it, refuses or fails.',
    errors: storageErrors,
  },
  {
    title: 'Backups',
    about: 'A backup cannot be taken, found, opened or proven.',
    errors: backupErrors,
  },
  {
    title: 'Programs and external dumps',
    about: 'A client program is missing, or a file that another tool made cannot be read.',
    errors: fileErrors,
  },
  {
    title: 'Restores',
    about: 'A restore cannot start, or cannot finish.',
    errors: restoreErrors,
  },
  {
    title: 'Findings',
    about: 'What a verification or a rehearsal found. The report has the evidence.',
    errors: findingErrors,
  },
  {
    title: 'Other outcomes',
    about: 'The run ended for a reason outside these topics.',
    errors: outcomes,
  },
]

/** A code of the catalogue. */
export type ErrorCode = keyof typeof catalogue

/** A code of what a rehearsal or a verification found. */
export type FindingCode = keyof typeof findingErrors
