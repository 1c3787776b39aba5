import type { ErrorEntry } from './entry.ts'

/** Client programs that are missing, and external dumps that cannot be read. */
export const fileErrors = {
  'client-missing': {
    message: 'A PostgreSQL program of the version that is needed is not on this machine.',
    hint:
      'A dump is made and restored with the programs of its own major version. Install them in ' +
      'an earlier step, from apt.postgresql.org: sudo apt-get install -y postgresql-client-17. ' +
      'Or name their folder in postgres-bin.',
  },
  'file-damaged': {
    message: 'The dump cannot be read to its end.',
    hint: 'It was truncated or changed after pg_dump wrote it. Fetch it or make it again.',
  },
  'file-empty': {
    message: 'The dump holds nothing.',
    hint:
      'The tool that made it failed or still runs: a pipe to a file leaves an empty file if its ' +
      'first command fails. pg_dump of the wrong database, or by a role that sees no tables, ' +
      'makes a dump without tables.',
  },
  'file-missing': {
    message: 'The dump is not where the input says, or the path is not allowed.',
    hint:
      'The path of a file is relative to the workspace and stays in it; an earlier step must put ' +
      'the file there. A key is relative to the storage’s prefix, without a leading slash.',
  },
  'file-refused': {
    message: 'The dump contains something that is not safe to run or to unpack here.',
    hint:
      'pg_dump writes no such dump by itself. Dump the database again as a custom archive ' +
      '(pg_dump -Fc), or ask the person who made the file.',
  },
  'file-unknown': {
    message: 'The file is not a dump that can be read.',
    hint:
      'Supported are plain SQL of pg_dump, custom archives (-Fc), tars (-Ft), and a tar of a ' +
      'folder (-Fd); each also in gzip, zstd or age.',
  },
} as const satisfies Record<string, ErrorEntry>
