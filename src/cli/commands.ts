/**
 * What can be typed after `node dist/cli.js`. The inputs are the actions' own, in the words of action.yml: a test holds
 * this table against those files.
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
  /** Never taken from the command line: by a file, or by the environment. `url`: taken from there while it holds no password. */
  secret?: 'always' | 'url'
  /** May be given several times, one value a line. */
  lines?: boolean
  /** A word of its own, without a value. */
  flag?: boolean
}

const actions: CommandName[] = ['backup', 'verify', 'test-migration', 'restore']
const readers: CommandName[] = ['verify', 'test-migration', 'restore']
const scratch: CommandName[] = ['verify', 'test-migration']

export const inputs: Input[] = [
  {
    name: 'storage', of: [...actions, 'status'], required: [...actions, 'status'], lines: true,
    help: 'Where backups are kept, one URL a line - `s3://bucket/prefix?endpoint=…&region=…` or `file:///folder`. Written to all of them, read from the first that has the backup. S3 credentials come from the environment, as for the AWS tools.',
  },
  {
    name: 'label', of: [...actions, 'status'],
    help: "Which database this is, for example `production`. When empty, backup takes the database's name, and the others the one label that the storage holds.",
  },
  {
    name: 'jobs', of: actions,
    help: "How many archives are read or restored side by side, and how many connections measure the content. A whole number from 1 to 64; when empty, the machine's cores, at most 8.",
  },
  { name: 'postgres-bin', of: actions, lines: true, help: "Folders to look in first for PostgreSQL's programs, one a line." },
  {
    name: 'database-url', of: ['backup'], secret: 'url',
    help: "The database, as `postgres://user:password@host:5432/database`. When empty, libpq's variables (`PGHOST`, `PGUSER`, `PGPASSWORD`, `PGDATABASE` and so on) from `env`.",
  },
  {
    name: 'encrypt-to', of: ['backup'], required: ['backup'], lines: true,
    help: 'age public keys (`age1…`), one a line; each of their private keys opens the backup. The word `none` stores it in the clear.',
  },
  {
    name: 'keep', of: ['backup'],
    help: 'Keep the newest so many backups of this label, and remove older ones once the new one is stored. A whole number of 1 or more; when empty, all are kept.',
  },
  {
    name: 'fingerprint', of: ['backup'],
    help: 'How closely what the database holds is measured, to prove restored copies by - `content` (rows and a hash of every value), `counts` (rows) or `none`. When empty, `content`.',
  },
  {
    name: 'large-table', of: ['backup'],
    help: 'Tables of this size and more get an archive of their own, read and restored side by side with others; for example `64MB`. When empty, `16MB`.',
  },
  { name: 'backup', of: readers, fallback: 'latest', help: 'The id of a backup, or `latest`.' },
  {
    name: 'decrypt-with', of: readers, secret: 'always', lines: true,
    help: 'age identities (`AGE-SECRET-KEY-…`), one a line, of which one opens the backup. Empty for a backup that is not encrypted.',
  },
  {
    name: 'scratch-url', of: scratch, secret: 'url',
    help: "An administrator's URL of a disposable PostgreSQL server, such as a service container. A database of a random name is made there and dropped. When empty, a server of the backup's version is started on the runner and destroyed.",
  },
  {
    name: 'migrate-command', of: ['test-migration'], required: ['test-migration'],
    help: "The command that migrates, run by bash. `DATABASE_URL` and libpq's `PG*` variables point at the copy.",
  },
  { name: 'working-directory', of: ['test-migration'], fallback: '.', help: 'Where the command runs; a relative path starts at the workspace.' },
  { name: 'timeout', of: ['test-migration'], fallback: '30m', help: 'How long the command may take, for example `30m`, `90s`, `1h30m`. Then it is stopped, and the verdict is `fail`.' },
  {
    name: 'github-token', of: ['test-migration'], secret: 'always',
    help: 'The token that writes the report as a comment of the pull request; needs `pull-requests - write`. Without that right, or on a fork, the report is in the job summary only.',
  },
  {
    name: 'target-url', of: ['restore'], required: ['restore'], secret: 'url',
    help: 'The database to put back, as `postgres://user:password@host:5432/database`. The user must be allowed to create and rename databases.',
  },
  {
    name: 'confirm', of: ['restore'], required: ['restore'],
    help: 'The name of the target database, once more. Anything else stops the restore before it begins. A dry run does without it.',
  },
  { name: 'dry-run', of: ['restore'], fallback: 'false', flag: true, help: 'The word `true` prints the plan and touches nothing.' },
  {
    name: 'max-age', of: ['status'],
    help: 'How old the newest backup of each label may be, for example `26h`. When one is older, or there is none, the exit code is 1.',
  },
]

export const inputsOf = (command: CommandName): Input[] => inputs.filter(({ of }) => of.includes(command))

/** The variable that gives an input where it may not stand in a command line. */
export const variableOf = (name: string): string => `HOLDFAST_${name.replaceAll('-', '_').toUpperCase()}`
