import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import type { OwnerChoice } from '../postgres/pg-restore/owners.ts'
import type { Storage } from '../storage/storage.ts'

export interface RestoreOptions {
  /** What to do. Default: `restore`. */
  task?: 'restore'
  sources: Storage[]
  label?: string
  backup: string
  identities: string[]
  /** The database to restore. `confirm` must equal its name, or `environment/name`. */
  target: Connection
  confirm: string
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
  owner?: OwnerChoice
  /** URL of this run, for the safety backup's manifest. */
  runUrl?: string
  /** Receives each fact as soon as it is known, so that it is reported even if a later step fails. */
  known?: (facts: KnownFacts) => void
}

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
}

/** Returns the value that `confirm` must have: `database`, or `environment/database`. */
export function confirmOf({
  target,
  environmentName,
}: Pick<RestoreOptions, 'target' | 'environmentName'>): string {
  return environmentName ? `${environmentName}/${target.database}` : target.database
}

/** Throws `confirm-mismatch` unless `confirm` names the target or this is a dry run. */
export function checkConfirm(
  options: Pick<RestoreOptions, 'target' | 'environmentName' | 'confirm' | 'dryRun'>,
): void {
  const wanted = confirmOf(options)
  if (options.dryRun || options.confirm === wanted) return
  const of = options.environmentName ? ` of "${options.environmentName}"` : ''
  const what = `the database is "${options.target.database}"${of}`
  throw new UserError(
    'confirm-mismatch',
    options.confirm
      ? `confirm is "${options.confirm}", and ${what}.`
      : `confirm is empty, and ${what}.`,
    `If you mean it: confirm: ${wanted}`,
  )
}
