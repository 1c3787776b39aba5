import { jobsOf } from '../../load/options.ts'
import { findPrograms } from '../../postgres/programs/find-programs.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import type { Work } from '../../work.ts'
import type { RestoreOptions } from '../options.ts'
import { planSteps } from '../plan.ts'
import { emptyResult, type RestoreResult } from '../result.ts'
import { describeTarget } from '../target-facts.ts'
import { buildSideDatabase } from './side-database.ts'
import type { Source } from './source.ts'

/** Returns a backup as the source of a side database. `started` is a time stamp in milliseconds. */
export function backupSource(
  backup: FoundBackup,
  started: number,
  options: RestoreOptions,
  work: Work,
): Source<RestoreResult> {
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
    programs: async ({ major }) => ({
      archive: await findPrograms(manifest.source.major, ['pg_restore', 'pg_dump'], bindirs, work),
      server: await findPrograms(major, ['pg_dump'], bindirs, work),
    }),
    steps: (target, previous) => planSteps(backup, target, previous, contents),
    result: (mode, session, steps) => emptyResult(mode, options, backup, session, steps),
    facts: (check, obstacles, server) =>
      describeTarget({ ...check, backup }, obstacles, server, work),
    build: (place, done) =>
      buildSideDatabase(
        { ...place, backup, identities, jobs: jobsOf(options), owner, rows: contents !== 'schema' },
        done,
        work,
      ),
  }
}
