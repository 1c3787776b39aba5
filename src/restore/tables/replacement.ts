import type { Connection } from '../../postgres/connection/connection.ts'
import type { SequenceValue } from '../../postgres/fingerprint/sequences.ts'
import type { Table } from '../../postgres/fingerprint/tables.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { CatalogTable } from '../../postgres/tables/partitions.ts'
import type { LiveTable } from '../../postgres/tables/live-tables.ts'
import type { Text } from '../../text.ts'
import type { RestoreOptions } from '../options.ts'
import type { RecreatePlan } from './recreate-plan.ts'
import type { TablesSideDatabase } from './side-database.ts'

/** What `replaceLive` needs. */
export interface ReplaceOptions {
  side: TablesSideDatabase
  live: Connection
  programs: { archive: Programs; server: Programs }
  contents: 'all' | 'schema' | 'data'
  withOwners: boolean
  /** The values of the backup's sequences. */
  sequences: Record<string, SequenceValue>
  encoding: string
  jobs: number
  /** How long to try to lock the tables, in milliseconds. */
  lockTimeout: number
  /**
   * Runs before anything is created in the live database, once it is known that every table can be
   * replaced.
   */
  beforeChanges: () => Promise<void>
  known?: RestoreOptions['known']
}

/** What `replaceLive` did. */
export interface Replaced {
  /** Tables that were re-created. */
  created: string[]
  /** Tables whose rows were replaced. */
  replaced: string[]
  /** Existing tables, with `contents: schema`. */
  untouched: string[]
  /** Names of the foreign keys that were checked. */
  keys: string[]
  warnings: Text[]
  /** How long the live tables were locked, in milliseconds. */
  locked: number
  /** When they were locked, by the server's clock, in milliseconds since 1970. */
  lockedAt: number
}

/** Which tables to replace, and which to re-create. */
export interface ReplacePlan {
  existing: LiveTable[]
  missing: ReadonlySet<CatalogTable>
  recreate: RecreatePlan
  /** The staging table of each of the backup's tables. */
  staged: Map<Table, string>
}
