import { availableParallelism } from 'node:os'
import type { Connection } from '../postgres/connection/connection.ts'
import type { BackupSelection } from '../repository/find-readable.ts'

/** Which backup to restore, and where: the same for `verify` and `test-migration`. */
export interface CopyOptions extends BackupSelection {
  /** A superuser's connection to a disposable server; undefined starts a cluster of its own. */
  scratch?: Connection
  bindirs: string[]
  /** Number of parallel jobs. Default: the number of CPU cores, at most 8. */
  jobs?: number
}

/** The number of parallel jobs, with its default. */
export function jobsOf({ jobs }: Pick<CopyOptions, 'jobs'>): number {
  return jobs ?? Math.min(availableParallelism(), 8)
}
