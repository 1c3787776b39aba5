/**
 * Restores a backup inside the target, in one transaction, for servers where the user cannot create
 * databases.
 */
import { messageOf, UserError } from '../../errors.ts'
import {
  compareFingerprints,
  isOtherVersion,
  otherVersionText,
} from '../../load/compare-fingerprints.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import { printSchema } from '../../postgres/fingerprint/schema.ts'
import { withArchiveFolder } from '../../postgres/pg-restore/archive-folder.ts'
import { type Psql, PsqlError, startPsql } from '../../postgres/pg-restore/psql.ts'
import { listEntries } from '../../postgres/pg-restore/toc.ts'
import { findPrograms, type Programs } from '../../postgres/programs/find-programs.ts'
import { type DropPlan, planDrops } from '../../postgres/tables/empty-database.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { totalsOf } from '../../repository/manifest.ts'
import { baseOf, fetchArchive } from '../../repository/read.ts'
import { input, join, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { checkRestored } from '../errors.ts'
import {
  beginResult,
  commonSteps,
  finishRestore,
  orderedPlan,
  takeSafetyBackup,
} from '../live-target.ts'
import type { RestoreOptions } from '../options.ts'
import { lockTarget } from '../preconditions.ts'
import type { RestoredInPlace, RestoreResult } from '../result.ts'
import { describeTarget } from '../target-facts.ts'
import { applySessionSettings, compareInTransaction } from './compare.ts'
import { type BaseArchive, loadInTransaction } from './load.ts'
import { type InPlaceSteps, planInPlace } from './plan.ts'
import {
  countLocks,
  findInPlaceObstacles,
  lockTimeoutOf,
  toRollbackError,
} from './preconditions.ts'

/** A restore in place, while it runs. */
interface InPlaceContext {
  backup: FoundBackup
  options: RestoreOptions
  /** Connected to the target, outside the transaction. */
  session: Session
  connection: Connection
  programs: { archive: Programs; server: Programs }
  drops: DropPlan
  steps: InPlaceSteps
  result: RestoreResult
  inPlace: RestoredInPlace
}

/**
 * Restores inside the target itself. One transaction empties the target, restores the backup,
 * compares the target with the fingerprint, and only then commits. A failure before the commit
 * leaves the target unchanged. All tables of the target are locked meanwhile.
 */
export async function restoreInPlace(
  backup: FoundBackup,
  options: RestoreOptions,
  work: Work,
): Promise<RestoreResult> {
  const started = Date.now()
  const contents = checkOptions(options)
  options.known?.({ id: backup.manifest.id })
  const session = await connect(options.target, work)
  try {
    await lockTarget(session, options.target.database)
    const { context, obstacles, common } = await beginInPlace(
      { backup, options, session },
      contents,
      work,
    )
    const { result, programs, inPlace, drops } = context
    await withArchiveFolder(work, async (folder) => {
      const base = await fetchBase(context, folder, work)
      const counted = await countLocks(session, drops, base.entries, backup.manifest)
      inPlace.locks = counted.locks
      if (options.dryRun) {
        await addFacts(context, [...obstacles, ...counted.obstacles], work)
        return
      }
      if (counted.obstacles[0]) throw counted.obstacles[0]
      // As late as possible: rows written between its snapshot and the locks are in neither.
      await takeSafetyBackup(result, options, backup, common.safety, work)
      await restoreInTransaction(context, base, work)
    })
    if (!options.dryRun) {
      const { command } = common
      await finishRestore(result, options, { started, programs: programs.server, command }, work)
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

/** Throws `bad-input` for options that a restore in place does not have. Returns `contents`. */
function checkOptions({ contents = 'all', owner = 'keep' }: RestoreOptions): 'all' | 'schema' {
  if (contents === 'data')
    throw new UserError(
      'bad-input',
      text`${input('contents')} is "data", but ${input('mode', 'in-place')} re-creates everything.`,
      join(
        [
          text`To replace the rows of existing tables, name them in ${input('tables')} or`,
          text`${input('schemas')}, and set ${input('replace', true)} and ${input('contents', 'data')}.`,
        ],
        ' ',
      ),
    )
  if (typeof owner === 'object')
    throw new UserError(
      'bad-input',
      text`${input('owner')} maps roles, which does not work with ${input('mode', 'in-place')}.`,
      text`Set ${input('owner', 'keep')} or ${input('owner', 'drop')}.`,
    )
  return contents
}

async function findInPlacePrograms(
  { major }: Session,
  { manifest }: FoundBackup,
  { bindirs }: RestoreOptions,
  work: Work,
): Promise<InPlaceContext['programs']> {
  const { source } = manifest
  return {
    archive: await findPrograms(source.major, ['pg_restore', 'pg_dump'], bindirs, work),
    server: await findPrograms(major, ['pg_dump', 'psql'], bindirs, work),
  }
}

interface Begun {
  context: InPlaceContext
  /** On a dry run: what would prevent the restore. */
  obstacles: UserError[]
  common: ReturnType<typeof commonSteps>
}

/** Plans the restore, and changes nothing. Throws the first obstacle, unless it is a dry run. */
async function beginInPlace(
  { backup, options, session }: Pick<InPlaceContext, 'backup' | 'options' | 'session'>,
  contents: 'all' | 'schema',
  work: Work,
): Promise<Begun> {
  const { manifest } = backup
  const { owner = 'keep', target } = options
  const drops = await planDrops(session, manifest.fingerprint.supplement.extensions)
  const { obstacles, warnings } = await findInPlaceObstacles(session, backup, owner, drops)
  if (obstacles[0] && !options.dryRun) throw obstacles[0]
  const programs = await findInPlacePrograms(session, backup, options, work)
  const steps = planInPlace(backup, target.database, contents)
  const inPlace = emptyInPlace(backup, contents, drops)
  const safetyBackup = options.safetyBackup !== false
  const common = commonSteps(options, safetyBackup, target.database, manifest)
  const begun = beginResult(backup, options, session)
  const result: RestoreResult = {
    ...begun,
    ...totalsOf(manifest),
    ...(contents === 'schema' ? { rows: 0 } : {}),
    warnings: [...begun.warnings, ...warnings],
    plan: orderedPlan({ ...common, ...steps }),
    inPlace,
  }
  const connection = await withEventTriggersOff(session, target)
  const held = { backup, options, session, connection, programs }
  return { context: { ...held, drops, steps, result, inPlace }, obstacles, common }
}

/** The result of the restore in place, before anything has been restored. */
function emptyInPlace(
  { manifest }: FoundBackup,
  contents: 'all' | 'schema',
  drops: DropPlan,
): RestoredInPlace {
  return {
    contents,
    compared: manifest.fingerprint.kind,
    kept: drops.kept.filter((name) => name !== 'plpgsql'),
    locks: { needed: 0, capacity: 0 },
    differences: [],
    schemaCompared: false,
  }
}

/** For a dry run: adds what the target is and what prevents the restore. */
async function addFacts(
  { backup, options, session, programs, result }: InPlaceContext,
  obstacles: readonly UserError[],
  work: Work,
): Promise<void> {
  const { target, owner = 'keep' } = options
  const check = { session, target, exists: true, backup, owner }
  result.facts = await describeTarget(check, obstacles, programs.server, work)
}

/** Fetches the base archive, on a dry run too: its entries show how many locks are needed. */
async function fetchBase(
  { backup, options, programs }: InPlaceContext,
  folder: string,
  work: Work,
): Promise<BaseArchive> {
  const file = `${folder}/base.dump`
  await fetchArchive(backup, baseOf(backup), options.identities, file, work)
  return { folder, file, entries: await listEntries(programs.archive, file, work) }
}

async function restoreInTransaction(
  context: InPlaceContext,
  base: BaseArchive,
  work: Work,
): Promise<void> {
  const { options, session, connection, programs, drops, steps, result, inPlace } = context
  const started = Date.now()
  options.known?.({ progress: 'begun' })
  const psql = startPsql(programs.server, connection, session, work)
  try {
    await applySessionSettings(psql)
    await psql.run('BEGIN')
    await psql.run(`SET LOCAL lock_timeout = ${lockTimeoutOf(options)}`)
    work.log.info('Emptying the target, inside the transaction')
    await psql.run(drops.sql)
    steps.empty.done = true
    if (result.safetyBackup)
      inPlace.unsaved = await sinceSnapshot(session, result.safetyBackup.snapshotAt)
    await loadInTransaction({ ...context, contents: inPlace.contents }, psql, base, work)
    steps.load.done = true
    result.timings.restore = Date.now() - started
    await compareBeforeCommit(context, psql)
    work.signal.throwIfAborted()
    const committing = Date.now()
    options.known?.({ progress: 'changing' })
    await commit(psql)
    options.known?.({ progress: 'done' })
    result.timings.swap = Date.now() - committing
    steps.commit.done = true
    work.log.info('Committed: the target holds what the backup has')
    const slow = 'run it by hand; queries can be slow until then'
    await warnOnFailure('ANALYZE failed', slow, result, () => psql.run('ANALYZE'), work)
  } catch (error) {
    if ((error as { code?: string }).code !== 'commit-unknown') work.signal.throwIfAborted()
    throw error instanceof PsqlError ? await toRollbackError(error, session, options) : error
  } finally {
    await psql.stop()
  }
  await warnOnFailure(
    'The schema was not compared',
    'everything else was compared before the commit',
    result,
    () => compareSchema(context, work),
    work,
  )
}

/** Returns the milliseconds since a snapshot, by the server's clock, which also dated it. */
async function sinceSnapshot(session: Session, at: string): Promise<number> {
  const [row] = await session.query<{ ms: number }>(
    `SELECT (extract(
       epoch FROM pg_catalog.clock_timestamp() - $1::pg_catalog.timestamptz) * 1000)::float8 AS ms`,
    [at],
  )
  return Math.max(0, row?.ms ?? 0)
}

/** Throws `restored-differs` if the target differs from the fingerprint. */
async function compareBeforeCommit(
  { backup, steps, result, inPlace }: InPlaceContext,
  psql: Psql,
): Promise<void> {
  const started = Date.now()
  const differences = await compareInTransaction(psql, backup, inPlace.contents)
  result.warnings.push(...differences.filter(isOtherVersion).map(otherVersionText))
  checkRestored(
    'What was restored',
    differences.filter((difference) => !isOtherVersion(difference)),
    'Everything was rolled back: the target is unchanged.',
  )
  steps.compare.done = true
  result.timings.compare = Date.now() - started
}

/**
 * Commits. If the server refuses, the transaction is rolled back. If the server does not answer,
 * throws `commit-unknown`.
 */
async function commit(psql: Psql): Promise<void> {
  try {
    await psql.run('COMMIT')
  } catch (error) {
    if (error instanceof PsqlError && error.severity === 'ERROR') throw error
    throw new UserError(
      'commit-unknown',
      `The connection was lost during the commit (${messageOf(error)}): ` +
        'it is unknown whether the server committed.',
      'The target holds either all of the backup or all that it held before. ' +
        'Take a new backup of it and compare it with this one to find out.',
      { cause: error },
    )
  }
}

/** Runs a step after the commit. Its failure is a warning, because the restore is done. */
async function warnOnFailure(
  failure: string,
  advice: string,
  { warnings }: RestoreResult,
  run: () => Promise<void>,
  work: Work,
): Promise<void> {
  try {
    await run()
  } catch (error) {
    work.signal.throwIfAborted()
    warnings.push(`${failure} (${messageOf(error)}): ${advice}.`)
  }
}

/** After the commit: compares the schema, and warns about differences. */
async function compareSchema(
  { backup, options, connection, programs, result, inPlace }: InPlaceContext,
  work: Work,
): Promise<void> {
  const { source, fingerprint } = backup.manifest
  if (fingerprint.kind === 'none') return
  const { encoding } = source.locale
  const schema = await printSchema(programs.server, connection, { encoding }, work)
  const differences = compareFingerprints(
    fingerprint,
    { ...fingerprint, schema },
    programs.server.major === source.major,
    { owners: options.owner !== 'drop' },
  )
  inPlace.differences = differences.filter(({ kind }) => kind === 'schema')
  inPlace.schemaCompared = true
  const { length } = inPlace.differences
  if (length === 0) return
  const first = inPlace.differences
    .slice(0, 5)
    .map(({ object, expected, found }) => `${object} (expected ${expected}, found ${found})`)
  result.warnings.push(
    `The schema differs in ${length} ${length === 1 ? 'entry' : 'entries'}: ${first.join('; ')}.`,
  )
}
