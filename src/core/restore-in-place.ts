import type { Readable } from 'node:stream'
import { messageOf, UserError } from '../errors.ts'
import { type ArchiveEntry, type Contents, listEntries, readContents } from '../postgres/archive-entries.ts'
import { findPrograms, type Programs } from '../postgres/binaries.ts'
import type { Connection } from '../postgres/connection.ts'
import { measureParts } from '../postgres/content.ts'
import { missingRoles, readLocale } from '../postgres/database.ts'
import { type Emptying, planEmptying } from '../postgres/empty.ts'
import { type Fingerprint, inOrder, readSupplement } from '../postgres/fingerprint.ts'
import { countLargeObjects, measureLargeObjects } from '../postgres/large-objects.ts'
import { type Psql, PsqlError, startPsql } from '../postgres/psql.ts'
import { listTables } from '../postgres/relations.ts'
import { whyRestoreFailed } from '../postgres/restore-errors.ts'
import { restoreText } from '../postgres/restore-text.ts'
import { printSchema } from '../postgres/schema.ts'
import { readSequences } from '../postgres/sequences.ts'
import { connect, quoteName, quoteText, type Session, settings } from '../postgres/session.ts'
import { quietly } from '../postgres/still.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'
import { compareFingerprints } from './compare.ts'
import { dataArchivesOf, fetchArchive, frameOf, withArchive } from './fetch.ts'
import type { Difference } from './level.ts'
import { withFolder } from './load-backup.ts'
import { totalsOf } from './manifest.ts'
import { lockTarget } from './restore-guard.ts'
import { beginResult, conclude, inTurn, secure, stepsAround } from './restore-inside.ts'
import type { PlanStep } from './restore-plan.ts'
import type { RestoreOptions, RestoreResult } from './restore.ts'

/** What a restore inside the target itself tells beside the rest. */
export interface RestoredInPlace {
  contents: 'all' | 'schema'
  /** Extensions that were left as they were. */
  kept: string[]
  /** Locks that the transaction was counted to need, and those that the server has. */
  locks: { needed: number; capacity: number }
  /** What of the schema is otherwise than in the backup, seen after the commit. */
  differences: Difference[]
  /** Whether that was looked at: not where the fingerprint has no schema, or it could not be read. */
  schemaCompared: boolean
}

type Steps = Record<'empty' | 'load' | 'compare' | 'commit', PlanStep>

interface InPlace {
  backup: FoundBackup
  options: RestoreOptions
  /** On the target, beside the transaction. */
  session: Session
  connection: Connection
  programs: { archive: Programs; server: Programs }
  emptying: Emptying
  steps: Steps
  result: RestoreResult
  inPlace: RestoredInPlace
}

/** The frame, as a file, and its entries. */
interface Fetched {
  folder: string
  frame: string
  entries: ArchiveEntry[]
}

/** How long the first locks are waited for. */
const defaultPatience = 30_000

/**
 * Restores inside the target itself, for platforms that cannot create databases: one transaction empties it, fills it, compares it with the fingerprint, and
 * only then commits. Whatever fails or is killed before leaves the target as it was. All its tables are locked meanwhile.
 */
