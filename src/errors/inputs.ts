import type { ErrorEntry } from './entry.ts'

/** Inputs of an action, and flags of the command line, that cannot be used as they are. */
export const inputErrors = {
  'bad-arguments': {
    message: 'A flag of the command line is unknown, has no value, or is given twice.',
    hint: 'Run the command with --help to see its flags. A value with spaces needs quotes.',
  },
  'bad-backup-id': {
    message: 'The input backup does not name a backup that this command can use.',
    hint:
      'Use latest, latest-proven, an id such as 20261121T031500Z-ab12cd (the output backup-id of ' +
      'the backup action), or a time such as before: 2026-11-20T03:00:00Z. ' +
      'Only verify takes several backups.',
  },
  'bad-identity': {
    message: 'The input decrypt-with holds a line that is not an age identity.',
    hint:
      'An age identity is one line that begins with AGE-SECRET-KEY-. Store the whole line as a ' +
      'secret, without quotes. A public key (age1…) cannot decrypt.',
  },
  'bad-input': {
    message: 'An input has a value that is not allowed, or contradicts another input.',
    hint: 'The message names the input and what it accepts. Correct it in the workflow.',
  },
  'bad-recipient': {
    message: 'The input encrypt-to holds a line that is not an age public key.',
    hint:
      'Pass the public key (age1…): age-keygen -y key.txt prints it. ' +
      'If anyone saw the private key, make a new pair.',
  },
  'bad-url': {
    message: 'A connection URL is not valid, or a file that it names cannot be read.',
    hint:
      'Write one line such as postgres://user:password@host:5432/database, with special ' +
      'characters percent-encoded (@ is %40, / is %2F, : is %3A).',
  },
  'confirm-mismatch': {
    message: 'The confirmation of a restore is missing, or is not the name of the target database.',
    hint:
      'Set confirm to the name of the database in target-url; if environment is set, to ' +
      'environment/database. To see the plan first, set dry-run: true.',
  },
  'file-unreadable': {
    message: 'The file of an input cannot be read.',
    hint: 'Check the path and the permissions of the file. The name - stands for standard input.',
  },
  'input-missing': {
    message: 'A required flag of the command line is missing.',
    hint: 'Run the command with --help to see which flags it requires, and how to give secrets.',
  },
  'secret-in-arguments': {
    message:
      'A secret was given on the command line, where other users of the machine can read it.',
    hint:
      'Give secrets by a file (--decrypt-with-file) or by an environment variable. ' +
      "Remove what you typed from your shell's history.",
  },
  'unknown-command': {
    message: 'The first word of the command line is not a command.',
    hint: 'Run it with --help to see the commands.',
  },
} as const satisfies Record<string, ErrorEntry>
