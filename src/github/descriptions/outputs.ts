import type { CommandName, CommandText } from './inputs.ts'

export interface OutputDescription {
  readonly name: string
  readonly of: readonly CommandName[]
  /** Full sentences. The only markup is `code`. */
  readonly description: string
  /** Sentences that hold for some of the actions only; they follow the description. */
  readonly more?: readonly CommandText[]
}

const actions = ['backup', 'verify', 'test-migration', 'restore'] as const

/** All outputs, in the order in which an action lists them. */
export const outputs: readonly OutputDescription[] = [
  {
    name: 'backup-id',
    of: ['backup', 'verify', 'restore'],
    description: 'Id of the backup, for the input `backup`.',
    more: [
      { of: ['verify'], text: 'Of several backups, the newest.' },
      { of: ['restore'], text: 'Empty for an external dump.' },
    ],
  },
  {
    name: 'location',
    of: ['backup'],
    description: 'URL of the backup in the first destination.',
  },
  {
    name: 'bytes',
    of: ['backup'],
    description: 'Size of the backup in one destination, in bytes.',
  },
  {
    name: 'rows',
    of: ['backup'],
    description: 'Number of rows in all tables of the backup.',
  },
  {
    name: 'level',
    of: ['verify'],
    description:
      'Level that was reached: `none`, `stored`, `readable`, `restored`, `counted`, `identical` ' +
      'or `accepted`. Of several backups, the lowest.',
  },
  {
    name: 'proven',
    of: ['verify'],
    description: '`true` if every backup restores and is identical, otherwise `false`.',
  },
  {
    name: 'checked',
    of: ['verify'],
    description: 'Number of backups that were checked.',
  },
  {
    name: 'valid',
    of: ['verify'],
    description: 'Number of backups that passed.',
  },
  {
    name: 'age-ms',
    of: ['verify'],
    description: 'Age of the newest of these backups, in milliseconds (RPO).',
  },
  {
    name: 'restore-ms',
    of: ['verify'],
    description: 'Duration of the slowest restore, in milliseconds (RTO).',
  },
  {
    name: 'verdict',
    of: ['test-migration'],
    description: '`pass` or `fail`. The step fails if it is `fail`.',
  },
  {
    name: 'report',
    of: ['test-migration'],
    description: 'Path of a JSON file with the full result.',
  },
  {
    name: 'database',
    of: ['restore'],
    description: 'Name of the database that was restored.',
  },
  {
    name: 'schema',
    of: ['restore'],
    description:
      'Schema that the tables were restored into, with `tables` or `schemas` and without ' +
      '`replace`.',
  },
  {
    name: 'previous-database',
    of: ['restore'],
    description: 'Name under which the replaced database is kept. Empty after a dry run.',
  },
  {
    name: 'safety-backup-id',
    of: ['restore'],
    description: 'Id of the backup that was taken of the target first.',
  },
  {
    name: 'lost-ms',
    of: ['restore'],
    description:
      "Time between the backup's snapshot and the restore, in milliseconds (RPO): data written in " +
      'that time is not in the backup. Empty for an external dump.',
  },
  {
    name: 'duration-ms',
    of: ['backup', 'restore'],
    description: 'Duration of the run, in milliseconds.',
  },
  {
    name: 'outcome',
    of: actions,
    description: '`success`, `failure` or `cancelled`. It is set when the step fails, too.',
  },
  {
    name: 'error-code',
    of: actions,
    description: 'Code of the error, such as `bad-input`. Empty on success.',
  },
]