export async function restoreInPlace(backup: FoundBackup, options: RestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const { manifest } = backup
  const { contents = 'all', owner = 'keep' } = options
  if (contents === 'data') throw new UserError('bad-input', 'contents is "data", and mode: in-place makes everything anew.', 'To put back rows into tables that are there, name them with tables or schemas, and write replace: true and contents: data.')
  if (typeof owner === 'object') throw new UserError('bad-input', 'owner maps roles, and mode is "in-place".', 'Write owner: keep or owner: drop.')
  options.known?.({ id: manifest.id })
  const session = await connect(options.target, work)
  try {
    await lockTarget(session, options.target.database)
    const warnings = await guardInPlace(session, backup, owner === 'keep')
    const programs = { archive: await findPrograms(manifest.source.major, ['pg_restore', 'pg_dump'], options.bindirs, work), server: await findPrograms(session.major, ['pg_dump', 'psql'], options.bindirs, work) }
    const emptying = await planEmptying(session, manifest.fingerprint.supplement.extensions)
    if (emptying.obstacles.length) throw new UserError('in-place-unsafe', `"${options.target.database}" cannot be emptied by "${options.target.user}": ${emptying.obstacles.join('; ')}.`, 'Drop these first, or have them given to this role (ALTER … OWNER TO), or restore with mode: swap.')
    const steps = planOfInPlace(backup, options.target.database, contents)
    const inPlace: RestoredInPlace = { contents, kept: emptying.kept.filter((name) => name !== 'plpgsql'), locks: { needed: 0, capacity: 0 }, differences: [], schemaCompared: false }
    const around = stepsAround(options, options.safetyBackup !== false, { target: options.target.database, label: manifest.label })
    const begun = beginResult(backup, options, session)
    const result: RestoreResult = { ...begun, ...totalsOf(manifest), ...(contents === 'schema' ? { rows: 0 } : {}), warnings: [...begun.warnings, ...warnings], plan: inTurn({ ...around, ...steps }), inPlace }
    const connection = await quietly(session, options.target)
    const task: InPlace = { backup, options, session, connection, programs, emptying, steps, result, inPlace }
    if (!options.dryRun) {
      await secure(result, options, backup, around.safety, work)
      await withFolder(work, (folder) => inOneTransaction(task, folder, work))
      await conclude(result, options, { started, programs: programs.server, command: around.command }, work)
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

function planOfInPlace({ manifest }: FoundBackup, target: string, contents: string): Steps {
  const step = (text: string): PlanStep => ({ step: text, done: false })
  return {
    empty: step(`Begin one transaction in "${target}", and drop all that is in it (sessions that use it are waited for)`),
    load: step(`Restore ${manifest.id} of "${manifest.source.database}" (as of ${manifest.snapshot.at}) in its place${contents === 'schema' ? ', definitions only' : ''}`),
    compare: step(contents === 'schema' ? 'See that every table is there' : 'Compare rows, content, sequences and large objects with the fingerprint, in the same transaction'),
    commit: step('Commit, ANALYZE, and compare the schema'),
  }
}

async function guardInPlace(session: Session, { manifest }: FoundBackup, owners: boolean): Promise<string[]> {
  const { source, fingerprint } = manifest
  const { database, user } = session.connection
  if (session.major < source.major) throw new UserError('server-older', `The target server is PostgreSQL ${session.version}, older than the backup's ${source.server}.`, 'A backup restores into its own major version or a newer one.')
  const [may] = await session.query<{ own: boolean }>("SELECT pg_catalog.pg_has_role(datdba, 'USAGE') AS own FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()")
  if (!may?.own) throw new UserError('no-permission', `"${user}" does not own "${database}", and cannot empty it.`, `Restore as its owner, or a role that is a member of its owner: GRANT its owner TO ${quoteName(user)};`)
  const roles = owners ? await missingRoles(session, source.roles.names.filter((name) => name !== source.roles.superuser)) : []
  if (roles.length) throw new UserError('role-missing', `The target server lacks roles that the backup names: ${roles.join(', ')}.`, `Create them first: ${roles.map((role) => `CREATE ROLE ${quoteName(role)} NOLOGIN;`).join(' ')} Or write owner: drop, and all belongs to "${user}".`)
  const missing = await session.query<{ name: string }>('SELECT name FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name WHERE name NOT IN (SELECT a.name FROM pg_catalog.pg_available_extensions a) ORDER BY 1', [Object.keys(fingerprint.supplement.extensions)])
  if (missing.length) throw new UserError('extension-missing', `The target server lacks extensions that the backup needs: ${missing.map(({ name }) => name).join(', ')}.`, 'Install the packages that have them on the server.')
  const locale = await readLocale(session)
  if (locale.encoding !== source.locale.encoding) throw new UserError('encoding-differs', `"${database}" has the encoding ${locale.encoding}, and the backup ${source.locale.encoding}.`, 'Make an empty database with that encoding at your provider, and restore into that one.')
  return locale.collate === source.locale.collate && locale.provider === source.locale.provider && locale.locale === source.locale.locale ? [] : [`"${database}" orders text by ${locale.locale ?? locale.collate} (${locale.provider}), and the backup's source by ${source.locale.locale ?? source.locale.collate} (${source.locale.provider}): that stays as it is in the target.`]
}

async function inOneTransaction(task: InPlace, folder: string, work: Work): Promise<void> {
  const { backup, options, session, connection, programs, emptying, steps, result, inPlace } = task
  const { manifest } = backup
  const started = Date.now()
  const frame = `${folder}/frame.dump`
  await fetchArchive(backup, frameOf(backup), options.identities, frame, work)
  const entries = await listEntries(programs.archive, frame, work)
  inPlace.locks = await countLocks(session, emptying, entries, manifest)
  const psql = startPsql(programs.server, connection, session, work)
  try {
    await pin(psql)
    await psql.run('BEGIN')
    await psql.run(`SET LOCAL lock_timeout = ${options.lockPatience ?? defaultPatience}`)
    work.log.info('Emptying the target, inside the transaction')
    await psql.run(emptying.sql)
    steps.empty.done = true
    await load(task, psql, { folder, frame, entries }, work)
    steps.load.done = true
    result.timings.restore = Date.now() - started
    const comparing = Date.now()
    const [first] = await compareInside(psql, backup, inPlace.contents)
    if (first) throw new UserError('restored-differs', `What was restored is not what the backup's fingerprint says (${first.object}: expected ${first.expected}, found ${first.found}). All was rolled back: the target is as it was.`, 'Verify the backup to see all differences, or restore another one.')
    steps.compare.done = true
    result.timings.compare = Date.now() - comparing
    work.signal.throwIfAborted()
    const committing = Date.now()
    await commit(psql)
    result.timings.swap = Date.now() - committing
    steps.commit.done = true
    work.log.info('Committed: the target holds what the backup has')
    await afterwards('ANALYZE failed', 'run it by hand, or queries are slow until autovacuum has', result, () => psql.run('ANALYZE'), work)
  } catch (error) {
    if ((error as { code?: string }).code !== 'commit-unknown') work.signal.throwIfAborted()
    throw error instanceof PsqlError ? await whyRolledBack(error, task) : error
  } finally {
    await psql.stop()
  }
  await afterwards('The schema was not compared', 'the rest was, before the commit', result, () => compareSchema(task, work), work)
}

/** What the server refuses here is rolled back like anything before; only where it could not answer, nobody knows. */
async function commit(psql: Psql): Promise<void> {
  try {
    await psql.run('COMMIT')
  } catch (error) {
    if (error instanceof PsqlError && error.severity === 'ERROR') throw error
    throw new UserError('commit-unknown', `The connection was lost while the server committed (${messageOf(error)}): it may have, or not.`, 'Look at the target: it holds either all of the backup, or all that it held before. Compare it by verifying a new backup of it.', { cause: error })
  }
}

/** After the commit nothing can make the restore undone: what fails is told beside it. */
async function afterwards(what: string, then: string, { warnings }: RestoreResult, run: () => Promise<void>, work: Work): Promise<void> {
  try {
    await run()
  } catch (error) {
    work.signal.throwIfAborted()
    warnings.push(`${what} (${messageOf(error)}): ${then}.`)
  }
}

async function compareSchema({ backup, options, connection, programs, result, inPlace }: InPlace, work: Work): Promise<void> {
  const { source, fingerprint } = backup.manifest
  if (fingerprint.kind === 'none') return
  const schema = await printSchema(programs.server, connection, { encoding: source.locale.encoding }, work)
  const differences = compareFingerprints(fingerprint, { ...fingerprint, schema }, programs.server.major === source.major, { owners: options.owner !== 'drop' })
  inPlace.differences = differences.filter(({ kind }) => kind === 'schema')
  inPlace.schemaCompared = true
  const { length } = inPlace.differences
  if (length) result.warnings.push(`The schema is not the same in ${length} ${length === 1 ? 'entry' : 'entries'}: ${inPlace.differences.slice(0, 5).map(({ object, expected, found }) => `${object} (expected ${expected}, found ${found})`).join('; ')}.`)
}

/** Settings that no role or database may have otherwise while this runs: for what is read, and against timeouts. */
async function pin(psql: Psql): Promise<void> {
  const pairs = Object.entries(settings).map(([name, value]) => `(${quoteText(name)}, ${quoteText(value)})`)
  await psql.run(`SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES ${pairs.join(', ')}) AS s(name, value) WHERE s.name IN (SELECT pg_catalog.lower(g.name) FROM pg_catalog.pg_settings g)`)
}

/** One transaction holds a lock on all that it drops and makes; the table of locks is the whole server's, and when it is full, others fail too. */
async function countLocks(session: Session, { relations }: Emptying, entries: readonly ArchiveEntry[], { fingerprint }: FoundBackup['manifest']): Promise<RestoredInPlace['locks']> {
  const [row] = await session.query<{ capacity: number; each: string; connections: number; objects: number }>(
    `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int4 * (pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4) AS capacity,
       pg_catalog.current_setting('max_locks_per_transaction') AS each, pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4 AS connections,
       (SELECT pg_catalog.count(*)::float8 FROM pg_catalog.pg_largeobject_metadata) AS objects`,
  )
  if (!row) throw new Error('the server does not tell its settings')
  const weight: Record<string, number> = { TABLE: 3, 'MATERIALIZED VIEW': 3, INDEX: 1, CONSTRAINT: 1, SEQUENCE: 1, VIEW: 1 }
  const made = entries.reduce((sum, { kind }) => sum + (weight[kind] ?? 0), 0)
  const needed = relations + made + row.objects + (fingerprint.largeObjects?.count ?? 0)
  if (needed > row.capacity)
    throw new UserError('too-many-locks', `One transaction would need about ${needed} locks (${relations} relations that are there, ${made} of the backup, and large objects), and the server has room for ${row.capacity}: max_locks_per_transaction (${row.each}) × connections and prepared transactions (${row.connections}). Nothing was changed.`, `Raise it and restart the server: ALTER SYSTEM SET max_locks_per_transaction = ${Math.ceil((needed * 1.2) / row.connections)}; or restore with mode: swap.`)
  return { needed, capacity: row.capacity }
}

async function load(task: InPlace, psql: Psql, { folder, frame, entries }: Fetched, work: Work): Promise<void> {
  const { backup, options, programs, connection, emptying, inPlace } = task
  const contents: Contents = await readContents(programs.archive, frame, work)
  const owners = options.owner !== 'drop'
  const how = { folder, tablespaces: false, owners, connection }
  const text = (archive: string | Readable, own: Work, only?: readonly number[]): Promise<void> =>
    restoreText(programs.archive, psql, archive, { ...how, ...(only ? { only } : {}) }, own)
  const stays = new Set(entries.filter(({ kind, named }) => staysAsItIs(kind, named, emptying)).map(({ id }) => id))
  work.log.info('Restoring types, tables and functions')
  await text(frame, work, contents.preData.filter((id) => !stays.has(id)))
  const rows = inPlace.contents === 'all'
  if (rows) {
    work.log.info('Restoring rows')
    await text(frame, work, contents.rows)
    for (const archive of dataArchivesOf(backup.manifest)) await withArchive(backup, archive, options.identities, (stream) => text(stream, work), work)
    await text(frame, work, contents.otherData)
  }
  work.log.info('Restoring indexes, constraints and grants')
  await text(frame, work, contents.postData.filter((id) => !stays.has(id)))
  // event triggers are among them; with owner: drop, pg_restore leaves the grants themselves out
  await text(frame, work, contents.grants.filter((id) => !stays.has(id)))
  if (rows) await text(frame, work, contents.views)
}

/** Schemas and comments of extensions that were not dropped: the first is there, the second is their owner's to write. */
function staysAsItIs(kind: string, named: string, { kept, schemas }: Emptying): boolean {
  if (kind === 'SCHEMA') return schemas.some((name) => named.startsWith(`- ${name.replace(/[\r\n]/g, ' ')} `))
  return kind === 'COMMENT' && kept.some((name) => named.startsWith(`- EXTENSION ${name} `) || named === `- EXTENSION ${name}`)
}

/** The comparison that must hold before the commit: all that the same session can see. pg_dump's text of the schema comes after it. */
async function compareInside(psql: Psql, { manifest }: FoundBackup, contents: 'all' | 'schema'): Promise<Difference[]> {
  const { fingerprint } = manifest
  const { kind } = fingerprint
  await pin(psql)
  const { session } = psql
  const tables = await listTables(session)
  if (contents === 'schema') {
    const found = new Set((kind === 'none' ? [] : await measureParts(session, tables.map((table) => ({ table, bytes: table.bytes })), { inTransaction: true, depth: 'counts' })).map(({ table }) => table))
    return kind === 'none' ? [] : fingerprint.tables.filter(({ table }) => !found.has(table)).map(({ table }): Difference => ({ kind: 'rows', object: table, expected: 'there', found: 'no such table' }))
  }
  const values = await readSequences(session)
  const sequences = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { before: value, after: value }]))
  const supplement = await readSupplement(session)
  const measured: Partial<Fingerprint> = {}
  if (kind !== 'none') {
    measured.tables = inOrder(await measureParts(session, tables.map((table) => ({ table, bytes: table.bytes })), { inTransaction: true, depth: kind }))
    measured.largeObjects = kind === 'content' ? await measureLargeObjects(session) : await countLargeObjects(session)
  }
  const differences = compareFingerprints(fingerprint, { kind, tables: [], schema: fingerprint.schema, sequences, supplement, ...measured }, true)
  // who owns a large object is another thing than what it holds
  return differences.filter(({ kind: what, expected }) => !(what === 'large-objects' && expected.startsWith('owners')))
}

