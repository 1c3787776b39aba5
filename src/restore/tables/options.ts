import type { Connection } from '../../postgres/connection/connection.ts'
import type { SequenceValue } from '../../postgres/fingerprint/sequences.ts'
import type { Table } from '../../postgres/fingerprint/tables.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { PartTable } from '../../postgres/tables/partitions.ts'
import type { LiveTable } from '../../postgres/tables/replace.ts'
import type { Text } from '../../text.ts'
import type { RecreatePlan } from './recreate-plan.ts'
import type { PartSide } from './side-database.ts'

export interface ReplaceOptions {
  side: PartSide
  live: Connection
  programs: { archive: Programs; server: Programs }
  contents: 'all' | 'schema' | 'data'
  withOwners: boolean
  /** Where the backup's sequences stood. */
  sequences: Record<string, SequenceValue>
  encoding: string
  jobs: number
  /** How long to try for the locks, milliseconds. */
  lockPatience: number
  /**
   * Runs before anything is made in the live database, when it is known that all can go in its
   * place.
   */
  before: () => Promise<void>
}

export interface Replaced {
  /**
   * Tables that were made anew, those whose rows were replaced, and (with `contents: schema`) those
   * that were left alone.
   */
  created: string[]
  replaced: string[]
  untouched: string[]
  /** Foreign keys that were checked, by name. */
  keys: string[]
  warnings: Text[]
  /** Milliseconds that the live tables were locked. */
  locked: number
  /** When they were, by the server's clock: milliseconds since 1970. */
  lockedAt: number
}

/** What is replaced, what is made anew. */
export interface Task {
  there: LiveTable[]
  missing: ReadonlySet<PartTable>
  making: RecreatePlan
  /** Where the rows are, by the backup's table. */
  staged: Map<Table, string>
}
