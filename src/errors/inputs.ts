import type { ErrorEntry } from './entry.ts'

/** Inputs, flags and arguments that cannot be used as they are. */
export const inputErrors = {
  'bad-arguments': { message: '…', hint: '…' },
  'bad-backup-id': {
    message: 'backup is "…", which is neither "latest" nor the id of a backup.',
    hint: 'An id looks like 20261121T031500Z-ab12cd; the backup action gives it as its output backup-id. Or write latest-proven, or before: 2026-11-20T03:00:00Z.',
  },
  'bad-identity': {
    message: '…: line … is ….',
    hint: 'An age identity is one line that begins with "AGE-SECRET-KEY-"; store the whole line as a secret, without quotes.',
  },
  'bad-input': {
    message: '… cannot be kept to for a file that another tool made.',
    hint: '… A backup that the backup action made can do that, too.',
  },
  'bad-recipient': {
    message: '… holds a private key (an age identity) where a public key belongs.',
    hint: 'Put the line that begins with "age1" there (age-keygen -y shows it), and make a new key if this one was shown to anybody.',
  },
  'bad-url': {
    message: 'A connection URL is not valid, or a file that it names cannot be read.',
    hint:
      'Write one line such as postgres://user:password@host:5432/database, with special ' +
      'characters percent-encoded (@ is %40, / is %2F, : is %3A).',
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