async function whyRolledBack(error: PsqlError, { options, session, connection }: InPlace): Promise<UserError> {
  const { database } = options.target
  if (error.code === '55P03') {
    const others = await session.query<{ pid: number; who: string }>(
      "SELECT pid, pg_catalog.concat_ws(', ', usename, nullif(application_name, ''), state) AS who FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' AND state IS DISTINCT FROM 'idle' ORDER BY pid LIMIT 5",
    )
    const who = others.map(({ pid, who: about }) => `process ${pid} (${about})`).join('; ')
    return new UserError('target-busy', `"${database}" is in use, and its tables could not be locked in ${Math.round((options.lockPatience ?? defaultPatience) / 1000)} s${who ? `: ${who}` : ''}. Nothing was changed.`, 'Stop the application, or end these sessions (SELECT pg_terminate_backend(…);), and run this again.', { cause: error })
  }
  if (error.code === '53200') return new UserError('too-many-locks', `The server ran out of locks: ${error.message}. All was rolled back: the target is as it was.`, 'Raise max_locks_per_transaction (ALTER SYSTEM SET …) and restart the server, or restore with mode: swap.', { cause: error })
  const why = whyRestoreFailed(undefined, `ERROR: ${error.message}`, connection)
  return new UserError(why.code, `${why.message.replace(/\.?$/, '.')} All was rolled back: the target is as it was.`, why.code === 'no-permission' ? 'Write owner: drop, and all belongs to the user of target-url; or restore as a role that may do this.' : why.hint, { cause: error })
}
