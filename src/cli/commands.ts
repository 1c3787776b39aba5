import { type CommandName, type InputDescription, inputs } from '../github/descriptions/inputs.ts'

export { inputs }

/** The commands, in the order of the help. Their flags are the inputs of the actions. */
export const commands: Readonly<Record<CommandName, string>> = {
  backup: 'Store an encrypted backup of a database.',
  verify: 'Prove a backup: restore it into a disposable database, and compare.',
  'test-migration': 'Rehearse a migration on a restored copy of a backup.',
  restore: 'Restore a backup next to the live database, prove it, and swap their names.',
  status: 'Show the backups: how many, how old, and which of them are proven.',
}

/** Whole command lines for the help, as a user types them after `node dist/cli.js`. */
export const examples: Readonly<Record<CommandName, readonly string[]>> = {
  backup: [
    'backup --database-url postgres://backup@db.example/shop --storage file:///mnt/backups --encrypt-to age1…',
  ],
  verify: [
    'verify --storage file:///mnt/backups --label shop --decrypt-with-file key.txt',
    'verify --backup file:dump.sql.gz',
  ],
  'test-migration': [
    "test-migration --storage file:///mnt/backups --decrypt-with-file key.txt --migrate-command 'npm run migrate'",
  ],
  restore: [
    'restore --storage file:///mnt/backups --decrypt-with-file key.txt --target-url postgres://admin@db.example/shop',
    'restore --target-url postgres://admin@db.example/shop --undo',
  ],
  status: ['status --storage file:///mnt/backups --max-age 26h'],
}

/** The flags of one command, in order. */
export function inputsOf(command: CommandName): InputDescription[] {
  return inputs.filter(({ of }) => of.includes(command))
}

/** Returns the environment variable that gives an input which a command line must not hold. */
export function variableOf(name: string): string {
  return `HOLDFAST_${name.replaceAll('-', '_').toUpperCase()}`
}

/** Whether an input can be given by its environment variable. */
export function hasVariable({ secret, variable }: InputDescription): boolean {
  return secret !== undefined || variable === true
}
