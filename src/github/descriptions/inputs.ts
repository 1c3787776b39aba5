/** Every input and output of the actions: the source of `action.yml`, of tables and of the help. */

/** The actions, and the command that only the command line has. */
export type CommandName = 'backup' | 'verify' | 'test-migration' | 'restore' | 'status'

/** A sentence that holds for some of the commands. */
export interface CommandText {
  readonly of: readonly CommandName[]
  readonly text: string
}

export interface InputDescription {
  readonly name: string
  /** The commands that have it. */
  readonly of: readonly CommandName[]
  /** The commands that need it. */
  readonly required?: readonly CommandName[]
  readonly default?: string
  /** Full sentences. The only markup is `code`. */
  readonly description: string
  /** Sentences that hold for some of the commands only; they follow the description. */
  readonly more?: readonly CommandText[]
  /** A value as it can be given. */
  readonly example?: string
  /**
   * Never accepted on a command line, which other users of the machine can read: by a file, or by
   * a variable. `url`: accepted there if it holds no password.
   */
  readonly secret?: 'always' | 'url'
  /** A variable may give it on the command line, even though it is no secret. */
  readonly variable?: true
  /** Takes several values, one per line; on the command line, the flag can be repeated. */
  readonly lines?: true
  /** `true` or `false`; on the command line, a flag without a value. */
  readonly flag?: true
}

const actions = ['backup', 'verify', 'test-migration', 'restore'] as const
const readers = ['verify', 'test-migration', 'restore'] as const

const pointsToCopy = "`DATABASE_URL` and libpq's `PG*` variables point to the copy."

