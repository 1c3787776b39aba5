import type { Readable } from 'node:stream'
import { messageOf, UserError } from '../../errors.ts'
import { compareFingerprints, isOtherVersion, otherVersionText } from '../../load/compare.ts'
import { withFolder } from '../../load/load-backup.ts'
import type { Connection } from '../../postgres/connection/connection.ts'
import { withEventTriggersOff } from '../../postgres/connection/session-options.ts'
import { connect, type Session } from '../../postgres/connection/session.ts'
import type { Depth } from '../../postgres/fingerprint/fingerprint.ts'
import { printSchema } from '../../postgres/fingerprint/schema.ts'
import { type Psql, PsqlError, startPsql } from '../../postgres/pg-restore/psql.ts'
import { restoreAsScript, type ScriptOptions } from '../../postgres/pg-restore/to-script.ts'
import {
  type ArchiveEntry,
  type TableOfContents,
  listEntries,
  readTableOfContents,
} from '../../postgres/pg-restore/toc.ts'
import { findPrograms, type Programs } from '../../postgres/programs/find-programs.ts'
import { type DropPlan, planDrops } from '../../postgres/tables/empty-database.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { totalsOf } from '../../repository/manifest.ts'
import { dataArchivesOf, fetchArchive, baseOf, withArchive } from '../../repository/read.ts'
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
import type { RestoredInPlace, RestoreResult } from '../result.ts'
import { describeTarget } from '../target-facts.ts'
import { compareInside, pin } from './compare.ts'
import { countLocks, findInPlaceObstacles, lockTimeoutOf, whyRolledBack } from './preconditions.ts'

type Steps = Record<'empty' | 'load' | 'compare' | 'commit', PlanStep>

interface InPlace {
  backup: FoundBackup
  options: RestoreOptions
  /** On the target, beside the transaction. */
  session: Session
  connection: Connection
  programs: { archive: Programs; server: Programs }
  emptying: DropPlan
  steps: Steps
  result: RestoreResult
  inPlace: RestoredInPlace
}

/** The base archive, as a file, and its entries. */
interface Fetched {
  folder: string
  base: string
  entries: ArchiveEntry[]
}

/**
 * Restores inside the target itself, for platforms that cannot create databases: one transaction
 * empties it, fills it, compares it with the fingerprint, and only then commits. Whatever fails or
 * is killed before leaves the target as it was. All its tables are locked meanwhile.
 */
