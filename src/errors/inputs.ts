import type { ErrorEntry } from './entry.ts'

/** Inputs, flags and arguments that cannot be used as they are. */
export const inputErrors = {
  'bad-arguments': { message: '…', hint: '…' },
  'bad-backup-id': {
    message: 'backup is "…", which is neither "latest" nor the id of a backup.',
    hint: 'An id looks like 20261121T031500Z-ab12cd; the backup action gives it as its output backup-id. Or write latest-proven, or before: 2026-11-20T03:00:00Z.',
  },
  'bad-identity': {
    message: 'The input decrypt-with holds a line that is not an age identity.',
    hint:
      'An age identity is one line that begins with AGE-SECRET-KEY-. Store the whole line as a ' +
      'secret, without quotes. A public key (age1…) cannot decrypt.',
  },
  'bad-input': {
    message: '… cannot be kept to for a file that another tool made.',
    hint: '… A backup that the backup action made can do that, too.',
  },
  'bad-recipient': {
    message: 'The input encrypt-to holds a line that is not an age public key.',
    hint:
      'Use the line that begins with age1; age-keygen -y prints it from the private key. ' +
      'If a private key was shown to anyone, create a new pair.',
  },
  'bad-url': {
    message: '…: the file … (…) cannot be read.',
    hint: 'Correct the path, or write the file in a step before.',
  },
  'confirm-mismatch': {
    message: 'No name was typed; nothing was touched.',
    hint: 'Type the name of the database, or give it as --confirm.',
  },
  'file-unreadable': {
    message: '--…-file cannot be read: ….',
    hint: 'Check its name and its rights. The name - stands for the standard input.',
  },
  'input-missing': {
    message: '… needs --….',
    hint: 'Give it by …. What it is: node dist/cli.js … --help',
  },
  'secret-in-arguments': {
    message: '--… …, and a command line is seen by everybody on this machine.',
    hint: "… What you typed may be in your shell's history: remove it there.",
  },
  'unknown-command': {
    message: '……',
    hint: 'It is one of: …. To see more: node dist/cli.js --help',
  },
} as const satisfies Record<string, ErrorEntry>
