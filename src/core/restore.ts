import { randomBytes } from 'node:crypto'
import { UserError } from '../errors.ts'
import { connectBeside, dropHeld } from '../postgres/beside.ts'
import { findPrograms, type Programs } from '../postgres/binaries.ts'
import { type Connection, withDatabase } from '../postgres/connection.ts'
import { createDatabase, missingRoles } from '../postgres/database.ts'
import { type Properties, readProperties, writeProperties } from '../postgres/properties.ts'
import { connect, quoteName, type Session } from '../postgres/session.ts'
import { quietly } from '../postgres/still.ts'
import { swapDatabases, swapObstacles } from '../postgres/swap.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'
import { compareFingerprints } from './compare.ts'
import { findReadable, jobsOf, measure } from './copy.ts'
import { restoreInto } from './load-backup.ts'

export interface RestoreOptions {
  sources: Storage[]
  label?: string
  backup: string
  identities: string[]
  /** The database to put back; its name is what `confirm` must equal. */
  target: Connection
  confirm: string
  dryRun: boolean
  bindirs: string[]
  /** How much is done at once. Default: one a core, at most 8. */
  jobs?: number
}

export interface RestoreResult {
  id: string
  label: string
  location: string
  target: string
  dryRun: boolean
  snapshotAt: string
  /** Milliseconds between the snapshot and the swap (or now): data written in that time is in the previous database only. */
  age: number
  server: { backup: string; target: string }
  /** The steps in order, as sentences; those done are marked. */
  plan: { step: string; done: boolean }[]
  /** The name under which the old database is kept; undefined on a dry run, or where there was none. */
  previousDatabase?: string
  /** Sessions that had to be ended for the swap. */
  sessionsEnded: number
  bytes: number
  rows: number
  tables: number
  /** Milliseconds. The swap is the only time that the target was away. */
  timings: { restore: number; compare: number; swap: number; total: number }
  warnings: string[]
}

/**
 * Puts a database back as a backup has it. Everything that takes long happens beside: a new database is restored, compared with the
 * fingerprint, given the target's own owner, grants and settings; only then do the two change names, in one transaction. The old one is
 * kept. Whatever fails before leaves the target as it was, and nothing beside it.
 */
export async function restore(options: RestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const target = options.target.database
  if (!options.dryRun && options.confirm !== target)
    throw new UserError('confirm-wrong', options.confirm ? `confirm is "${options.confirm}", and the database to replace is "${target}".` : `confirm is empty; it must name the database that is to be replaced.`, `If you mean it: confirm: ${target}`)
  const backup = await findReadable({ ...options, label: options.label ?? target }, work)
  const { manifest } = backup
  const session = await connectBeside(options.target, target, work)
  try {
    await lockTarget(session, target)
    const there = await readProperties(session, target)
    const previous = there ? previousName(target, new Date()) : undefined
    await guard(session, options.target, there !== undefined, backup, work)
    const programs = { archive: await findPrograms(manifest.source.major, ['pg_restore', 'pg_dump'], options.bindirs, work), server: await findPrograms(session.major, ['pg_dump'], options.bindirs, work) }
    const side = `holdfast_side_${randomBytes(6).toString('hex')}`
    const steps = planOf(backup, target, previous)
    const result: RestoreResult = {
      id: manifest.id,
      label: manifest.label,
      location: backup.location,
      target,
      dryRun: options.dryRun,
      snapshotAt: manifest.snapshot.at,
      age: Date.now() - Date.parse(manifest.snapshot.at),
      server: { backup: manifest.source.server, target: session.version },
      plan: Object.values(steps),
      sessionsEnded: 0,
      bytes: manifest.objects.reduce((sum, { bytes }) => sum + bytes, 0),
      rows: manifest.fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0),
      tables: manifest.fingerprint.tables.length,
      timings: { restore: 0, compare: 0, swap: 0, total: 0 },
      warnings: [
        ...(manifest.source.database === target ? [] : [`This is a backup of the database "${manifest.source.database}" (label ${manifest.label}), and it goes in the place of "${target}".`]),
        ...(there ? [] : [`There is no database "${target}" to take owner, grants and settings from: the new one has the server's defaults.`]),
      ],
    }
    if (!options.dryRun) {
      await replace({ backup, options, session, programs, side, previous, properties: there }, steps, result, work)
      if (previous !== undefined) result.previousDatabase = previous
      result.age = Date.now() - Date.parse(manifest.snapshot.at)
    }
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}