/** All inputs, in the order in which an action lists them. */
export const inputs: readonly InputDescription[] = [
  {
    name: 'database-url',
    of: ['backup'],
    secret: 'url',
    description:
      'Database to back up, as `postgres://user:password@host:5432/database`. If empty, ' +
      "libpq's variables name it: `PGHOST`, `PGUSER`, `PGPASSWORD`, `PGDATABASE` and so on.",
  },
  {
    name: 'storage',
    of: [...actions, 'status'],
    required: ['backup', 'test-migration', 'status'],
    variable: true,
    lines: true,
    description:
      'Where backups are stored: `s3://bucket/prefix?endpoint=…&region=…` or `file:///folder`. ' +
      'A backup is written to every destination, and read from the first one that has it. ' +
      'S3 credentials come from the environment, as for the AWS CLI.',
    more: [
      { of: ['verify', 'restore'], text: 'Not needed for an external dump given by `file:`.' },
      { of: ['restore'], text: 'Not needed for `undo` and `clean`.' },
    ],
  },
  {
    name: 'label',
    of: [...actions, 'status'],
    example: 'production',
    description: 'Name under which the backups of one database are stored.',
    more: [
      { of: ['backup'], text: 'If empty, the name of the database.' },
      { of: ['verify', 'test-migration'], text: 'Can be empty if the storage has only one label.' },
      { of: ['restore'], text: 'If empty, the name of the database in `target-url`.' },
      { of: ['status'], text: 'If empty, all labels.' },
    ],
  },
  {
    name: 'backup',
    of: readers,
    default: 'latest',
    description:
      'Backup to use: `latest`, `latest-proven`, an id, or `before: 2026-11-20T03:00:00Z`.',
    more: [
      {
        of: ['verify'],
        text: 'Or several: `all`, `unproven`, `oldest-unproven` or `sample: 3`.',
      },
      {
        of: ['verify', 'restore'],
        text:
          'Or an external dump: `file: path` or `store: key` (`.sql`, `.sql.gz`, `.dump`, or the ' +
          '`.tar` of a `pg_dump -Fd`).',
      },
    ],
  },
  {
    name: 'encrypt-to',
    of: ['backup'],
    required: ['backup'],
    lines: true,
    description:
      'Public age keys (`age1…`). Any one of their private keys opens the backup. ' +
      '`none` stores the backup unencrypted.',
  },
  {
    name: 'decrypt-with',
    of: readers,
    secret: 'always',
    lines: true,
    description:
      'Private age keys (`AGE-SECRET-KEY-…`), of which one opens the backup. ' +
      'Empty for an unencrypted backup.',
  },
  {
    name: 'keep',
    of: ['backup'],
    example: '14',
    description:
      'Number of newest backups to keep per label. Older ones are removed after the new backup is ' +
      'stored. If empty, all are kept.',
  },
  {
    name: 'scratch-url',
    of: ['verify', 'test-migration'],
    secret: 'url',
    description:
      'Administrator URL of a disposable PostgreSQL server, such as a service container. ' +
      'A database with a random name is created there, and dropped at the end. If empty, a server ' +
      "of the backup's major version is started for the run.",
  },
  {
    name: 'migrate-command',
    of: ['test-migration'],
    required: ['test-migration'],
    example: 'npm run migrate',
    description: `Command that runs the migration, in bash. ${pointsToCopy}`,
  },
  {
    name: 'target-url',
    of: ['restore'],
    required: ['restore'],
    secret: 'url',
    description:
      'Database to restore, as `postgres://user:password@host:5432/database`; with `mode: new`, ' +
      'the database to create. The user must be able to create databases and to rename this one. ' +
      '`mode: in-place` needs neither; `tables` and `schemas` do not need the second.',
  },
  {
    name: 'confirm',
    of: ['restore'],
    description:
      'Name of the target database, typed again; with `environment`, ' +
      '`<environment>/<database>`. The restore does not start with any other text. ' +
      'Not needed with `dry-run` or `list`.',
  },
  {
    name: 'environment',
    of: ['restore'],
    example: 'production',
    description: 'Environment that the target belongs to. It becomes part of `confirm`.',
  },
  {
    name: 'mode',
    of: ['restore'],
    default: 'swap',
    description:
      'How to restore. `swap` builds a new database next to the target, proves it, and swaps their ' +
      'names. `new` only creates a new database. `in-place` changes the target itself in one ' +
      'transaction, for servers on which you cannot create databases.',
  },
  {
    name: 'dry-run',
    of: ['restore'],
    default: 'false',
    flag: true,
    description: 'Prints the plan, and changes nothing.',
  },
  {
    name: 'list',
    of: ['restore'],
    default: 'false',
    flag: true,
    description: 'Lists the backups, and changes nothing. Needs no `target-url`.',
  },
  {
    name: 'undo',
    of: ['restore'],
    default: 'false',
    flag: true,
    description:
      'Swaps back: the database that the last restore replaced gets its name again. ' +
      'The database that is in use now is kept.',
  },
  {
    name: 'keep-previous',
    of: ['restore'],
    example: '24h',
    description:
      'How long to keep replaced databases. Older ones are dropped after a successful restore. ' +
      'If empty, all are kept.',
  },
  {
    name: 'clean',
    of: ['restore'],
    default: 'false',
    flag: true,
    description:
      'Restores nothing: only drops the replaced databases that are older than `keep-previous`.',
  },
  {
    name: 'safety-backup',
    of: ['restore'],
    default: 'true',
    flag: true,
    description:
      'Backs up the target first, to the same storage and with the same keys, as a backup of the ' +
      'kind `pre-restore`.',
  },
  {
    name: 'tables',
    of: ['restore'],
    lines: true,
    example: 'public.orders',
    description:
      'Restores only these tables. They go into a new schema of the live database, unless ' +
      '`replace` is set.',
  },
  {
    name: 'schemas',
    of: ['restore'],
    lines: true,
    example: 'sales',
    description: 'Restores only these schemas, in the same way as `tables`.',
  },
  {
    name: 'contents',
    of: ['restore'],
    default: 'all',
    description:
      'What to restore: `all`, `schema` (definitions without rows) or `data` (rows, into tables ' +
      'that exist).',
  },
  {
    name: 'replace',
    of: ['restore'],
    default: 'false',
    flag: true,
    description:
      'With `tables` or `schemas`: replaces the live tables, in one transaction that checks ' +
      'foreign keys.',
  },
  {
    name: 'prepare',
    of: ['restore'],
    description:
      'SQL to run in the restored database before it is reachable, for example to remove personal ' +
      'data; or the path of a file with the SQL.',
  },
  {
    name: 'owner',
    of: ['restore'],
    default: 'keep',
    lines: true,
    description:
      'Who owns the restored objects: `keep` (as in the backup), `drop` (the user of `target-url`, ' +
      'without grants), or lines `old: new` that map roles.',
  },
  {
    name: 'level',
    of: ['verify'],
    description:
      'Level at which to stop: `stored`, `readable` (these two need no server), `restored`, ' +
      '`counted`, `identical` or `accepted`. If empty, as far as the backup and the checks allow.',
  },
  {
    name: 'checks',
    of: ['verify'],
    lines: true,
    example: 'orders exist: SELECT count(*) > 0 FROM orders',
    description:
      'Your own checks, as `name: SQL`. A check passes if its query returns one row with one ' +
      'value, `true`. Or the path of a file with such lines.',
  },
  {
    name: 'check-command',
    of: ['verify'],
    example: 'npm run smoke-test',
    description:
      'Your own command that checks the copy, run in bash. It fails with any exit code other than ' +
      `0. ${pointsToCopy}`,
  },
  {
    name: 'post-command',
    of: ['restore'],
    description:
      'Command to run after the restore, in bash, for example to restart the application. ' +
      "`DATABASE_URL` and libpq's `PG*` variables point to the restored database.",
  },
  {
    name: 'working-directory',
    of: readers,
    default: '.',
    description: 'Folder in which the command runs. A relative path starts at the workspace.',
  },
  {
    name: 'timeout',
    of: readers,
    default: '30m',
    example: '1h30m',
    description:
      'Time limit of the command. A command that exceeds it is stopped, and counts as failed.',
    more: [{ of: ['verify'], text: 'The limit also applies to each check.' }],
  },
  {
    name: 'max-age',
    of: ['verify', 'status'],
    example: '26h',
    description: 'Maximum age of the newest backup (RPO). If it is older, the run fails.',
  },
  {
    name: 'max-restore-time',
    of: ['verify', 'restore'],
    example: '2h',
    description: 'Maximum duration of a restore (RTO).',
    more: [
      { of: ['verify'], text: 'If the restore takes longer, the step fails.' },
      { of: ['restore'], text: 'The report says whether the restore met it.' },
    ],
  },
  {
    name: 'max-size-change',
    of: ['verify'],
    example: '50%',
    description:
      'Maximum difference in size between a backup and the backups before it, up or down. ' +
      'If the difference is larger, the step fails.',
  },
  {
    name: 'github-token',
    of: ['test-migration'],
    default: '${{ github.token }}',
    secret: 'always',
    description:
      'Token that posts the report as a comment on the pull request. It needs ' +
      '`pull-requests: write`. Without that permission, and on forks, the report is only in the ' +
      'job summary.',
  },
  {
    name: 'fingerprint',
    of: ['backup'],
    description:
      'What to record of the database, so that restored copies can be compared with it: `content` ' +
      '(rows, and a hash of every value), `counts` (rows) or `none`. If empty, `content`.',
  },
  {
    name: 'large-table',
    of: ['backup'],
    example: '64MB',
    description:
      'Size from which a table gets its own archive, which is read and restored in parallel with ' +
      'others. If empty, `16MB`.',
  },
  {
    name: 'jobs',
    of: actions,
    example: '4',
    description:
      'Number of archives to read or restore in parallel, and of connections that measure the ' +
      "content: 1 to 64. If empty, the machine's cores, at most 8.",
  },
  {
    name: 'postgres-bin',
    of: actions,
    lines: true,
    description: "Folders to search first for PostgreSQL's programs.",
  },
]
