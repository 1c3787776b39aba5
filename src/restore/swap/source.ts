import type { UserError } from '../../errors.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import type { Session } from '../../postgres/connection/session.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { Text } from '../../text.ts'
import type { AllSteps, Steps } from '../plan.ts'
import type { RestoreCheck, ServerRequirements } from '../preconditions.ts'
import type { Restored } from '../result.ts'
import type { SafetyLike } from '../safety-backup.ts'
import type { TargetFacts } from '../target-facts.ts'
import type { SidePrograms } from './side-database.ts'

/**
 * Where a new database beside the target gets what is in it: a backup, or a file that another tool
 * made. How it takes its place is the same.
 */
export interface Source<R extends Restored = Restored> {
  noun: 'backup' | 'file'
  /**
   * When the step began, milliseconds: finding it and reading it to its end are part of how long a
   * restore takes.
   */
  started: number
  needs: ServerRequirements
  /** How the target is backed up before. */
  safety: SafetyLike
  /** For the mark of what is replaced. */
  by: string
  /** Undefined when nothing tells, and so not how much is lost either. */
  snapshotAt?: string
  programs(session: Session): Promise<SidePrograms>
  steps(target: string, previous: string | undefined): Steps
  /** A result to which nothing has happened yet. */
  result(mode: 'swap' | 'new', session: Session, steps: AllSteps): R
  /** For a dry run. */
  facts(
    guarded: RestoreCheck,
    obstacles: readonly UserError[],
    server: Programs,
  ): Promise<TargetFacts>
  /**
   * Makes the database and fills it. Who calls has noted it as held, and drops it when this throws.
   */
  build(place: Place, done: (step: 'create' | 'load' | 'compare') => void): Promise<Built>
}

/** Where it is built. */
export interface Place {
  /** On another database of the server. */
  session: Session
  programs: SidePrograms
  /** To the database that is to be made: quietly. */
  connection: Connection
}

export interface Built {
  warnings: Text[]
  /** Milliseconds. */
  timings: { restore: number; compare: number }
  /** Where only the restored database itself tells. */
  counted?: { tables: number; rows: number; largeObjects: number }
}