interface Replacement {
  backup: FoundBackup
  options: RestoreOptions
  session: Session
  programs: { archive: Programs; server: Programs }
  side: string
  previous: string | undefined
  properties: Properties | undefined
}

type Steps = Record<'create' | 'load' | 'compare' | 'prepare' | 'swap', { step: string; done: boolean }>

async function replace(replacement: Replacement, steps: Steps, result: RestoreResult, work: Work): Promise<void> {
  const { backup, options, session, programs, side, previous, properties } = replacement
  const { manifest } = backup
  const held = { kind: 'database', name: side, input: 'target-url' } as const
  const connection = await quietly(session, withDatabase(options.target, side))
  const done = (step: { step: string; done: boolean }): void => {
    step.done = true
    work.log.info(`Done: ${step.step}`)
  }
  work.hold(held)
  try {
    let from = Date.now()
    const { keep: tablespaces, lost } = await tablespacesOf(backup, session)
    if (lost) result.warnings.push(lost)
    await createDatabase(session, side, manifest.source.locale)
    done(steps.create)
    result.warnings.push(...(await restoreInto(backup, options.identities, programs.archive, connection, { tablespaces, jobs: jobsOf(options) }, work)))
    result.timings.restore = Date.now() - from
    done(steps.load)
    from = Date.now()
    const found = await measure({ connection, programs }, manifest, work, jobsOf(options))
    const differences = compareFingerprints(manifest.fingerprint, found, programs.server.major === manifest.source.major)
    result.timings.compare = Date.now() - from
    const [first] = differences
    if (first)
      throw new UserError('restored-differs', `What was restored is not what the backup's fingerprint says (${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}; the first: ${first.object}: expected ${first.expected}, found ${first.found}). "${options.target.database}" was not touched.`, 'Verify the backup to see all differences, or restore another one.')
    done(steps.compare)
    const inside = await connect(connection, work)
    try {
      await inside.query('ANALYZE')
    } finally {
      await inside.end() // no session of ours may stand in the way of the rename
    }
    if (properties) await writeProperties(session, side, properties)
    done(steps.prepare)
    work.signal.throwIfAborted()
    from = Date.now()
    result.sessionsEnded = await swapDatabases(session, { target: options.target.database, side, previous }, work)
    result.timings.swap = Date.now() - from
    work.release(held)
    done(steps.swap)
  } catch (error) {
    if (!steps.swap.done) await dropHeld(session.connection, held, work)
    throw error
  }
}

/** What can be compared, by what the backup's fingerprint has. */
const compared = {
  content: 'rows, content, schema, sequences',
  counts: 'rows, schema, sequences (content was not measured: fingerprint: counts)',
  none: 'sequences and extensions (nothing else was measured: fingerprint: none)',
}

function planOf(backup: FoundBackup, target: string, previous: string | undefined): Steps {
  const { manifest } = backup
  const { kind, tables } = manifest.fingerprint
  const rows = tables.reduce((sum, table) => sum + table.rows, 0).toLocaleString('en-US')
  const held = kind === 'none' ? '' : `${tables.length} ${tables.length === 1 ? 'table' : 'tables'}, ${rows} rows, `
  const step = (text: string): { step: string; done: boolean } => ({ step: text, done: false })
  return {
    create: step(`Create an empty database beside "${target}", with the backup's encoding and locale`),
    load: step(`Restore ${manifest.id} of "${manifest.source.database}" (label ${manifest.label}) into it: ${held}as of ${manifest.snapshot.at}`),
    compare: step(`Compare it with the fingerprint: ${compared[kind]}`),
    prepare: step(`ANALYZE it${previous === undefined ? '' : `, and give it the owner, grants and settings of "${target}"`}`),
    swap: step(previous === undefined ? `Name it "${target}"` : `In one transaction: rename "${target}" to "${previous}" (kept), and the new database to "${target}"; sessions are ended for it`),
  }
}

