import { availableParallelism } from 'node:os'
import type { Connection } from '../postgres/connection/connection.ts'
import type { BackupSelection } from '../repository/open.ts'

/** Which backup, and where to restore it: the same for `verify` and `test-migration`. */
export interface CopyOptions extends BackupSelection {
  /** An administrator's connection to a disposable server; undefined: a cluster of our own. */
  scratch?: Connection
  bindirs: string[]
  /** How much is done at once. Default: one a core, at most 8. */
  jobs?: number
}

export function jobsOf({ jobs }: Pick<CopyOptions, 'jobs'>): number {
  return jobs ?? Math.min(availableParallelism(), 8)
}
