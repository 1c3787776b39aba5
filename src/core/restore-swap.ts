import { connectBeside } from '../postgres/beside.ts'
import { freeMoment, previousName, readMark, withMark } from '../postgres/kept.ts'
import { readProperties, writeProperties } from '../postgres/properties.ts'
import type { Work } from '../work.ts'
import { findReadable } from './copy.ts'
import { prepareDatabase } from './prepare.ts'
import type { RestoreOptions, RestoreResult } from './restore.ts'
import { objectiveOf } from './restore-after.ts'
import { type Beside, buildAndName, emptyResult, finish, follow, programsFor, stepsAsked, withSteps } from './restore-beside.ts'
import { dropKept } from './restore-clean.ts'
import { findObstacles, lockTarget } from './restore-guard.ts'
import { planOf } from './restore-plan.ts'
import { describeTarget } from './restore-target.ts'
import { backUpTarget } from './safety-backup.ts'

/**
 * Puts a database back as a backup has it. Everything that takes long happens beside: a new database is restored, compared with the
 * fingerprint, given the target's own owner, grants and settings; only then do the two change names, in one transaction. The old one is
 * kept, and marked as such. Whatever fails before leaves the target as it was, and nothing beside it but the safety backup.
 */
export async function restoreBySwap(options: RestoreOptions, work: Work): Promise<RestoreResult> {
  const started = Date.now()
  const target = options.target.database
  const backup = await findReadable({ ...options, label: options.label ?? target }, work)
  const { manifest } = backup
  options.known?.({ id: manifest.id })
  const session = await connectBeside(options.target, target, work)
  try {
    await lockTarget(session, target)
    const found = await readProperties(session, target)
    // a database that was named back by hand may still bear our mark: it is what is used now, and no longer kept
    const there = found && { ...found, comment: readMark(found.comment).comment }
    const until = await freeMoment(session, target)
    const previous = there ? previousName(target, until) : undefined
    const guarded = { session, target: options.target, exists: there !== undefined, backup, owner: options.owner ?? 'keep' }
    const obstacles = await findObstacles(guarded, work)
    if (obstacles[0] && !options.dryRun) throw obstacles[0]
    const programs = await programsFor(backup, session, options, work)
    const safety = there !== undefined && options.safetyBackup !== false
    const steps = withSteps(planOf(backup, target, previous, options.contents), {
      ...stepsAsked(options),
      safety: safety ? `Back up "${target}" as it is now, into the same storage (label ${manifest.label}, kind pre-restore, ${manifest.encryption === 'none' ? 'not encrypted' : `encrypted to ${manifest.encryption.recipients.join(', ')}`})` : undefined,
    })
    const result = emptyResult('swap', options, backup, session, steps)
    if (manifest.source.database !== target) result.warnings.push(`This is a backup of the database "${manifest.source.database}" (label ${manifest.label}), and it goes in the place of "${target}".`)
    if (!there) result.warnings.push(`There is no database "${target}" to take owner, grants and settings from: the new one has the server's defaults.`)
    if (options.dryRun) {
      result.facts = await describeTarget(guarded, obstacles, programs.server, work)
      if (options.keepPrevious !== undefined) result.cleaned = await dropKept(session, target, options.keepPrevious, { dryRun: true }, work)
      result.timings.total = Date.now() - started
      return result
    }
    const beside: Beside = { backup, options, session, programs, steps, result, started }
    if (safety) {
      result.safetyBackup = await backUpTarget(options, { label: manifest.label, encryption: manifest.encryption }, work)
      result.timings.safety = result.safetyBackup.took
      finish(beside, 'safety', work)
    }
    const comments = there ? { previous: withMark(there.comment, { database: target, until, by: `backup ${manifest.id} took its place` }) } : {}
    await buildAndName(beside, { previous, comments }, async (side) => {
      if (there) await writeProperties(session, side.database, there)
      finish(beside, 'prepare', work)
      if (options.prepare === undefined) return
      await prepareDatabase(side, options.prepare, work)
      result.prepared = true
      finish(beside, 'sanitise', work)
    }, work)
    const objective = objectiveOf(options.maxRestoreTime, Date.now() - started, work)
    if (objective) result.objective = objective
    await follow(beside, work)
    result.timings.total = Date.now() - started
    return result
  } finally {
    await session.end()
  }
}
