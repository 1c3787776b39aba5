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
  /** The database to put back. */
  target: Connection
  confirm: Confirmation
  environmentName?: string
  dryRun: boolean
  /** Default: `swap`. */
  mode?: 'swap' | 'new' | 'in-place'
  /**
   * Replaced databases older than this (milliseconds) are dropped when all went well. Undefined:
   * all are kept.
   */
  keepPrevious?: number
  /** Whether the target is backed up first. Default: true. */
  safetyBackup?: boolean
  /** Only these tables, as `schema.table`. */
  tables?: string[]
  schemas?: string[]
  contents?: 'all' | 'schema' | 'data'
  /** With tables or schemas: put them in the place of the live ones. */
  replace?: boolean
  /**
   * How long locks on live tables are waited for, milliseconds: no input, only for tests. Default:
   * two minutes for a part, half a minute in place.
   */
  lockTimeout?: number
  /** SQL to run in the new database before anybody sees it. */
  prepare?: string
  /** Run by bash when all is done. */
  postCommand?: string
  workingDirectory?: string
  /** Of the command, milliseconds. */
  timeout?: number
  /** What the command's environment starts from: already without our inputs and tokens. */
  environment?: Record<string, string>
  /** Milliseconds that the restore may take (RTO). */
  maxRestoreTime?: number
  bindirs: string[]
  /** How much is done at once. Default: one a core, at most 8. */
  jobs?: number
  /** Whose everything is. Default: `keep`. */
  owner?: OwnerRule
  /** Where this run can be seen, for the safety backup's manifest. */
  runUrl?: string
  /**
   * Told as soon as something is known that somebody will want to know even if what comes next
   * fails.
   */
  known?: (facts: KnownFacts) => void
}

/** A restore of a backup. */
export interface BackupRestoreOptions extends RestoreOptions {
  backup: SingleSelector
}

export interface KnownFacts {
  id?: string
  safetyBackup?: string
  database?: string
  previousDatabase?: string
  /** Milliseconds. */
  lost?: number
}
