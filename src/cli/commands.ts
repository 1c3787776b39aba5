/**
 * What can be typed after `node dist/cli.js`. The inputs are the actions' own, in the words of
 * action.yml: a test holds this table against those files.
 */
export const commands = {
  backup: 'Store an encrypted backup of a database.',
  verify: 'Prove a backup: restore it into a disposable database, and compare.',
  'test-migration': 'Rehearse a migration on a restored copy of a backup.',
  restore: 'Restore a backup beside the live database, prove it, and swap the two names.',
  status: 'Show what backups there are, how old, and which of them are proven.',
} as const
export type CommandName = keyof typeof commands

export interface Input {
  name: string
  of: CommandName[]
  required?: CommandName[]
  fallback?: string
  help: string
  /**
   * Never taken from the command line: by a file, or by the environment. `url`: taken from there
   * while it holds no password.
   */
  secret?: 'always' | 'url'
  /** May be given several times, one value a line. */
  lines?: boolean
  /** A word of its own, without a value. */
  flag?: boolean
}

const actions: CommandName[] = ['backup', 'verify', 'test-migration', 'restore']
const readers: CommandName[] = ['verify', 'test-migration', 'restore']
const scratch: CommandName[] = ['verify', 'test-migration']
const commanders: CommandName[] = ['verify', 'test-migration', 'restore']

