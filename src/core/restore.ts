import { randomBytes } from 'node:crypto'
import { UserError } from '../errors.ts'
import { connectBeside, dropHeld } from '../postgres/beside.ts'
import { findPrograms, type Programs } from '../postgres/binaries.ts'
import { type Connection, withDatabase } from '../postgres/connection.ts'
import { type Properties, readProperties, writeProperties } from '../postgres/properties.ts'
import type { Session } from '../postgres/session.ts'
import { quietly } from '../postgres/still.ts'
import { swapDatabases } from '../postgres/swap.ts'
import type { Storage } from '../storage/storage.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'
import { findReadable, jobsOf } from './copy.ts'
import { totalsOf } from './manifest.ts'
import { guard, lockTarget } from './restore-guard.ts'
import { type RestoredInPlace, restoreInPlace } from './restore-in-place.ts'
import { restorePart, type RestoredPart } from './restore-part.ts'
import { type PlanStep, planOf, type Steps } from './restore-plan.ts'
import { buildSide } from './restore-side.ts'

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
  /** Default: `swap`. */
  mode?: 'swap' | 'new' | 'in-place'
  /** Only these tables, as `schema.table`. */
  tables?: string[]
  schemas?: string[]
  contents?: 'all' | 'schema' | 'data'
  /** With tables or schemas: put them in the place of the live ones. */
  replace?: boolean
  owner?: 'keep' | 'drop' | Record<string, string>
  /** How long locks on live tables are waited for, milliseconds. Default: two minutes. */
  lockPatience?: number
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
  plan: PlanStep[]
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
  /** Where only some tables were restored. */
  part?: RestoredPart
  /** Where it was restored inside the target. */
  inPlace?: RestoredInPlace
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
  if (options.tables?.length || options.schemas?.length) return restorePart(backup, options, work)
  if (options.mode === 'in-place') return restoreInPlace(backup, options, work)
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
      ...totalsOf(manifest),
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

async function replace(replacement: Replacement, steps: Steps, result: RestoreResult, work: Work): Promise<void> {
  const { backup, options, session, programs, side, previous, properties } = replacement
  const held = { kind: 'database', name: side, input: 'target-url' } as const
  const connection = await quietly(session, withDatabase(options.target, side))
  const done = (name: keyof Steps): void => {
    steps[name].done = true
    work.log.info(`Done: ${steps[name].step}`)
  }
  work.hold(held)
  try {
    const built = await buildSide({ backup, identities: options.identities, session, programs, connection, jobs: jobsOf(options) }, done, work)
    result.warnings.push(...built.warnings)
    Object.assign(result.timings, built.timings)
    if (properties) await writeProperties(session, side, properties)
    done('prepare')
    work.signal.throwIfAborted()
    const from = Date.now()
    result.sessionsEnded = await swapDatabases(session, { target: options.target.database, side, previous }, work)
    result.timings.swap = Date.now() - from
    work.release(held)
    done('swap')
  } catch (error) {
    if (!steps.swap.done) await dropHeld(session.connection, held, work)
    throw error
  }
}

/** `<name>_before_<UTC time>`, within the 63 bytes that a name may have. */
function previousName(database: string, now: Date): string {
  const suffix = `_before_${now.toISOString().replace(/[-:]/g, '').slice(0, 15)}`
  let base = database
  while (Buffer.byteLength(base + suffix) > 63) base = [...base].slice(0, -1).join('')
  return base + suffix
}