export async function restoreInPlace(
  backup: FoundBackup,
  options: RestoreOptions,
  work: Work,
): Promise<RestoreResult> {
  const started = Date.now()
  const { manifest } = backup
  const { contents = 'all', owner = 'keep' } = options
  if (contents === 'data')
    throw new UserError(
      'bad-input',
      'contents is "data", and mode: in-place makes everything anew.',
      'To put back rows into tables that are there, name them with tables or schemas, and write replace: true and contents: data.',
    )
  if (typeof owner === 'object')
    throw new UserError(
      'bad-input',
      'owner maps roles, and mode is "in-place".',
      'Write owner: keep or owner: drop.',
    )
  options.known?.({ id: manifest.id })
  const target = options.target.database
  const session = await connect(options.target, work)
  try {
    await lockTarget(session, target)
    const emptying = await planDrops(session, manifest.fingerprint.supplement.extensions)
    const { obstacles, warnings } = await findInPlaceObstacles(session, backup, owner, emptying)
    if (obstacles[0] && !options.dryRun) throw obstacles[0]
    const programs = {
      archive: await findPrograms(
        manifest.source.major,
        ['pg_restore', 'pg_dump'],
        options.bindirs,
        work,
      ),
      server: await findPrograms(session.major, ['pg_dump', 'psql'], options.bindirs, work),
    }
    const steps = planOfInPlace(backup, target, contents)
    const inPlace: RestoredInPlace = {
      contents,
      compared: manifest.fingerprint.kind,
      kept: emptying.kept.filter((name) => name !== 'plpgsql'),
      locks: { needed: 0, capacity: 0 },
      differences: [],
      schemaCompared: false,
    }
    const around = commonSteps(options, options.safetyBackup !== false, target, manifest)
    const begun = beginResult(backup, options, session)
    const result: RestoreResult = {
      ...begun,
      ...totalsOf(manifest),
      ...(contents === 'schema' ? { rows: 0 } : {}),
      warnings: [...begun.warnings, ...warnings],
      plan: orderedPlan({ ...around, ...steps }),
      inPlace,
    }
    const connection = await withEventTriggersOff(session, options.target)
    const task: InPlace = {
      backup,
      options,
      session,
      connection,
      programs,
      emptying,
      steps,
      result,
      inPlace,
    }
    await withFolder(work, async (folder) => {
      const fetched = await fetchBase(task, folder, work)
      const counted = await countLocks(session, emptying, fetched.entries, manifest)
      inPlace.locks = counted.locks
      if (options.dryRun) {
        const guarded = { session, target: options.target, exists: true, backup, owner }
        result.facts = await describeTarget(
          guarded,
          [...obstacles, ...counted.obstacles],
          programs.server,
          work,
        )
        return
      }
      if (counted.obstacles[0]) throw counted.obstacles[0]
      // as late as can be: what is written between its snapshot and the locks is in neither
      await takeSafetyBackup(result, options, backup, around.safety, work)
      await inOneTransaction(task, fetched, work)
    })
    if (!options.dryRun)
      await finishRestore(
        result,
        options,
        { started, programs: programs.server, command: around.command },
        work,
      )
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

/** Before anything is done, on a dry run too: the locks are counted by what is in it. */
async function fetchBase(
  { backup, options, programs }: InPlace,
  folder: string,
  work: Work,
): Promise<Fetched> {
  const base = `${folder}/base.dump`
  await fetchArchive(backup, baseOf(backup), options.identities, base, work)
  return { folder, base, entries: await listEntries(programs.archive, base, work) }
}

const comparable: Record<Depth, string> = {
  content: 'rows, content, sequences and large objects',
  counts:
    'rows, sequences and how many large objects there are (content was not measured: fingerprint: counts)',
  none: 'sequences and extensions (nothing else was measured: fingerprint: none)',
}

function planOfInPlace({ manifest }: FoundBackup, target: string, contents: string): Steps {
  const { kind } = manifest.fingerprint
  const step = (text: string): PlanStep => ({ step: text, done: false })
  return {
    empty: step(
      `Begin one transaction in "${target}", and drop all that is in it (sessions that use it are waited for)`,
    ),
    load: step(
      `Restore ${manifest.id} of "${manifest.source.database}" (as of ${manifest.snapshot.at}) in its place${contents === 'schema' ? ', definitions only' : ''}`,
    ),
    compare: step(
      contents === 'schema'
        ? 'See that every table is there'
        : `Compare ${comparable[kind]} with the fingerprint, in the same transaction`,
    ),
    commit: step(
      kind === 'none' ? 'Commit, and ANALYZE' : 'Commit, ANALYZE, and compare the schema',
    ),
  }
}

async function inOneTransaction(task: InPlace, fetched: Fetched, work: Work): Promise<void> {
  const { backup, options, session, connection, programs, emptying, steps, result, inPlace } = task
  const started = Date.now()
  const psql = startPsql(programs.server, connection, session, work)
  try {
    await pin(psql)
    await psql.run('BEGIN')
    await psql.run(`SET LOCAL lock_timeout = ${lockTimeoutOf(options)}`)
    work.log.info('Emptying the target, inside the transaction')
    await psql.run(emptying.sql)
    steps.empty.done = true
    if (result.safetyBackup)
      inPlace.unsaved = await sinceSnapshot(session, result.safetyBackup.snapshotAt)
    await load(task, psql, fetched, work)
    steps.load.done = true
    result.timings.restore = Date.now() - started
    const comparing = Date.now()
    const all = await compareInside(psql, backup, inPlace.contents)
    result.warnings.push(...all.filter(isOtherVersion).map(otherVersionText))
    const [first] = all.filter((one) => !isOtherVersion(one))
    if (first)
      throw new UserError(
        'restored-differs',
        `What was restored is not what the backup's fingerprint says (${first.object}: expected ${first.expected}, found ${first.found}). All was rolled back: the target is as it was.`,
        'Verify the backup to see all differences, or restore another one.',
      )
    steps.compare.done = true
    result.timings.compare = Date.now() - comparing
    work.signal.throwIfAborted()
    const committing = Date.now()
    await commit(psql)
    result.timings.swap = Date.now() - committing
    steps.commit.done = true
    work.log.info('Committed: the target holds what the backup has')
    await afterwards(
      'ANALYZE failed',
      'run it by hand, or queries are slow until autovacuum has',
      result,
      () => psql.run('ANALYZE'),
      work,
    )
  } catch (error) {
    if ((error as { code?: string }).code !== 'commit-unknown') work.signal.throwIfAborted()
    throw error instanceof PsqlError ? await whyRolledBack(error, session, options) : error
  } finally {
    await psql.stop()
  }
  await afterwards(
    'The schema was not compared',
    'the rest was, before the commit',
    result,
    () => compareSchema(task, work),
    work,
  )
}

/** Milliseconds from a snapshot until now, by the server's clock, which told when that was. */
async function sinceSnapshot(session: Session, at: string): Promise<number> {
  const [row] = await session.query<{ ms: number }>(
    'SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - $1::pg_catalog.timestamptz) * 1000)::float8 AS ms',
    [at],
  )
  return Math.max(0, row?.ms ?? 0)
}

/**
 * What the server refuses here is rolled back like anything before; only where it could not answer,
 * nobody knows.
 */
async function commit(psql: Psql): Promise<void> {
  try {
    await psql.run('COMMIT')
  } catch (error) {
    if (error instanceof PsqlError && error.severity === 'ERROR') throw error
    throw new UserError(
      'commit-unknown',
      `The connection was lost while the server committed (${messageOf(error)}): it may have, or not.`,
      'Look at the target: it holds either all of the backup, or all that it held before. Compare it by verifying a new backup of it.',
      { cause: error },
    )
  }
}

/** After the commit nothing can make the restore undone: what fails is told beside it. */
async function afterwards(
  what: string,
  then: string,
  { warnings }: RestoreResult,
  run: () => Promise<void>,
  work: Work,
): Promise<void> {
  try {
    await run()
  } catch (error) {
    work.signal.throwIfAborted()
    warnings.push(`${what} (${messageOf(error)}): ${then}.`)
  }
}

async function compareSchema(
  { backup, options, connection, programs, result, inPlace }: InPlace,
  work: Work,
): Promise<void> {
  const { source, fingerprint } = backup.manifest
  if (fingerprint.kind === 'none') return
  const schema = await printSchema(
    programs.server,
    connection,
    { encoding: source.locale.encoding },
    work,
  )
  const differences = compareFingerprints(
    fingerprint,
    { ...fingerprint, schema },
    programs.server.major === source.major,
    { owners: options.owner !== 'drop' },
  )
  inPlace.differences = differences.filter(({ kind }) => kind === 'schema')
  inPlace.schemaCompared = true
  const { length } = inPlace.differences
  if (length)
    result.warnings.push(
      `The schema is not the same in ${length} ${length === 1 ? 'entry' : 'entries'}: ${inPlace.differences
        .slice(0, 5)
        .map(({ object, expected, found }) => `${object} (expected ${expected}, found ${found})`)
        .join('; ')}.`,
    )
}

async function load(
  task: InPlace,
  psql: Psql,
  { folder, base, entries }: Fetched,
  work: Work,
): Promise<void> {
  const { backup, options, programs, connection, emptying, inPlace } = task
  const contents: TableOfContents = await readTableOfContents(programs.archive, base, work)
  const owners = options.owner !== 'drop'
  const how = { folder, owners, connection }
  const text = (
    archive: string | Readable,
    own: Work,
    given: Pick<ScriptOptions, 'only' | 'largeObjects'>,
  ): Promise<void> => restoreAsScript(programs.archive, psql, archive, { ...how, ...given }, own)
  const some = (only: readonly number[], largeObjects = false): Promise<void> =>
    text(base, work, { only, largeObjects })
  const stays = new Set(
    entries.filter(({ kind, named }) => staysAsItIs(kind, named, emptying)).map(({ id }) => id),
  )
  work.log.info('Restoring types, tables and functions')
  await some(contents.preData.filter((id) => !stays.has(id)))
  const rows = inPlace.contents === 'all'
  if (rows) {
    work.log.info('Restoring rows')
    await some(contents.rows)
    for (const archive of dataArchivesOf(backup.manifest))
      await withArchive(
        backup,
        archive,
        options.identities,
        (stream) => text(stream, work, { largeObjects: archive.kind === 'large-objects' }),
        work,
      )
    const blobs = new Set(entries.filter(({ kind }) => kind === 'BLOBS').map(({ id }) => id))
    await some(contents.otherData.filter((id) => !blobs.has(id)))
    await some(
      contents.otherData.filter((id) => blobs.has(id)),
      true,
    )
  }
  work.log.info('Restoring indexes, constraints and grants')
  await some(contents.postData.filter((id) => !stays.has(id)))
  // event triggers are among them; with owner: drop, pg_restore leaves the grants themselves out
  await some(contents.grants.filter((id) => !stays.has(id)))
  if (rows) await some(contents.views)
}

/**
 * Schemas and comments of extensions that were not dropped: the first is there, the second is their
 * owner's to write.
 */
function staysAsItIs(kind: string, named: string, { kept, schemas }: DropPlan): boolean {
  if (kind === 'SCHEMA')
    return schemas.some((name) => named.startsWith(`- ${name.replace(/[\r\n]/g, ' ')} `))
  return (
    kind === 'COMMENT' &&
    kept.some((name) => named.startsWith(`- EXTENSION ${name} `) || named === `- EXTENSION ${name}`)
  )
}
