import type { ErrorEntry } from './entry.ts'

/** What keeps a restore from starting or from finishing. */
export const restoreErrors = {
  'columns-differ': {
    message: '… cannot be replaced: ….',
    hint: 'Add or change the columns in the live table first (ALTER TABLE), or restore it into a schema of its own (without replace) and take the rows from there.',
  },
  'commit-unknown': {
    message:
      'The connection was lost while the names changed (…): they have changed, both, or neither.',
    hint: 'Look which databases there are. If there is "…"….',
  },
  'database-missing': {
    message: 'there is no database "…" on ….',
    hint: 'Check the name after the last slash of the URL; list them with: psql -l',
  },
  'encoding-differs': {
    message: '"…" has the encoding …, and the backup ….',
    hint: 'Restore the whole database with mode: new, and move the rows by hand.',
  },
  'extension-refused': {
    message: 'The server does not take the extension "…" into this database: …',
    hint: 'This says nothing against the backup. The extension must be loaded at the start of the server (shared_preload_libraries), and one like pg_cron can be in one database only: leave scratch-url out, so that a server of our own is started for it; or restore with mode: in-place.',
  },
  'extension-table': {
    message: '… belongs to the extension "…": a backup has no definition of it.',
    hint: 'Leave it out, and restore the whole database with mode: new to look at its rows.',
  },
  'foreign-key-violated': {
    message:
      'The foreign key "…" of … would not hold: … point to nothing. The first: … Nothing was replaced.',
    hint: 'Put back the table at its other end, too (name both in tables), or restore into a schema of its own (without replace) and take the rows that fit.',
  },
  'in-place-unsafe': {
    message: '"…" cannot be emptied by "…": ….',
    hint: 'Drop these first, or have them given to this role (ALTER … OWNER TO), or restore with mode: swap.',
  },
  'locale-missing': {
    message: "…: the server cannot make a database with the backup's locale: ….",
    hint: 'The backup has … (…). Generate it on that machine (sudo locale-gen …), or give a scratch-url whose image has it.',
  },
  'no-permission': {
    message: '"…" may not read every large object: ….',
    hint: 'pg_read_all_data does not cover large objects: back up as their owner or a superuser, or GRANT SELECT ON LARGE OBJECT … for each.',
  },
  'not-a-table': {
    message: '… is a table with rows in the backup, and something else in the live database.',
    hint: 'Restore it into a schema of its own (without replace), and move the rows by hand.',
  },
  'nothing-to-undo': {
    message: '"…" is marked as kept, but belongs to "…", and "…" does not.',
    hint: 'If that is right, and the owner was changed since: ALTER DATABASE … OWNER TO the owner of …;',
  },
  'part-needs': {
    message: 'The tables need what "…" does not have: …. Nothing was changed there.',
    hint: 'Make it in the live database first (its definition is in the backup), or restore the whole database beside it with mode: new.',
  },
  'partition-alone': {
    message:
      '… is one of the hash partitions of …, and its rows may belong into another one of them elsewhere.',
    hint: 'Name the whole table: …',
  },
  'partitions-differ': {
    message:
      'The live database has partitions that the backup does not know: …. Their rows would stay among those of the backup. Nothing was replaced.',
    hint: 'Detach or drop them first (ALTER TABLE … DETACH PARTITION), or name the single partitions to replace in tables.',
  },
  'post-command-failed': {
    message: '… But the post-command ….',
    hint: 'What was restored is restored all the same, and the job summary says what can be done about it. Run the command again by hand.',
  },
  'prepare-failed': {
    message:
      'The SQL of prepare failed…: …. The new database was dropped, and nothing was replaced.',
    hint: 'It runs as one transaction, so without psql’s own commands (such as \\\\set), and without statements that refuse to be in one (such as VACUUM).',
  },
  'replace-refused': {
    message: 'The live database refused: …. Nothing was replaced.',
    hint: 'Mend what the server names (a constraint, a NOT NULL column that is new, an event trigger), or restore the part into a schema of its own (without replace).',
  },
  'restore-failed': {
    message: '… could not be read from the database beside the target: …',
    hint: 'Nothing was changed. Look into the server’s log, and run this again.',
  },
  'restore-running': {
    message: 'Another restore of "…" is running.',
    hint: 'Wait until it has ended, and look at its result first.',
  },
  'restored-differs': {
    message:
      "The live tables would not hold what the backup's fingerprint says (…: expected …, found …). Nothing was replaced.",
    hint: 'Columns may have other types in the live table, which write values otherwise. Restore the part into a schema of its own (without replace), and look there.',
  },
  'role-missing': {
    message: 'The server lacks a role that the backup names, or that owner maps to: … (at …)',
    hint: 'Create it first (CREATE ROLE … NOLOGIN;), or name another one in owner, as old: new.',
  },
  'safety-backup-failed': {
    message: 'The safety backup of "…" cannot be made, so nothing was restored: …',
    hint: '… …',
  },
  'server-failed': {
    message: 'The server that was restored into failed: …',
    hint: 'This says nothing against the backup. Look into that server’s log (memory, connections, shared_preload_libraries), and run this again.',
  },
  'server-older': {
    message: "The scratch server is PostgreSQL …, older than the backup's ….",
    hint: 'Use the same major version, for example the image postgres:….',
  },
  'swap-unsafe': {
    message: 'A swap of "…" would break: ….',
    hint: 'Remove them first, and make them anew after the restore.',
  },
  'table-missing': {
    message: 'contents is "data", and the live database has no table ….',
    hint: 'Leave contents out: a table that is missing is then made anew, with its indexes, keys and rows.',
  },
  'target-busy': {
    message: '"…" could not be renamed in … attempts: ….',
    hint: 'Somebody is connected whom "…" may not end: stop the application, or GRANT pg_signal_backend TO … (a superuser\'s session only a superuser may end). Nothing was replaced.',
  },
  'target-changed': {
    message: 'A table was dropped or made in the live database meanwhile. Nothing was replaced.',
    hint: 'Stop migrations while a restore runs, and run this again.',
  },
  'target-exists': {
    message: 'Somebody has made a database of the name meanwhile: ….',
    hint: 'Look what it is, and run this again; nothing was replaced.',
  },
  'too-many-locks': {
    message:
      'One transaction would need about … locks (… relations that are there, … of the backup, and large objects), and the server has room for …: max_locks_per_transaction (…) × connections and prepared transactions (…). Nothing was changed.',
    hint: 'Raise it and restart the server: ALTER SYSTEM SET max_locks_per_transaction = …; or restore with mode: swap.',
  },
  'unknown-schema': {
    message: 'There is no schema of that name.',
    hint: 'Capitals, dots and spaces need double quotes.',
  },
  'unknown-table': {
    message: 'There is no table of that name.',
    hint: 'Capitals, dots and spaces need double quotes.',
  },
} as const satisfies Record<string, ErrorEntry>
