import type { ErrorEntry } from './entry.ts'

/** What prevents a restore from starting or finishing. */
export const restoreErrors = {
  'columns-differ': {
    message: "A live table cannot be replaced, because its columns do not match the backup's.",
    hint:
      'Add or change the columns in the live table first (ALTER TABLE). Or copy the table into ' +
      'a schema of its own (without replace), and take the rows from there.',
  },
  'commit-unknown': {
    message: 'The connection was lost during a commit, so its outcome is unknown.',
    hint:
      'Look at the databases on the server: the transaction was either committed completely or ' +
      'not at all. Then run the restore again if needed.',
  },
  'database-missing': {
    message: 'The server has no database with that name.',
    hint: 'Check the name after the last slash of the URL. List the databases with psql -l.',
  },
  'dependency-missing': {
    message: 'The tables need an object that the live database does not have.',
    hint:
      'Create it in the live database first; the backup has its definition. ' +
      'Or restore the whole database into a new one.',
  },
  'encoding-differs': {
    message: "The target's encoding differs from the backup's.",
    hint: 'Restore into a new database, which gets the encoding of the backup.',
  },
  'extension-refused': {
    message: 'The server does not allow an extension of the backup in this database.',
    hint:
      'The backup is not at fault. Some extensions must be in shared_preload_libraries, and some, ' +
      'like pg_cron, can be in only one database of a server. For a scratch database, leave out ' +
      'scratch-url, so that a server is started for it. For a restore, use the mode in-place.',
  },
  'extension-table': {
    message: 'The table belongs to an extension, so the backup has no definition of it.',
    hint: 'Leave it out. To see its rows, restore the whole database into a new one.',
  },
  'foreign-key-violated': {
    message: 'The restored rows would break a foreign key. Nothing was replaced.',
    hint:
      'Name the table at the other end of the key too. Or copy the tables into a schema of their ' +
      'own (without replace), and take the rows that fit.',
  },
  'in-place-unsafe': {
    message: 'The target has objects that the user cannot drop, so it cannot be emptied.',
    hint:
      'Drop these objects first, or give them to this role (ALTER … OWNER TO). ' +
      'Or restore with the mode swap.',
  },
  'locale-missing': {
    message: "The server cannot create a database with the backup's locale.",
    hint:
      "Generate the locale on the server's machine (sudo locale-gen), " +
      'or use a server whose image has it.',
  },
  'no-permission': {
    message: 'The database user lacks a permission.',
    hint: 'Connect as the owner or a superuser, or grant the permission that the message names.',
  },
  'not-a-table': {
    message: 'A named object is not a table, either in the backup or in the live database.',
    hint: 'Name the tables that hold the rows, and move rows into other kinds of objects by hand.',
  },
  'nothing-to-undo': {
    message: 'The server has no previous database of the target.',
    hint:
      'It was dropped, or nothing was restored on this server. To bring back the data, restore ' +
      'the safety backup of that restore: its id ends with -pre-restore.',
  },
  'partition-alone': {
    message:
      'A single hash partition cannot be restored, because servers hash its key differently.',
    hint: 'Name the partitioned table instead.',
  },
  'partitions-differ': {
    message: 'A live table has partitions that the backup lacks. Nothing was replaced.',
    hint:
      'Detach or drop these partitions first (ALTER TABLE … DETACH PARTITION), ' +
      'or name the single partitions to replace.',
  },
  'post-command-failed': {
    message: 'The restore is done, but the post-command failed.',
    hint: "The report shows the command's output. Run the command again by hand.",
  },
  'prepare-failed': {
    message: 'The SQL of prepare failed. The new database was dropped, and nothing was replaced.',
    hint:
      'The SQL runs as one transaction. It cannot use commands of psql (such as \\set), ' +
      'or statements that cannot run in a transaction (such as VACUUM).',
  },
  'replace-refused': {
    message: 'The live database refused a change. Nothing was replaced.',
    hint:
      'Fix what the server names: a constraint, a new NOT NULL column, or an event trigger. ' +
      'Or copy the tables into a schema of their own (without replace).',
  },
  'restore-failed': {
    message: 'PostgreSQL could not restore the backup.',
    hint: "See the server's log and the error that the message quotes. Then run this again.",
  },
  'restore-running': {
    message: 'Another restore of the same database is running.',
    hint: 'Wait until it ends, and look at its result first.',
  },
  'restored-differs': {
    message: "What was restored does not match the backup's fingerprint.",
    hint: 'Verify the backup to see all differences, or restore another one.',
  },
  'role-missing': {
    message: 'The server lacks a role that the backup names.',
    hint:
      'Create the role first (CREATE ROLE … NOLOGIN), or map it to another role with owner, ' +
      'or leave out owners and grants.',
  },
  'safety-backup-failed': {
    message: 'The safety backup of the target failed, so nothing was restored.',
    hint: 'Fix what the message names. Or restore without a safety backup.',
  },
  'server-failed': {
    message: 'The server failed during the restore.',
    hint:
      "The backup is not at fault. See the server's log (memory, connections, " +
      'shared_preload_libraries), and run this again.',
  },
  'server-older': {
    message: "The server's major version is older than the backup's.",
    hint: 'Use a server with the same major version as the backup, or a newer one.',
  },
  'swap-unsafe': {
    message: 'A rename of the database would break something that belongs to it.',
    hint: 'Remove what the message names first, and create it again afterwards.',
  },
  'table-missing': {
    message: 'The restore was limited to rows, but the live database lacks a table.',
    hint: 'Leave out contents: a missing table is then re-created, with its indexes, keys and rows.',
  },
  'target-busy': {
    message: 'The target could not be locked or renamed, because other sessions use it.',
    hint:
      'Stop the application, or end the sessions that use the target ' +
      '(SELECT pg_terminate_backend(…)). Then run this again.',
  },
  'target-changed': {
    message: 'A table was dropped or created while the restore ran. Nothing was replaced.',
    hint: 'Stop migrations while a restore runs, and run this again.',
  },
  'target-exists': {
    message: 'A database with the name of the new one already exists.',
    hint: 'Choose a name that does not exist yet, or drop the existing database first.',
  },
  'too-many-locks': {
    message: 'One transaction needs more locks than the server has room for.',
    hint:
      'Raise max_locks_per_transaction (ALTER SYSTEM SET …) and restart the server. ' +
      'Or restore with the mode swap.',
  },
  'unknown-schema': {
    message: 'The backup has no tables in a schema with that name.',
    hint: 'Names with capitals, dots or spaces need double quotes.',
  },
  'unknown-table': {
    message: 'The backup has no table with that name.',
    hint: 'Names with capitals, dots or spaces need double quotes.',
  },
} as const satisfies Record<string, ErrorEntry>
