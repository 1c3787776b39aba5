import { randomBytes } from 'node:crypto'
import { UserError } from '../../errors.ts'
import { withFolder } from '../../load/load-backup.ts'
import { jobsOf } from '../../load/options.ts'
import { type Connection, withDatabase } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import { findPrograms, type Programs } from '../../postgres/programs/find-programs.ts'
import {
  connectToMaintenanceDatabase,
  dropHeldDatabase,
} from '../../postgres/server/maintenance-session.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { dataArchivesOf } from '../../repository/read.ts'
import type { Work } from '../../work.ts'
import {
  beginResult,
  finishRestore,
  orderedPlan,
  takeSafetyBackup,
  commonSteps,
} from '../live-target.ts'
import type { RestoreOptions } from '../options.ts'
import type { PlanStep } from '../plan.ts'
import { lockTarget } from '../preconditions.ts'
import type { RestoredTables, RestoreResult } from '../result.ts'
import { copyBeside, schemasFor } from './copy-beside.ts'
import { checkNamed } from './names.ts'
import { replaceLive } from './replace.ts'
import { buildPartSide, makeIndexes, type PartSideOptions } from './side-database.ts'

const defaultLockTimeout = 120_000

/**
 * Brings tables of a backup back into a live database, and touches nothing else: into a schema of
 * their own, or in the place of the live ones. They are first restored into a database beside the
 * target, and compared with the fingerprint there.
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
  const { replace = false, contents = 'all', owner = 'keep' } = options
  if (typeof owner === 'object')
    throw new UserError(
      'bad-input',
      'owner maps roles, and tables or schemas name a part.',
      'Write owner: keep or owner: drop; what is made anew can be given away afterwards by ALTER TABLE … OWNER TO.',
    )
  checkNamed(wanted, manifest)
  options.known?.({ id: manifest.id })
  const session = await connectToMaintenanceDatabase(options.target, target, work)
  try {
    await lockTarget(session, target)
    if (session.major < manifest.source.major)
      throw new UserError(
        'server-older',
        `The target server is PostgreSQL ${session.version}, older than the backup's ${manifest.source.server}.`,
        'A backup restores into its own major version or a newer one.',
      )
    await checkThere(session, options, manifest.source.locale.encoding, work)
    const programs = {
      archive: await findPrograms(
        manifest.source.major,
        ['pg_restore', 'pg_dump'],
        options.bindirs,
        work,
      ),
      server: await findPrograms(
        session.major,
        ['pg_dump', 'pg_restore', 'psql'],
        options.bindirs,
        work,
      ),
    }
    const names = [...wanted.tables, ...wanted.schemas.map((name) => `all of ${name}`)]
    const steps = planOfPart(backup, target, names, { replace, contents })
    const archives = { read: 0, all: dataArchivesOf(manifest).length + 1 }
    const asked = {
      wanted: names,
      asked: wanted,
      contents,
      replace,
      fingerprint: manifest.fingerprint.kind,
    }
    const part: RestoredTables = {
      ...asked,
      tables: [],
      schemas: [],
      keys: [],
      leftOut: [],
      archives,
      locked: 0,
    }
    const around = commonSteps(options, replace && options.safetyBackup !== false, target, manifest)
    const result: RestoreResult = {
      ...beginResult(backup, options, session),
      plan: orderedPlan(aroundBring(steps, around)),
      part,
    }
    if (!options.dryRun) {
      await withFolder(work, (folder) =>
        bringPart(
          {
            backup,
            options,
            session,
            programs,
            folder,
            wanted,
            steps,
            safety: around.safety,
            result,
            part,
          },
          work,
        ),
      )
      await finishRestore(
        result,
        options,
        { started, programs: programs.server, command: around.command },
        work,
      )
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

type PartSteps = Record<'build' | 'bring', PlanStep>

/**
 * The safety backup comes after the build, which touches nothing live, so that little is written
 * between it and the locks.
 */
function aroundBring(
  { build, bring }: PartSteps,
  { safety, command }: ReturnType<typeof commonSteps>,
): Record<string, PlanStep> {
  return { build, ...(safety ? { secure: safety } : {}), bring, ...(command ? { command } : {}) }
}

function planOfPart(
  { manifest }: FoundBackup,
  target: string,
  names: readonly string[],
  how: Pick<RestoredTables, 'replace' | 'contents'>,
): PartSteps {
  const { replace, contents } = how
  const what = names.join(', ')
  const { kind } = manifest.fingerprint
  const proof = {
    none: 'compare with what the archives held',
    counts: 'count rows as the fingerprint did',
    content: 'compare with the fingerprint',
  }[kind]
  const compared =
    contents === 'schema'
      ? 'without rows'
      : {
          none: 'with the rows of these tables (the backup has no fingerprint to compare them with)',
          counts: 'with the rows of these tables, and count them as the fingerprint did',
          content: 'with the rows of these tables, and compare them with the fingerprint',
        }[kind]
  const copied = `Copy them into a schema of their own in "${target}", in one transaction; nothing there is touched`
  const replaced =
    contents === 'schema'
      ? `Make those that "${target}" lacks, empty, in one transaction; those that are there are left alone`
      : `In one transaction in "${target}": lock the tables, put the rows in the place of theirs, ${contents === 'data' ? '' : 'make what is missing, '}check the foreign keys that are valid, ${proof}, commit`
  return {
    build: {
      step: `Restore ${what} of ${manifest.id} (as of ${manifest.snapshot.at}) into a database beside "${target}", ${compared}`,
      done: false,
    },
    bring: { step: replace ? replaced : copied, done: false },
  }
}

