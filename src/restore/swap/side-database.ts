import { UserError } from '../../errors.ts'
import type { Programs } from '../../postgres/programs/find-programs.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { createDatabase } from '../../postgres/server/database.ts'
import type { OwnerChoice } from '../../postgres/pg-restore/owners.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import type { Text } from '../../text.ts'
import type { Work } from '../../work.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { compareFingerprints, isOtherVersion, otherVersionText } from '../../load/compare.ts'
import { measure } from '../../load/measure.ts'
import { restoreInto } from '../../load/load-backup.ts'

/** PostgreSQL's programs: those that restore, and those of the server's own major. */
export interface SidePrograms {
  archive: Programs
  server: Programs
}

/** A database to be made beside the target, on its server, and what goes into it. */
export interface Side {
  backup: FoundBackup
  identities: readonly string[]
  /** On another database of the server. */
  session: Session
  programs: SidePrograms
  /** To the side database: quietly. */
  connection: Connection
  jobs: number
  owner: OwnerChoice
  /** False: definitions alone, and these are compared. */
  rows: boolean
}

/**
 * Makes the side database, restores the backup into it, compares it with the fingerprint (any
 * difference throws `restored-differs`), and ANALYZEs it. Who calls has noted the database as held,
 * and drops it when this throws. Gives warnings, and how long it took (milliseconds).
 */
export async function buildSide(
  side: Side,
  done: (step: 'create' | 'load' | 'compare') => void,
  work: Work,
): Promise<{ warnings: Text[]; timings: { restore: number; compare: number } }> {
  const { backup, session, programs, connection, jobs, owner, rows } = side
  const { manifest } = backup
  const warnings: Text[] = []
  let from = Date.now()
  const { keep: tablespaces, lost } = await tablespacesOf(backup, session)
  if (lost) warnings.push(lost)
  await createDatabase(session, connection.database, manifest.source.locale)
  done('create')
  warnings.push(
    ...(await restoreInto(
      backup,
      side.identities,
      programs.archive,
      connection,
      { tablespaces, jobs, owner, rows },
      work,
    )),
  )
  const timings = { restore: Date.now() - from, compare: 0 }
  done('load')
  if (typeof owner === 'object' && manifest.fingerprint.largeObjects?.count)
    warnings.push(
      `Large objects belong to "${connection.user}", without grants: the roles that owner names are given all else.`,
    )
  from = Date.now()
  const found = await measure({ connection, programs }, manifest, work, jobs)
  const all = compareFingerprints(
    manifest.fingerprint,
    found,
    programs.server.major === manifest.source.major,
    { owners: owner === 'keep' },
  )
  const others = all.filter(isOtherVersion)
  warnings.push(...others.map(otherVersionText))
  const promised = all.filter((one) => !others.includes(one))
  const differences = rows
    ? promised
    : promised.filter(({ kind }) => kind === 'schema' || kind === 'extension' || kind === 'index')
  timings.compare = Date.now() - from
  const [first] = differences
  if (first)
    throw new UserError(
      'restored-differs',
      `What was restored is not what the backup's fingerprint says (${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}; the first: ${first.object}: expected ${first.expected}, found ${first.found}). Nothing was replaced.`,
      'Verify the backup to see all differences, or restore another one.',
    )
  done('compare')
  await analyze(connection, work)
  return { warnings, timings }
}

export async function analyze(connection: Connection, work: Work): Promise<void> {
  const inside = await connect(connection, work)
  try {
    await inside.query('ANALYZE')
  } finally {
    await inside.end() // no session of ours may stand in the way of a rename
  }
}

/**
 * Whether tables can go back into the tablespaces they were in: only if the server has all of them.
 */
async function tablespacesOf(
  backup: FoundBackup,
  session: Session,
): Promise<{ keep: boolean; lost?: string }> {
  const names = backup.manifest.source.tablespaces ?? []
  if (names.length === 0) return { keep: false }
  const rows = await session.query<{ name: string }>(
    'SELECT spcname AS name FROM pg_catalog.pg_tablespace WHERE spcname = ANY ($1)',
    [names],
  )
  if (rows.length === names.length) return { keep: true }
  return {
    keep: false,
    lost: `Everything is in the default tablespace: the server does not have all of ${names.join(', ')}.`,
  }
}
