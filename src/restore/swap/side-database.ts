import {
  compareFingerprints,
  isOtherVersion,
  otherVersionText,
} from '../../load/compare-fingerprints.ts'
import { loadBackup } from '../../load/load-backup.ts'
import { measure } from '../../load/measure.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import type { OwnerRule } from '../../postgres/pg-restore/owners.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import { createDatabase } from '../../postgres/server/database.ts'
import type { Difference } from '../../repository/level.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { input, join, type Text, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { checkRestored } from '../errors.ts'

/** PostgreSQL's programs: of the archive's major version, and of the server's. */
export interface SidePrograms {
  archive: Programs
  server: Programs
}

/** A side database to create on the target's server, and what to restore into it. */
export interface SideDatabaseOptions {
  backup: FoundBackup
  identities: readonly string[]
  /** Connected to another database of the server. */
  session: Session
  programs: SidePrograms
  /** To the side database, with event triggers off. */
  connection: Connection
  jobs: number
  owner: OwnerRule
  /** False: restore and compare definitions only. */
  rows: boolean
}

/**
 * Creates the side database, restores the backup into it, compares it with the fingerprint, and
 * runs ANALYZE. Throws `restored-differs` for any difference. The caller has recorded the database
 * for cleanup, and drops it if this throws. Calls `done` after each step. Returns warnings, and the
 * durations in milliseconds.
 */
export async function buildSideDatabase(
  options: SideDatabaseOptions,
  done: (step: 'create' | 'load' | 'compare') => void,
  work: Work,
): Promise<{ warnings: Text[]; timings: { restore: number; compare: number } }> {
  const { backup, session, programs, connection, jobs, owner, rows } = options
  const { manifest } = backup
  const warnings: Text[] = []
  let from = Date.now()
  const tablespaces = await checkTablespaces(backup, session)
  if (tablespaces.warning !== undefined) warnings.push(tablespaces.warning)
  await createDatabase(session, connection.database, manifest.source.locale)
  done('create')
  warnings.push(
    ...(await loadBackup(
      backup,
      options.identities,
      programs.archive,
      connection,
      { tablespaces: tablespaces.keep, jobs, owner, rows },
      work,
    )),
  )
  const timings = { restore: Date.now() - from, compare: 0 }
  done('load')
  if (typeof owner === 'object' && manifest.fingerprint.largeObjects?.count)
    warnings.push(
      join(
        [
          `Large objects belong to "${connection.user}" and have no grants;`,
          text`${input('owner')} applies to everything else.`,
        ],
        ' ',
      ),
    )
  from = Date.now()
  warnings.push(...(await compareWithFingerprint(options, work)))
  timings.compare = Date.now() - from
  done('compare')
  await analyze(connection, work)
  return { warnings, timings }
}

/** Returns warnings about extensions; throws `restored-differs` for every other difference. */
async function compareWithFingerprint(
  { backup, programs, connection, jobs, owner, rows }: SideDatabaseOptions,
  work: Work,
): Promise<string[]> {
  const { manifest } = backup
  const differences = compareFingerprints(
    manifest.fingerprint,
    await measure({ connection, programs }, manifest, work, jobs),
    programs.server.major === manifest.source.major,
    { owners: owner === 'keep' },
  )
  const isDefinition = ({ kind }: Difference): boolean =>
    kind === 'schema' || kind === 'extension' || kind === 'index'
  checkRestored(
    'The restored database',
    differences.filter(
      (difference) => !isOtherVersion(difference) && (rows || isDefinition(difference)),
    ),
    'Nothing was replaced.',
  )
  return differences.filter(isOtherVersion).map(otherVersionText)
}

/** Runs ANALYZE in a session of its own, and closes it: an open session would block a rename. */
export async function analyze(connection: Connection, work: Work): Promise<void> {
  const session = await connect(connection, work)
  try {
    await session.query('ANALYZE')
  } finally {
    await session.end()
  }
}

/** Tables keep their tablespaces only if the server has all of them. */
async function checkTablespaces(
  backup: FoundBackup,
  session: Session,
): Promise<{ keep: boolean; warning?: string }> {
  const names = backup.manifest.source.tablespaces ?? []
  if (names.length === 0) return { keep: false }
  const rows = await session.query<{ name: string }>(
    'SELECT spcname AS name FROM pg_catalog.pg_tablespace WHERE spcname = ANY ($1)',
    [names],
  )
  if (rows.length === names.length) return { keep: true }
  return {
    keep: false,
    warning:
      'Everything is in the default tablespace: the server does not have all of ' +
      `${names.join(', ')}.`,
  }
}