export const inputs: Input[] = [
  {
    name: 'storage',
    of: [...actions, 'status'],
    required: ['backup', 'test-migration', 'status'],
    lines: true,
    help: 'Where backups are kept, one URL a line - `s3://bucket/prefix?endpoint=…&region=…` or `file:///folder`. Written to all of them, read from the first that has the backup. S3 credentials come from the environment, as for the AWS tools.',
  },
  {
    name: 'label',
    of: [...actions, 'status'],
    help: "Which database this is, for example `production`. When empty, backup takes the database's name, and the others the one label that the storage holds.",
  },
  {
    name: 'jobs',
    of: actions,
    help: "How many archives are read or restored side by side, and how many connections measure the content. A whole number from 1 to 64; when empty, the machine's cores, at most 8.",
  },
  {
    name: 'postgres-bin',
    of: actions,
    lines: true,
    help: "Folders to look in first for PostgreSQL's programs, one a line.",
  },
  {
    name: 'database-url',
    of: ['backup'],
    secret: 'url',
    help: "The database, as `postgres://user:password@host:5432/database`. When empty, libpq's variables (`PGHOST`, `PGUSER`, `PGPASSWORD`, `PGDATABASE` and so on) from `env`.",
  },
  {
    name: 'encrypt-to',
    of: ['backup'],
    required: ['backup'],
    lines: true,
    help: 'age public keys (`age1…`), one a line; each of their private keys opens the backup. The word `none` stores it in the clear.',
  },
  {
    name: 'keep',
    of: ['backup'],
    help: 'Keep the newest so many backups of this label, and remove older ones once the new one is stored. A whole number of 1 or more; when empty, all are kept.',
  },
  {
    name: 'fingerprint',
    of: ['backup'],
    help: 'How closely what the database holds is measured, to prove restored copies by - `content` (rows and a hash of every value), `counts` (rows) or `none`. When empty, `content`.',
  },
  {
    name: 'large-table',
    of: ['backup'],
    help: 'Tables of this size and more get an archive of their own, read and restored side by side with others; for example `64MB`. When empty, `16MB`.',
  },
  {
    name: 'backup',
    of: readers,
    fallback: 'latest',
    help: 'Which backup - `latest`, `latest-proven`, an id, `before: 2026-11-20T03:00:00Z`; of verify also several (`all`, `unproven`, `oldest-unproven`, `sample: 3`); of verify and restore also a file that another tool made (`file: path`, `store: key`).',
  },
  {
    name: 'decrypt-with',
    of: readers,
    secret: 'always',
    lines: true,
    help: 'age identities (`AGE-SECRET-KEY-…`), one a line, of which one opens the backup. Empty for a backup that is not encrypted.',
  },
  {
    name: 'scratch-url',
    of: scratch,
    secret: 'url',
    help: "An administrator's URL of a disposable PostgreSQL server, such as a service container. A database of a random name is made there and dropped. When empty, a server of the backup's version is started on the runner and destroyed.",
  },
  {
    name: 'level',
    of: ['verify'],
    help: 'How far to go - `stored` and `readable` need no server; when empty, as far as the backup and the checks allow.',
  },
  {
    name: 'checks',
    of: ['verify'],
    lines: true,
    help: 'Checks of your own, one a line as `name: SQL`; each must give one row with one value, `true`. Or the path of a file of such lines.',
  },
  {
    name: 'check-command',
    of: ['verify'],
    help: "A command of your own that looks at the copy, run by bash; any exit code but 0 stops the proof. `DATABASE_URL` and libpq's `PG*` variables point at the copy.",
  },
  {
    name: 'migrate-command',
    of: ['test-migration'],
    required: ['test-migration'],
    help: "The command that migrates, run by bash. `DATABASE_URL` and libpq's `PG*` variables point at the copy.",
  },
  {
    name: 'working-directory',
    of: commanders,
    fallback: '.',
    help: 'Where the command runs; a relative path starts at the workspace.',
  },
  {
    name: 'timeout',
    of: commanders,
    fallback: '30m',
    help: 'How long the command may take, for example `30m`, `90s`, `1h30m`. Then it is stopped, and counts as failed.',
  },
  {
    name: 'github-token',
    of: ['test-migration'],
    secret: 'always',
    help: 'The token that writes the report as a comment of the pull request; needs `pull-requests - write`. Without that right, or on a fork, the report is in the job summary only.',
  },
  {
    name: 'target-url',
    of: ['restore'],
    required: ['restore'],
    secret: 'url',
    help: 'The database to put back, as `postgres://user:password@host:5432/database`. With `mode: new`, the one to make. The user must be allowed to create databases (but for `mode: in-place`), and to rename this one (but for `tables` and `schemas`, too).',
  },
  {
    name: 'confirm',
    of: ['restore'],
    required: ['restore'],
    help: 'The name of the target database, once more (with `environment`, `<environment>/<database>`). Anything else stops the restore before it begins. A dry run and a list do without it.',
  },
  {
    name: 'environment',
    of: ['restore'],
    help: 'The name of the environment that the target belongs to, for example `production`; it is then part of `confirm`.',
  },
  {
    name: 'mode',
    of: ['restore'],
    fallback: 'swap',
    help: 'How the target is put back - `swap` (a new database beside it, proven, then the names change), `new` (only a new database, of a name that is free) or `in-place` (one transaction inside the target, where databases cannot be created).',
  },
  {
    name: 'dry-run',
    of: ['restore'],
    fallback: 'false',
    flag: true,
    help: 'The word `true` prints the plan and touches nothing.',
  },
  {
    name: 'list',
    of: ['restore'],
    fallback: 'false',
    flag: true,
    help: 'The word `true` lists the backups there are, and touches nothing.',
  },
  {
    name: 'undo',
    of: ['restore'],
    fallback: 'false',
    flag: true,
    help: 'The word `true` swaps back - the database that the last restore replaced takes its name again; the one in use now is kept in its turn.',
  },
  {
    name: 'keep-previous',
    of: ['restore'],
    help: 'How long replaced databases are kept, for example `24h`. Older ones are dropped after a restore went well. When empty, all are kept.',
  },
  {
    name: 'clean',
    of: ['restore'],
    fallback: 'false',
    flag: true,
    help: 'The word `true` restores nothing - it only drops what was kept longer than `keep-previous` says.',
  },
  {
    name: 'safety-backup',
    of: ['restore'],
    fallback: 'true',
    flag: true,
    help: 'Whether the target is backed up first, into the same storage and with the same keys, as a backup of the kind `pre-restore`. The word `false` leaves that out.',
  },
  {
    name: 'tables',
    of: ['restore'],
    lines: true,
    help: 'Only these tables, one a line, as `schema.table`. They come into a schema of their own in the live database, unless `replace` is set.',
  },
  {
    name: 'schemas',
    of: ['restore'],
    lines: true,
    help: 'Only these schemas, one a line, as `tables`.',
  },
  {
    name: 'contents',
    of: ['restore'],
    fallback: 'all',
    help: 'What is restored - `all`, `schema` (definitions without rows) or `data` (rows into tables that are there).',
  },
  {
    name: 'replace',
    of: ['restore'],
    fallback: 'false',
    flag: true,
    help: 'With `tables` or `schemas` - the word `true` puts them in the place of the live ones, in one transaction, foreign keys checked.',
  },
  {
    name: 'prepare',
    of: ['restore'],
    help: 'SQL to run in the restored database before anybody sees it, for example to remove personal data from a copy; or the path of a file of it.',
  },
  {
    name: 'owner',
    of: ['restore'],
    fallback: 'keep',
    lines: true,
    help: 'Who owns what is restored, and who may use it - `keep` (as in the backup), `drop` (all belongs to the user of `target-url`, without grants), or lines `old: new` of roles.',
  },
  {
    name: 'post-command',
    of: ['restore'],
    help: "A command to run when all is done, by bash, for example one that restarts the application. `DATABASE_URL` and libpq's `PG*` variables point at the restored database.",
  },
  {
    name: 'max-age',
    of: ['verify', 'status'],
    help: 'How old the newest backup may be (RPO), for example `26h`. When it is older, the step fails.',
  },
  {
    name: 'max-restore-time',
    of: ['verify', 'restore'],
    help: 'How long a restore may take (RTO), for example `2h`. When it took longer, verify fails, and restore says so.',
  },
  {
    name: 'max-size-change',
    of: ['verify'],
    help: 'By how much a backup may be smaller or larger than the ones before it, for example `50%`. When it is by more, the step fails.',
  },
]

export const inputsOf = (command: CommandName): Input[] =>
  inputs.filter(({ of }) => of.includes(command))

/** The variable that gives an input where it may not stand in a command line. */
export const variableOf = (name: string): string =>
  `HOLDFAST_${name.replaceAll('-', '_').toUpperCase()}`
