import type { ErrorEntry } from './entry.ts'

/** Client programs that are missing, and external dumps that cannot be read. */
export const fileErrors = {
  'client-missing': {
    message: "PostgreSQL …'s … … not on this machine (found: …).",
    hint: 'A dump is made and restored with the programs of its own major version. Install them in a step before: sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && sudo apt-get install -y postgresql-……',
  },
  'file-damaged': { message: '… does not decompress to its end: ….', hint: '…' },
  'file-empty': {
    message: '… is empty.',
    hint: 'The tool that made it failed, or is still at work: a pipe to a file gives an empty file when its first command fails.',
  },
  'file-missing': {
    message: 'file: … leads out of the workspace.',
    hint: 'Name a file below the folder in which the job works.',
  },
  'file-refused': {
    message: '… holds more than plain files: ….',
    hint: 'A tar of a dump has files and folders only. Ask whoever made it.',
  },
  'file-unknown': { message: '… is packed more than four times over.', hint: 'Unpack it first.' },
} as const satisfies Record<string, ErrorEntry>
