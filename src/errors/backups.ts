import type { ErrorEntry } from './entry.ts'

/** Backups that cannot be taken, found, opened or proven. */
export const backupErrors = {
  'backup-too-old': { message: '…', hint: '…' },
  'contents-differ': { message: '…: …: …', hint: '…' },
  'disk-full': {
    message: 'The disk of this machine is full: … does not fit into ….',
    hint: 'The base archive of a backup is kept there, decrypted, while it is restored. Free some space, or use a larger runner.',
  },
  'dump-failed': {
    message: 'pg_dump ended well and wrote nothing.',
    hint: 'Nothing was stored. Run the backup again; if it stays so, the pg_dump on this machine is broken.',
  },
  'foreign-backup': {
    message: 'backup is "…", a file that another tool made, and this command cannot read it.',
    hint: 'Write latest, latest-proven, an id, or before: 2026-11-20T03:00:00Z.',
  },
  'key-missing': {
    message: 'The backup … is encrypted, and decrypt-with is empty.',
    hint: '… Give the age identity that belongs to one of them.',
  },
  'label-needed': {
    message: '… holds backups of several databases: ….',
    hint: 'Set label to the one that is meant.',
  },
  'manifest-damaged': {
    message: 'The manifest … is damaged: ….',
    hint: 'Nothing in this backup can be trusted without it. Read the backup from another destination, or take another backup.',
  },
  'newer-format': {
    message: 'The manifest … has format …; this version of Holdfast reads up to ….',
    hint: 'Use the version of Holdfast that made the backup, or a newer one. RECOVER.md beside the manifest tells how to restore with plain tools.',
  },
  'no-backup': {
    message: '… was found in ….',
    hint: 'Check storage (a folder that does not exist, or a prefix that is misspelt, looks like an empty one) and label, or run backup now.',
  },
  'no-proven-backup': {
    message: 'None of the … backups of "…" in … is proven.',
    hint: 'Run verify first, with backup: all or backup: latest (…). To take one that is not proven, name it.',
  },
  'not-proven': { message: '…', hint: '…' },
  'object-damaged': {
    message: '…: ……',
    hint: 'Read the backup from another destination, or take another backup.',
  },
  'object-missing': {
    message: '… is missing.',
    hint: 'The backup is not whole. Read it from another destination, or use another backup.',
  },
  'scratch-failed': {
    message: 'initdb of PostgreSQL … failed: …',
    hint: 'Run … by hand to see why, or give scratch-url.',
  },
  'standby-conflict': {
    message:
      '…: in … attempts this standby ended what was being read, because its replay needed it: …',
    hint: 'Set hot_standby_feedback = on at the standby, or raise max_standby_streaming_delay there above the time that a backup takes; or back up from the primary.',
  },
  'tables-in-motion': {
    message: '…: in … attempts tables changed while they were being read: …',
    hint: 'Run the backup again, best when no migration runs.',
  },
  'unknown-backup': {
    message: 'There is no backup of "…" from before ….',
    hint: 'The oldest is …, the newest ….',
  },
  'wrong-key': {
    message: 'No identity in decrypt-with opens the backup ….',
    hint: '… The … given belong… to ….',
  },
} as const satisfies Record<string, ErrorEntry>
