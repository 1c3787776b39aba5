import type { UserError } from '../../errors.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import type { Session } from '../../postgres/connection/session.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { Text } from '../../text.ts'
import type { AllSteps, Steps } from '../plan.ts'
import type { ServerRequirements } from '../../load/requirements.ts'
import type { RestoreCheck } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import type { SafetyBackupSettings } from '../safety-backup.ts'
import type { TargetFacts } from '../target-facts.ts'
import type { SidePrograms } from './side-database.ts'

/** What a side database is restored from: a backup or an external dump. The swap is the same. */
export interface Source<R extends Restored = Restored> {
  noun: 'backup' | 'file'
  /**
   * When the restore began, in milliseconds since 1970. Finding and reading the source counts
   * towards its duration.
   */
  started: number
  needs: ServerRequirements
  /** How the target is backed up first. */
  safety: SafetyBackupSettings
  /** Names the source in the mark of the previous database. */
  by: string
  /** When the source was dumped (ISO 8601); undefined if unknown. */
  snapshotAt?: string
  programs(session: Session): Promise<SidePrograms>
  steps(target: string, previous: string | undefined): Steps
  /** Returns the result before anything has been restored. */
  result(mode: 'swap' | 'new', session: Session, steps: AllSteps): R
  /** Returns the facts for a dry run. */
  facts(
    check: RestoreCheck,
    obstacles: readonly UserError[],
    server: Programs,
  ): Promise<TargetFacts>
  /**
   * Creates and fills the side database. The caller has recorded it for cleanup, and drops it if
   * this throws.
   */
  build(place: Place, done: (step: 'create' | 'load' | 'compare') => void): Promise<Built>
}

/** Where the side database is created. */
export interface Place {
  /** Connected to another database of the server. */
  session: Session
  programs: SidePrograms
  /** To the side database, with event triggers off. */
  connection: Connection
}

/** What `build` returns. */
export interface Built {
  warnings: Text[]
  /** Milliseconds. */
  timings: { restore: number; compare: number }
  /** Set if the source does not say what it holds, so that it was counted. */
  counted?: { tables: number; rows: number; largeObjects: number }
}
