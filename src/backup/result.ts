import type { Connection } from '../postgres/connection/connection.ts'
import type { Depth } from '../postgres/fingerprint/fingerprint.ts'
import type { Waiter } from '../postgres/pg-dump/lock-waiters.ts'
import type { Storage } from '../storage/storage.ts'

export interface BackupOptions {
  database: Connection
  /** At least one. Every object is written to all of them. */
  destinations: Storage[]
  /** Default: the name of the database. */
  label?: string
  /** age recipients (`age1…`), or 'none' for a backup that is not encrypted. */
  recipients: string[] | 'none'
  /** How many backups of this label to keep, at least 1; undefined keeps all. */
  keep?: number
  /** Folders to search first for PostgreSQL's programs. */
  bindirs: string[]
  /** Number of archives read at a time, and of fingerprint sessions. At least 1. */
  jobs: number
  /** Tables of at least this many bytes get an archive of their own. */
  largeTable: number
  /** What is measured. With `none`, verification can only prove that the backup restores. */
  fingerprint: Depth
  /** URL of this run, for the manifest. */
  runUrl?: string
  /** `pre-restore`: taken before a restore, of what the restore replaces. Default: ordinary. */
  kind?: 'pre-restore'
}

export interface BackupResult {
  id: string
  label: string
  database: string
  /** For example `17.11`. */
  server: string
  /** Time of the snapshot (ISO 8601, UTC). The backup holds everything committed before. */
  snapshotAt: string
  /** One for each destination: its URL as typed, and where the backup is in it. */
  locations: { url: string; location: string }[]
  objects: { name: string; bytes: number }[]
  /** Stored bytes of all objects, in one destination. */
  bytes: number
  archives: number
  fingerprint: Depth
  /** Undefined if rows were not counted. */
  rows?: number
  tables: number
  /** The largest tables by their size on the server, at most 10. */
  largest: { table: string; rows?: number; bytes: number }[]
  /** Size of the database on the server, bytes. */
  databaseBytes: number
  recipients: string[] | 'none'
  /** 1 if the first snapshot held; more if tables changed while it was taken. */
  attempts: number
  /** Milliseconds. The fingerprint and the dump run at the same time. */
  timings: { dump: number; fingerprint: number; total: number }
  /** Sessions that waited for more than three seconds behind the locks of this backup. */
  waiters: Waiter[]
  /** Ids that retention removed, by destination. */
  removed: { url: string; ids: string[] }[]
  warnings: string[]
}