/** One restore of a database at a time: held by the session, and so gone with it. */
async function lockTarget(session: Session, target: string): Promise<void> {
  const [row] = await session.query<{ locked: boolean }>('SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS locked', [`holdfast restore ${target}`])
  if (!row?.locked) throw new UserError('restore-running', `Another restore of "${target}" is running.`, 'Wait until it has ended, and look at its result first.')
}

/** What stands in the way of a restore, found before anything is made. */
async function guard(session: Session, target: Connection, exists: boolean, backup: FoundBackup, work: Work): Promise<void> {
  const { source, fingerprint } = backup.manifest
  if (session.major < source.major) throw new UserError('server-older', `The target server is PostgreSQL ${session.version}, older than the backup's ${source.server}.`, 'A backup restores into its own major version or a newer one.')
  const [may] = await session.query<{ create: boolean; replace: boolean }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create, r.rolsuper OR NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = $1 AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS replace
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [target.database],
  )
  const user = quoteName(target.user)
  if (!may?.create) throw new UserError('no-permission', `"${target.user}" may not create databases, and a restore makes one beside the target.`, `Run on the server: ALTER ROLE ${user} CREATEDB;`)
  if (!may.replace) throw new UserError('no-permission', `"${target.user}" does not own "${target.database}", and cannot rename it.`, `Restore as its owner, or a role that is a member of its owner: GRANT its owner TO ${user};`)
  const roles = await missingRoles(session, source.roles.names.filter((name) => name !== source.roles.superuser))
  if (roles.length) throw new UserError('role-missing', `The target server lacks ${roles.length === 1 ? 'a role' : 'roles'} that the backup names: ${roles.join(', ')}.`, `Create ${roles.length === 1 ? 'it' : 'them'} first: ${roles.map((role) => `CREATE ROLE ${quoteName(role)} NOLOGIN;`).join(' ')} Passwords, LOGIN and memberships are in no backup of a database: pg_dumpall --globals-only of the old server has them.`)
  const missing = await session.query<{ name: string }>('SELECT name FROM pg_catalog.unnest($1::pg_catalog.text[]) AS name WHERE name NOT IN (SELECT a.name FROM pg_catalog.pg_available_extensions a) ORDER BY 1', [Object.keys(fingerprint.supplement.extensions)])
  if (missing.length) throw new UserError('extension-missing', `The target server lacks extensions that the backup needs: ${missing.map(({ name }) => name).join(', ')}.`, 'Install the packages that have them on the server.')
  if (!exists) return
  const inside = await connect(target, work)
  try {
    const obstacles = await swapObstacles(session, inside, target.database)
    if (obstacles.length) throw new UserError('swap-unsafe', `A swap of "${target.database}" would break: ${obstacles.join('; ')}.`, 'Remove them first, and make them anew after the restore.')
  } finally {
    await inside.end()
  }
}

/** Whether tables can go back into the tablespaces they were in: only if the server has all of them. */
async function tablespacesOf(backup: FoundBackup, session: Session): Promise<{ keep: boolean; lost?: string }> {
  const names = backup.manifest.source.tablespaces ?? []
  if (names.length === 0) return { keep: false }
  const rows = await session.query<{ name: string }>('SELECT spcname AS name FROM pg_catalog.pg_tablespace WHERE spcname = ANY ($1)', [names])
  if (rows.length === names.length) return { keep: true }
  return { keep: false, lost: `Everything is in the default tablespace: the server does not have all of ${names.join(', ')}.` }
}

/** `<name>_before_<UTC time>`, within the 63 bytes that a name may have. */
function previousName(database: string, now: Date): string {
  const suffix = `_before_${now.toISOString().replace(/[-:]/g, '').slice(0, 15)}`
  let base = database
  while (Buffer.byteLength(base + suffix) > 63) base = [...base].slice(0, -1).join('')
  return base + suffix
}
