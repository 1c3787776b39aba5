/**
 * Restores single tables: copies them into a new schema, or replaces the live ones. They are first
 * restored into a side database, and compared there.
 */
import { UserError } from '../../errors.ts'
import { jobsOf } from '../../load/options.ts'
import { type Connection, withDatabase } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import { withArchiveFolder } from '../../postgres/pg-restore/archive-folder.ts'
import { findPrograms, type Programs } from '../../postgres/programs/find-programs.ts'
import {
  connectToMaintenanceDatabase,
  dropHeldDatabase,
} from '../../postgres/server/maintenance-session.ts'
import { newOwnName } from '../../postgres/server/own-names.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { dataArchivesOf } from '../../repository/read.ts'
import { input, join, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { encodingDiffers } from '../errors.ts'
import {
  beginResult,
  commonSteps,
  finishRestore,
  orderedPlan,
  takeSafetyBackup,
} from '../live-target.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlanStep } from '../plan.ts'
import { lockTarget, versionObstacles } from '../preconditions.ts'
import type { RestoredTables, RestoreResult } from '../result.ts'
import { copyBeside, schemasFor } from './copy-beside.ts'
import { checkNamed } from './names.ts'
import { replaceLive } from './replace.ts'
import { planTables, type TableSteps, withCommonSteps } from './plan.ts'
import {
  buildTablesSideDatabase,
  createIndexes,
  type TablesSideDatabase,
  type TablesSideDatabaseOptions,
} from './side-database.ts'

const defaultLockTimeout = 120_000

/**
 * Restores tables of a backup into a live database, and changes nothing else: into a new schema, or
 * with `replace` in place of the live tables. They are first restored into a side database, and
 * compared with the fingerprint there.
 */
export async function restoreTables(
  backup: FoundBackup,
  options: RestoreOptions,
  work: Work,
): Promise<RestoreResult> {
  const started = Date.now()
  const { manifest } = backup
  const target = options.target.database
  const wanted = { tables: options.tables ?? [], schemas: options.schemas ?? [] }
  checkOwner(options)
  checkNamed(wanted, manifest)
  options.known?.({ id: manifest.id })
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    const [older] = versionObstacles(session, manifest.source)
    if (older) throw older
    await checkTarget(session, options, manifest.source.locale.encoding, work)
    const programs = await findTablePrograms(session, backup, options, work)
    const restoredTables = emptyRestoredTables(backup, options)
    const steps = planTables(backup, target, restoredTables)
    const safetyBackup = restoredTables.replace && options.safetyBackup !== false
    const common = commonSteps(options, safetyBackup, target, manifest)
    const result: RestoreResult = {
      ...beginResult(backup, options, session),
      plan: orderedPlan(withCommonSteps(steps, common)),
      restoredTables,
    }
    if (!options.dryRun) {
      const held = { backup, options, session, programs, wanted }
      const context = { ...held, steps, result, restoredTables }
      await withArchiveFolder(work, (folder) =>
        restoreWanted({ ...context, folder, safety: common.safety }, work),
      )
      const { command } = common
      await finishRestore(result, options, { started, programs: programs.server, command }, work)
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

function checkOwner({ owner = 'keep' }: RestoreOptions): void {
  if (typeof owner !== 'object') return
  throw new UserError(
    'bad-input',
    join(
      [
        text`${input('owner')} maps roles, which does not work with`,
        text`${input('tables')} or ${input('schemas')}.`,
      ],
      ' ',
    ),
    join(
      [
        text`Set ${input('owner', 'keep')} or ${input('owner', 'drop')}.`,
        'To give re-created tables to another role, run ALTER TABLE … OWNER TO afterwards.',
      ],
      ' ',
    ),
  )
}

interface TablePrograms {
  archive: Programs
  server: Programs
}

async function findTablePrograms(
  { major }: Session,
  { manifest }: FoundBackup,
  { bindirs }: RestoreOptions,
  work: Work,
): Promise<TablePrograms> {
  const { source } = manifest
  return {
    archive: await findPrograms(source.major, ['pg_restore', 'pg_dump'], bindirs, work),
    server: await findPrograms(major, ['pg_dump', 'pg_restore', 'psql'], bindirs, work),
  }
}

/** The result for the tables, before anything has been restored. */
function emptyRestoredTables({ manifest }: FoundBackup, options: RestoreOptions): RestoredTables {
  const { tables = [], schemas = [], contents = 'all', replace = false } = options
  return {
    wanted: [...tables, ...schemas.map((name) => `all of ${name}`)],
    asked: { tables, schemas },
    contents,
    replace,
    fingerprint: manifest.fingerprint.kind,
    tables: [],
    schemas: [],
    keys: [],
    leftOut: [],
    archives: { read: 0, all: dataArchivesOf(manifest).length + 1 },
    locked: 0,
  }
}

/** Throws unless the target exists, has the backup's encoding (hashes need it), and can be reached. */
async function checkTarget(
  session: Session,
  { target }: RestoreOptions,
  encoding: string,
  work: Work,
): Promise<void> {
  const [row] = await session.query<{ encoding: string }>(
    `SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding
     FROM pg_catalog.pg_database WHERE datname = $1`,
    [target.database],
  )
  if (!row)
    throw new UserError(
      'database-missing',
      `The server has no database "${target.database}" to restore tables into.`,
      text`To restore the whole database, leave out ${input('tables')} and ${input('schemas')}.`,
    )
  if (row.encoding !== encoding)
    throw encodingDiffers(
      target.database,
      { target: row.encoding, backup: encoding },
      text`Restore the whole database with ${input('mode', 'new')}, and move the rows by hand.`,
    )
  await (await connect(target, work)).end()
}

/** A restore of tables, while it runs. */
interface TablesContext {
  backup: FoundBackup
  options: RestoreOptions
  /** Connected to another database of the server. */
  session: Session
  programs: TablePrograms
  folder: string
  wanted: { tables: string[]; schemas: string[] }
  steps: TableSteps
  safety: PlanStep | undefined
  result: RestoreResult
  restoredTables: RestoredTables
}

/** Builds the side database, brings its tables into the target, and drops it. */
async function restoreWanted(context: TablesContext, work: Work): Promise<void> {
  const { backup, options, session, programs, folder, wanted, steps, result } = context
  const { restoredTables } = context
  const held = {
    kind: 'database',
    name: newOwnName('side'),
    input: 'target-url',
  } as const
  const building: TablesSideDatabaseOptions = {
    backup,
    identities: options.identities,
    session,
    programs,
    connection: await withEventTriggersOff(session, withDatabase(options.target, held.name)),
    wanted,
    rows: restoredTables.contents !== 'schema',
    jobs: jobsOf(options),
    folder,
  }
  const live = await withEventTriggersOff(session, options.target)
  options.known?.({ progress: 'begun' })
  work.hold(held)
  try {
    const from = Date.now()
    const side = await buildTablesSideDatabase(building, work)
    if (!restoredTables.replace) await createIndexes(building, side, work)
    result.timings.restore = Date.now() - from
    steps.build.done = true
    const bringing = Date.now()
    await (restoredTables.replace ? replaceTables : copyTables)(context, side, live, work)
    result.timings.swap = Date.now() - bringing - (result.timings.safety ?? 0)
    steps.bring.done = true
    result.bytes = side.bytes
    restoredTables.archives.read = side.archives
    result.tables = side.leaves.length
    result.rows = side.expected.reduce((sum, print) => sum + print.rows, 0)
  } finally {
    await dropHeldDatabase(session.connection, held, work)
  }
}

/** Returns a function that returns a table's number of rows, as a field of its result. */
function rowCounts({ expected }: TablesSideDatabase): (table: string) => { rows?: number } {
  const counts = new Map(expected.map(({ table, rows }) => [table, rows]))
  return (table) => {
    const rows = counts.get(table)
    return rows === undefined ? {} : { rows }
  }
}

async function replaceTables(
  { backup, options, programs, safety, result, restoredTables }: TablesContext,
  side: TablesSideDatabase,
  live: Connection,
  work: Work,
): Promise<void> {
  const { fingerprint, source } = backup.manifest
  const replaced = await replaceLive(
    {
      side,
      live,
      programs,
      contents: restoredTables.contents,
      withOwners: options.owner !== 'drop',
      sequences: Object.fromEntries(
        Object.entries(fingerprint.sequences).map(([name, { after }]) => [name, after]),
      ),
      encoding: source.locale.encoding,
      jobs: jobsOf(options),
      lockTimeout: options.lockTimeout ?? defaultLockTimeout,
      beforeChanges: () => takeSafetyBackup(result, options, backup, safety, work),
      ...(options.known ? { known: options.known } : {}),
    },
    work,
  )
  if (result.safetyBackup)
    restoredTables.unsaved = Math.max(
      0,
      replaced.lockedAt - Date.parse(result.safetyBackup.snapshotAt),
    )
  const count = rowCounts(side)
  for (const how of ['created', 'replaced', 'untouched'] as const)
    for (const table of replaced[how])
      restoredTables.tables.push({
        table,
        into: table,
        how,
        ...(how === 'untouched' ? {} : count(table)),
      })
  restoredTables.keys = replaced.keys
  restoredTables.locked = replaced.locked
  result.warnings.push(...replaced.warnings)
}

async function copyTables(
  { backup, options, programs, restoredTables }: TablesContext,
  side: TablesSideDatabase,
  live: Connection,
  work: Work,
): Promise<void> {
  const schemas = schemasFor(
    side.chosen.map(({ schema }) => schema),
    await schemasIn(live, work),
    new Date(),
  )
  const { encoding } = backup.manifest.source.locale
  const rows = restoredTables.contents !== 'schema'
  const jobs = jobsOf(options)
  await copyBeside(side, schemas, { live, programs, encoding, rows, jobs }, work)
  options.known?.({ progress: 'done' })
  const count = rowCounts(side)
  restoredTables.schemas = [...schemas.values()]
  restoredTables.tables = side.chosen.map((table) => ({
    table: tableName(table),
    into: tableName({ schema: schemas.get(table.schema) as string, name: table.name }),
    how: 'copied',
    ...count(tableName(table)),
  }))
  restoredTables.leftOut = [leftOutOfCopies]
}

const leftOutOfCopies = join(
  [
    'Foreign keys, triggers, rules, policies, extended statistics, publications, owners and',
    'grants: in a copy they would act on the live tables or block them.',
    text`The copies belong to the user of ${input('target-url')}; no other role has access.`,
  ],
  ' ',
)

async function schemasIn(live: Connection, work: Work): Promise<string[]> {
  const session = await connect(live, work)
  try {
    const rows = await session.query<{ name: string }>(
      'SELECT nspname AS name FROM pg_catalog.pg_namespace',
    )
    return rows.map(({ name }) => name)
  } finally {
    await session.end()
  }
}
