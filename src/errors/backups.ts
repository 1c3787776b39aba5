import type { ErrorEntry } from './entry.ts'

/** Backups that cannot be taken, found, opened or proven. */
export const backupErrors = {
  'backup-too-old': {
    message: 'The newest backup is older than max-age.',
    hint:
      'Check that the backup job still runs, and look at its last run. If it runs as planned, ' +
      'raise max-age.',
  },
  'contents-differ': {
    message: 'The tables in an archive are not those that the manifest lists.',
    hint:
      'The archive is not the one that the manifest was written for. Read the backup from ' +
      'another destination, or take a new backup.',
  },
  'disk-full': {
    message: 'The disk of this machine is full.',
    hint:
      'A restore keeps the base archive of the backup there, decrypted. Free some space, or use ' +
      'a larger runner.',
  },
  'dump-failed': {
    message: 'pg_dump failed, or ended without writing anything.',
    hint:
      'Nothing was stored. Run the backup again; if it fails again, run pg_dump by hand on the ' +
      'same machine.',
  },
  'foreign-backup': {
    message: 'The input backup names a file of another tool, which this command cannot read.',
    hint: 'Write latest, latest-proven, an id, or a time such as before: 2026-11-20T03:00:00Z.',
  },
  'key-missing': {
    message: 'The backup is encrypted, and decrypt-with is empty.',
    hint:
      'Set decrypt-with to an age identity that belongs to one of the public keys of the ' +
      'backup.',
  },
  'label-needed': {
    message: 'The storage holds backups of several databases.',
    hint: 'Set label to the one that you mean.',
  },
  'manifest-damaged': {
    message: 'The manifest of the backup is damaged.',
    hint:
      'Without it, nothing in the backup can be trusted. Read the backup from another ' +
      'destination, or take a new backup.',
  },
  'newer-format': {
    message: 'The backup was written in a newer format than this version can read.',
    hint:
      'Use the version of Holdfast that took the backup, or a newer one. RECOVER.md in the ' +
      'backup’s folder explains how to restore it with stock tools.',
  },
  'no-backup': {
    message: 'No backup was found.',
    hint:
      'Check storage and label: a folder that does not exist, or a misspelt prefix, looks like ' +
      'an empty one. If nothing is stored yet, take a backup first.',
  },
  'no-proven-backup': {
    message: 'None of the backups is proven.',
    hint: 'Run verify first. To use a backup that is not proven, give its id.',
  },
  'not-proven': {
    message: 'Verification did not prove the backup.',
    hint: 'The report says what was found. Take a new backup and verify it, or verify an older one.',
  },
  'object-damaged': {
    message: 'A stored object does not have the content that the manifest records.',
    hint: 'Read the backup from another destination, or take a new backup.',
  },
  'object-missing': {
    message: 'A stored object of the backup is missing.',
    hint: 'The backup is incomplete. Read it from another destination, or use another backup.',
  },
  'scratch-failed': {
    message: 'A temporary PostgreSQL server could not be started on this machine.',
    hint:
      'Run the program that failed by hand to see why, or set scratch-url to a disposable ' +
      'server.',
  },
  'standby-conflict': {
    message: 'The standby cancelled the reading of the database in every attempt.',
    hint:
      'Set hot_standby_feedback = on at the standby, or raise max_standby_streaming_delay there ' +
      'above the time that a backup takes; or back up from the primary.',
  },
  'relation-replaced': {
    message: 'A table or sequence was replaced by another object while Holdfast worked on it.',
    hint:
      'Run it again. If this repeats, find out who renames it: an owner can put another object in ' +
      'its place to run code as the role that reads it.',
  },
  'tables-in-motion': {
    message: 'Tables were changed or locked while the backup was being taken, in every attempt.',
    hint: 'Run the backup again, at a time when no migration runs.',
  },
  'unknown-backup': {
    message: 'There is no such backup.',
    hint: 'Check the id, the time and the label; status lists the backups there are.',
  },
  'wrong-key': {
    message: 'No identity in decrypt-with can decrypt the backup.',
    hint:
      'Use the age identity that belongs to one of the public keys that the backup was ' +
      'encrypted to; its manifest lists them.',
  },
} as const satisfies Record<string, ErrorEntry>
