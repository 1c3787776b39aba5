import type { ErrorEntry } from './entry.ts'

/** What a verification or a rehearsal found: the step fails, and the report has the evidence. */
export const findingErrors = {
  'check-failed': {
    message: 'One of your checks failed on the restored copy.',
    hint:
      'The backup is identical to the database. Look at what the check returned, and at the ' +
      'check itself.',
  },
  'column-dropped': {
    message: 'The migration drops a column that holds values.',
    hint:
      'Copy the values elsewhere first, or drop the column in a later release, when no code ' +
      'uses it.',
  },
  'large-objects-changed': {
    message: 'The migration changes the content of large objects.',
    hint: 'Check that this is intended.',
  },
  'large-objects-removed': {
    message: 'The migration removes large objects.',
    hint: 'Keep a copy, or remove them in a separate step when nothing refers to them any more.',
  },
  'migration-failed': {
    message: 'The migrate command failed.',
    hint: 'The report has the end of its output.',
  },
  'migration-timed-out': {
    message: 'The migrate command was still running at its timeout.',
    hint: 'Find out what it waits for, make it shorter, or raise timeout.',
  },
  'not-checked': {
    message: 'Some backups could not be verified here, so nothing is known about them.',
    hint: 'The report gives the reason for each of them.',
  },
  'restore-too-slow': {
    message: 'The restore exceeded max-restore-time.',
    hint: 'Raise jobs, use a faster server, or raise the limit.',
  },
  'rows-deleted': {
    message: 'The migration deletes rows.',
    hint: 'If this is intended, delete them in a separate step. If not, correct the condition.',
  },
  'sequence-moved-back': {
    message:
      'The migration moves a sequence back, so it will return values that are already in use.',
    hint: 'Set the sequence to the largest value in use: SELECT setval(…).',
  },
  'size-anomaly': {
    message: 'The backup is much smaller or larger than the ones before it.',
    hint: 'Find out what changed in the database, or raise max-size-change.',
  },
  'table-dropped': {
    message: 'The migration drops a table that holds rows.',
    hint: 'Copy the rows elsewhere first, or rename the table and drop it in a later release.',
  },
  'table-replaced': {
    message: 'The migration re-creates a table and copies all of its rows.',
    hint:
      'Nothing is lost. On production, copying takes time in proportion to the size of the ' +
      'table.',
  },
  'table-rewritten': {
    message: 'The migration rewrites a table, which locks it until the rewrite ends.',
    hint: 'Add a new column and fill it in batches, or use a change that needs no rewrite.',
  },
  'values-changed': {
    message: 'A type conversion changes numbers.',
    hint: 'Compare the values on the copy, and convert with a USING clause that keeps what matters.',
  },
  'values-emptied': {
    message: 'The migration sets values of a column to NULL.',
    hint:
      'Correct the conversion, or keep the old values in another column until the new ones are ' +
      'verified.',
  },
  'values-rewritten': {
    message: 'A type conversion changes how the values of a column are written.',
    hint: 'Compare the values on the copy, and convert with a USING clause that keeps what matters.',
  },
  'values-shortened': {
    message: 'A type conversion truncates text.',
    hint: 'Use a type that holds the longest value.',
  },
  'values-unchecked': {
    message: 'The values of a column could not be compared.',
    hint: 'Change types and rows in two migrations, and rehearse each of them.',
  },
  'values-updated': {
    message: 'The migration updates the values of a column.',
    hint: 'Check that this is intended.',
  },
  'view-dropped': {
    message: 'The migration drops a view.',
    hint: 'Re-create it in the same migration if anything reads it.',
  },
} as const satisfies Record<string, ErrorEntry>
