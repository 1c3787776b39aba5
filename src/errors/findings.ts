import type { ErrorEntry } from './entry.ts'

/** What a verification or a rehearsal found: the step fails, and the report has the evidence. */
export const findingErrors = {
  'check-failed': {
    message: 'A check of yours failed on the restored copy.',
    hint: 'The backup is identical to the database. Look at what the check found, and at the check.',
  },
  'column-dropped': {
    message: 'The migration drops a column that holds values.',
    hint: 'Copy the values elsewhere in the same migration, or drop the column after the code stopped using it.',
  },
  'large-objects-changed': {
    message: 'The migration changes the content of large objects.',
    hint: 'Check that the migration is meant to do that.',
  },
  'large-objects-removed': {
    message: 'The migration removes large objects.',
    hint: 'Check that nothing refers to them any more.',
  },
  'migration-failed': {
    message: 'The migrate command failed.',
    hint: 'Read the end of its output in the report.',
  },
  'migration-timed-out': {
    message: 'The migrate command was still running at its timeout.',
    hint: 'Raise timeout, or find out what it waits for.',
  },
  'not-checked': {
    message: 'Some backups could not be verified here, so nothing is known about them.',
    hint: 'The report says why for each of them.',
  },
  'restore-too-slow': {
    message: 'The restore took longer than max-restore-time.',
    hint: 'Raise jobs or use a faster server, or raise the limit.',
  },
  'rows-deleted': {
    message: 'The migration deletes rows.',
    hint: 'Check that they are meant to go, and copy them elsewhere first.',
  },
  'sequence-moved-back': {
    message: 'The migration moves a sequence back, so that it returns values again.',
    hint: 'Set it to at least its value before the migration.',
  },
  'size-anomaly': {
    message: 'The backup is much smaller or larger than the ones before it.',
    hint: 'Find out what changed in the database, or raise max-size-change.',
  },
  'table-dropped': {
    message: 'The migration drops a table that holds rows.',
    hint: 'Copy the rows elsewhere in the same migration, or drop the table later.',
  },
  'table-replaced': {
    message: 'The migration drops a table and creates another one with the same name.',
    hint: 'Copy the rows of the old table into the new one.',
  },
  'table-rewritten': {
    message: 'The migration rewrites a table, which locks it for as long as that takes.',
    hint: 'Split the change into steps that do not rewrite the table.',
  },
  'values-changed': {
    message: 'The migration changes the values of a column.',
    hint: 'Check the new values on the copy.',
  },
  'values-emptied': {
    message: 'The migration sets values of a column to NULL.',
    hint: 'Check that the values are meant to go.',
  },
  'values-rewritten': {
    message: 'The migration writes all values of a column again.',
    hint: 'Check the new values on the copy.',
  },
  'values-shortened': {
    message: 'The migration shortens values.',
    hint: 'Keep a type that holds the longest value.',
  },
  'values-unchecked': {
    message: 'The values of a column could not be compared.',
    hint: 'Compare them by a query of your own.',
  },
  'values-updated': {
    message: 'The migration updates values of a column.',
    hint: 'Check the new values on the copy.',
  },
  'view-dropped': {
    message: 'The migration drops a view.',
    hint: 'Check that nothing reads it any more.',
  },
} as const satisfies Record<string, ErrorEntry>
