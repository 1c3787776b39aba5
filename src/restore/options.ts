import type { Connection } from '../postgres/connection/connection.ts'
import type { OwnerRule } from '../postgres/pg-restore/owners.ts'
import type { SingleSelector } from '../repository/selector.ts'
import type { Storage } from '../storage/storage.ts'
import type { Confirmation } from './confirmation.ts'

/** What every restore needs, from a backup or from an external dump. */
export interface RestoreOptions {
  /** What to do. Default: `restore`. */
  task?: 'restore'
  sources: Storage[]
  label?: string
  identities: string[]
  /** The database to restore. */
  target: Connection
  confirm: Confirmation
  environmentName?: string
  dryRun: boolean
  /** Default: `swap`. */
  mode?: 'swap' | 'new' | 'in-place'
  /**
   * After a successful restore, drop previous databases older than this, in milliseconds.
   * Undefined: keep all.
   */
  keepPrevious?: number
  /** Back up the target first. Default: true. */
  safetyBackup?: boolean
  /** Restore only these tables, as `schema.table`. */
  tables?: string[]
  /** Restore only the tables of these schemas. */
  schemas?: string[]
  contents?: 'all' | 'schema' | 'data'
  /** With tables or schemas: replace the live tables. */
  replace?: boolean
  /**
   * How long to wait for locks on live tables, in milliseconds. Not an input: for tests only.
   * Default: 2 minutes for tables, 30 seconds in place.
   */
  lockTimeout?: number
  /** SQL to run in the new database before clients can reach it. */
  prepare?: string
  /** A command that bash runs after the restore. */
  postCommand?: string
  workingDirectory?: string
  /** Timeout of `postCommand`, in milliseconds. */
  timeout?: number
  /** Base environment of `postCommand`, without inputs and tokens. */
  environment?: Record<string, string>
  /** Recovery time objective, in milliseconds. */
  maxRestoreTime?: number
  /** Folders to search for PostgreSQL's programs. */
  bindirs: string[]
  /** Number of parallel jobs. Default: one per core, at most 8. */
  jobs?: number
  /** Owners of restored objects. Default: `keep`. */
  owner?: OwnerRule
  /** URL of this run, for the safety backup's manifest. */
  runUrl?: string
  /** Receives each fact as soon as it is known, so that it is reported even if a later step fails. */
  known?: (facts: KnownFacts) => void
}

/** A restore of a backup. */
export interface BackupRestoreOptions extends RestoreOptions {
  backup: SingleSelector
}

/**
 * How far a restore, an undo or a clean has come. Before `begun`, nothing was changed. `begun`: only
 * a safety backup and copies are made. `changing`: what changes the target has begun. `done`: the
 * target is changed, and what follows does not undo it.
 */
export type Progress = 'begun' | 'changing' | 'done'

/** Facts about a restore that are worth reporting even if it fails. */
export interface KnownFacts {
  /** The restored backup. */
  id?: string
  /** The safety backup's id. */
  safetyBackup?: string
  database?: string
  previousDatabase?: string
  /** Age of the restored data, in milliseconds. */
  lost?: number
  progress?: Progress
}
