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
  /** The database to put back; its name, after its environment's, is what `confirm` must equal. */
  target: Connection
  confirm: string
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
  owner?: OwnerChoice
  /** Where this run can be seen, for the safety backup's manifest. */
  runUrl?: string
  /**
   * Told as soon as something is known that somebody will want to know even if what comes next
   * fails.
   */
  known?: (facts: KnownFacts) => void
}

export interface KnownFacts {
  id?: string
  safetyBackup?: string
  database?: string
  previousDatabase?: string
  /** Milliseconds. */
  lost?: number
}

/** What must be typed: the database's name, after its environment's where that is given. */
export function confirmOf({
  target,
  environmentName,
}: Pick<RestoreOptions, 'target' | 'environmentName'>): string {
  return environmentName ? `${environmentName}/${target.database}` : target.database
}

/** Nothing begins without it. */
export function checkConfirm(
  options: Pick<RestoreOptions, 'target' | 'environmentName' | 'confirm' | 'dryRun'>,
): void {
  const wanted = confirmOf(options)
  if (options.dryRun || options.confirm === wanted) return
  const what = `the database is "${options.target.database}"${options.environmentName ? ` of "${options.environmentName}"` : ''}`
  throw new UserError(
    'confirm-mismatch',
    options.confirm
      ? `confirm is "${options.confirm}", and ${what}.`
      : `confirm is empty, and ${what}.`,
    `If you mean it: confirm: ${wanted}`,
  )
}