/** A part goes into a database that is there, and text is hashed by its bytes. */
async function checkThere(
  session: Session,
  { target }: RestoreOptions,
  encoding: string,
  work: Work,
): Promise<void> {
  const [row] = await session.query<{ encoding: string }>(
    'SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding FROM pg_catalog.pg_database WHERE datname = $1',
    [target.database],
  )
  if (!row)
    throw new UserError(
      'database-missing',
      `There is no database "${target.database}" on that server to put tables into.`,
      'Restore the whole database: leave tables and schemas out.',
    )
  if (row.encoding !== encoding)
    throw new UserError(
      'encoding-differs',
      `"${target.database}" has the encoding ${row.encoding}, and the backup ${encoding}.`,
      'Restore the whole database with mode: new, and move the rows by hand.',
    )
  await (await connect(target, work)).end()
}

interface Bringing {
  backup: FoundBackup
  options: RestoreOptions
  session: Session
  programs: { archive: Programs; server: Programs }
  folder: string
  wanted: { tables: string[]; schemas: string[] }
  steps: PartSteps
  safety: PlanStep | undefined
  result: RestoreResult
  part: RestoredTables
}

async function bringPart(
  { backup, options, session, programs, folder, wanted, steps, safety, result, part }: Bringing,
  work: Work,
): Promise<void> {
  const { replace, contents } = part
  const { encoding } = backup.manifest.source.locale
  const jobs = jobsOf(options)
  const rows = contents !== 'schema'
  const held = {
    kind: 'database',
    name: `holdfast_side_${randomBytes(6).toString('hex')}`,
    input: 'target-url',
  } as const
  const connection = await withEventTriggersOff(session, withDatabase(options.target, held.name))
  const live = await withEventTriggersOff(session, options.target)
  const building: PartSideOptions = {
    backup,
    identities: options.identities,
    session,
    programs,
    connection,
    wanted,
    rows,
    jobs,
    folder,
  }
  work.hold(held)
  try {
    const from = Date.now()
    const side = await buildPartSide(building, work)
    if (!replace) await makeIndexes(building, side, work)
    result.timings.restore = Date.now() - from
    steps.build.done = true
    const bringing = Date.now()
    const rowsOf = new Map(side.expected.map((print) => [print.table, print.rows]))
    const counted = (table: string): { rows?: number } =>
      rowsOf.has(table) ? { rows: rowsOf.get(table) as number } : {}
    if (replace) {
      const lockTimeout = options.lockTimeout ?? defaultLockTimeout
      const sequences = Object.fromEntries(
        Object.entries(backup.manifest.fingerprint.sequences).map(([name, { after }]) => [
          name,
          after,
        ]),
      )
      const before = (): Promise<void> => takeSafetyBackup(result, options, backup, safety, work)
      const replaced = await replaceLive(
        {
          side,
          live,
          programs,
          contents,
          withOwners: options.owner !== 'drop',
          encoding,
          jobs,
          lockPatience: lockTimeout,
          before,
          sequences,
        },
        work,
      )
      if (result.safetyBackup)
        part.unsaved = Math.max(0, replaced.lockedAt - Date.parse(result.safetyBackup.snapshotAt))
      for (const how of ['created', 'replaced', 'untouched'] as const)
        for (const table of replaced[how])
          part.tables.push({
            table,
            into: table,
            how,
            ...(how === 'untouched' ? {} : counted(table)),
          })
      part.keys = replaced.keys
      part.locked = replaced.locked
      result.warnings.push(...replaced.warnings)
    } else {
      const schemas = schemasFor(
        side.chosen.map(({ schema }) => schema),
        await schemasIn(live, work),
        new Date(),
      )
      await copyBeside(side, schemas, { live, programs, encoding, rows, jobs }, work)
      part.schemas = [...schemas.values()]
      part.tables = side.chosen.map((table) => ({
        table: tableName(table),
        into: tableName({ schema: schemas.get(table.schema) as string, name: table.name }),
        how: 'copied',
        ...counted(tableName(table)),
      }))
      part.leftOut = [
        'Foreign keys, triggers, rules, policies, extended statistics, publications, owners and grants: in a copy they would act on the live tables, or stand in their way. The copies belong to the user of target-url, and nobody else may use them.',
      ]
    }
    result.timings.swap = Date.now() - bringing - (result.timings.safety ?? 0)
    steps.bring.done = true
    result.bytes = side.bytes
    part.archives.read = side.archives
    result.tables = side.leaves.length
    result.rows = side.expected.reduce((sum, print) => sum + print.rows, 0)
  } finally {
    await dropHeldDatabase(session.connection, held, work)
  }
}

async function schemasIn(live: Connection, work: Work): Promise<string[]> {
  const session = await connect(live, work)
  try {
    return (
      await session.query<{ name: string }>('SELECT nspname AS name FROM pg_catalog.pg_namespace')
    ).map(({ name }) => name)
  } finally {
    await session.end()
  }
}
