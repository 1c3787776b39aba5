import type { UserError } from '../../errors.ts'
import { findPrograms, type Programs } from '../../postgres/programs/find-programs.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import type { Session } from '../../postgres/connection/session.ts'
import type { Work } from '../../work.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { jobsOf } from '../../load/measure.ts'
import { totalsOf } from '../../repository/manifest.ts'
import type { Restored, RestoreOptions, RestoreResult } from '../restore.ts'
import { type AllSteps, emptyRestored } from './build-and-rename.ts'
import type { Guarded, Needing } from '../preconditions.ts'
import { planOf, type Steps } from '../plan.ts'
import { buildSide, type SidePrograms } from './side-database.ts'
import { describeTarget, type TargetFacts } from '../target-facts.ts'
import type { SafetyLike } from '../safety-backup.ts'

/** Where a new database beside the target gets what is in it: a backup, or a file that another tool made. How it takes its place is the same. */
export interface Source<R extends Restored = Restored> {
  noun: 'backup' | 'file'
  /** When the step began, milliseconds: finding it and reading it to its end are part of how long a restore takes. */
  started: number
  needs: Needing
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
  facts(guarded: Guarded, obstacles: readonly UserError[], server: Programs): Promise<TargetFacts>
  /** Makes the database and fills it. Who calls has noted it as held, and drops it when this throws. */
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
  warnings: string[]
  /** Milliseconds. */
  timings: { restore: number; compare: number }
  /** Where only the restored database itself tells. */
  counted?: { tables: number; rows: number; largeObjects: number }
}

export function fromBackup(backup: FoundBackup, started: number, options: RestoreOptions, work: Work): Source<RestoreResult> {
  const { manifest } = backup
  const { bindirs, identities, contents, owner = 'keep' } = options
  options.known?.({ id: manifest.id })
  return {
    noun: 'backup',
    started,
    needs: backup,
    safety: { label: manifest.label, encryption: manifest.encryption },
    by: `backup ${manifest.id}`,
    snapshotAt: manifest.snapshot.at,
    programs: async ({ major }) => ({ archive: await findPrograms(manifest.source.major, ['pg_restore', 'pg_dump'], bindirs, work), server: await findPrograms(major, ['pg_dump'], bindirs, work) }),
    steps: (target, previous) => planOf(backup, target, previous, contents),
    result: (mode, session, steps) => emptyResult(mode, options, backup, session, steps),
    facts: (guarded, obstacles, server) => describeTarget({ ...guarded, backup }, obstacles, server, work),
    build: (place, done) => buildSide({ ...place, backup, identities, jobs: jobsOf(options), owner, rows: contents !== 'schema' }, done, work),
  }
}

/** A result of restoring a backup to which nothing has happened yet. */
export function emptyResult(mode: RestoreResult['mode'], options: RestoreOptions, { manifest, location }: FoundBackup, session: Session, steps: Partial<AllSteps>): RestoreResult {
  const { source, label } = manifest
  const target = options.target.database
  const other = mode !== 'new' && source.database !== target
  return {
    task: 'restore',
    mode,
    id: manifest.id,
    label,
    location,
    snapshotAt: manifest.snapshot.at,
    age: Date.now() - Date.parse(manifest.snapshot.at),
    ...emptyRestored(options, steps),
    server: { backup: source.server, target: session.version },
    ...totalsOf(manifest),
    ...(options.contents === 'schema' ? { rows: 0, definitionsOnly: true } : {}),
    warnings: other ? [`This is a backup of the database "${source.database}" (label ${label}), and it goes in the place of "${target}".`] : [],
  }
}
