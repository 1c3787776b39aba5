import { sqlIdentifier } from '../../escape.ts'
import type { Restored, RestoredTables, RestoreResult } from '../../restore/result.ts'
import { code, input, strong, type Text, text } from '../../text.ts'
import {
  blocks,
  codeBlock,
  type Fact,
  type Heading,
  list,
  next,
  type Next,
  paragraph,
  type Part,
  type Report,
  section,
  settings,
  type Setting,
  type Step,
  steps,
  verdict,
} from '../blocks.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from '../format.ts'
import { codeList, sqlName } from '../sections.ts'

type InputValue = readonly [input: string, value: Setting['value']]

/** The first line of a dry run's report. `what` names the restore, such as `restoring shop`. */
export function dryRunVerdict({ target, facts }: Restored, what: Text): Heading {
  return facts?.obstacles.length
    ? verdict('fail', text`Dry run: ${code(target)} cannot be restored yet; nothing was changed`)
    : verdict('plan', text`Dry run of ${what}: nothing was changed`)
}

/** What to type after a dry run to do what it showed. */
export function runAgain(purpose: Text, confirm: string): Next {
  return next(
    text`${purpose}, run it again with:`,
    settings([
      ['dry-run', 'false'],
      ['confirm', confirm],
    ]),
  )
}

/** Undefined if something prevents the restore. */
export function restoreAfterDryRun({ facts, confirm }: Restored): Next | undefined {
  return facts?.obstacles.length ? undefined : runAgain('to restore', confirm)
}

/** A warning if the restore took longer than its objective. */
export function lateWarning({ objective }: Restored): Text[] {
  if (!objective || objective.held) return []
  return [
    text`The restore took ${formatDuration(objective.took)}, longer than the
      ${formatDuration(objective.limit)} of ${input('max-restore-time')}.`,
  ]
}

export function objectiveFact({ objective }: Restored): Fact | undefined {
  if (!objective) return undefined
  const { took, limit, held } = objective
  return [
    'Time until available',
    text`${formatDuration(took)}, ${held ? 'within' : 'more than'} the ${formatDuration(limit)} of
      ${input('max-restore-time')}`,
  ]
}

/** How long a swap made the target unavailable, and how many sessions it ended. */
export function unavailableText({
  target,
  timings,
  sessionsEnded,
}: Pick<Restored, 'target' | 'sessionsEnded'> & { timings: { swap: number } }): Text {
  const ended = `${formatMany(sessionsEnded, 'session')} ${sessionsEnded === 1 ? 'was' : 'were'} ended`
  return text`${code(target)} was unavailable for ${strong(formatDuration(timings.swap))}; ${ended}.`
}

/** Returns how much was restored, for example `501 rows in 2 tables`. */
export function contentText({ rows, tables }: Pick<Restored, 'rows' | 'tables'>): string {
  return `${formatMany(rows, 'row')} in ${formatMany(tables, 'table')}`
}

export function planBlocks({ dryRun, plan }: { dryRun: boolean; plan: readonly Step[] }): Report {
  return [section(dryRun ? 'Plan' : 'Steps done'), steps(plan)]
}

/** How the new database differs from what was restored. `afterPrepare` says what `prepare` means. */
export function differencesFromSource(
  { prepared, isolated }: Restored,
  afterPrepare: Text,
): Report {
  const { ties = [], triggers = [] } = isolated ?? {}
  return blocks(
    prepared ? paragraph(afterPrepare) : undefined,
    ties.length > 0
      ? [
          paragraph('The new database must not act on other systems, so it does not have:'),
          list(ties),
        ]
      : undefined,
    triggers.length > 0
      ? [
          paragraph('Its event triggers are disabled. To enable them again, run as a superuser:'),
          codeBlock(triggers.join('\n'), 'sql'),
        ]
      : undefined,
  )
}

/** What to do after a database was replaced, with the inputs that undo it. */
export function checkOrUndo(result: Restored, ...parts: readonly Part[]): Next | undefined {
  const { previousDatabase, confirm, environmentName } = result
  if (previousDatabase === undefined) return undefined
  return next(
    text`check your application. To undo this restore, run it again with the same
      ${input('target-url')} and:`,
    undoSettings(confirm, environmentName),
    paragraph(
      text`This swaps the two databases back within a second. Data written since the restore is then
        kept in the database that you swap out.`,
    ),
    ...parts,
  )
}

export function undoSettings(confirm: string, environmentName: string | undefined): Part {
  return settings([
    ['undo', 'true'],
    environmentName ? ['environment', environmentName] : undefined,
    ['confirm', confirm],
  ])
}

/** Where the previous database is, for how long, and how to drop it. */
export function previousDatabaseBlocks({ previousDatabase, keepPrevious }: Restored): Report {
  if (previousDatabase === undefined) return []
  const retention =
    keepPrevious === undefined
      ? text`It is kept until you drop it. A later restore with ${input('keep-previous')}, or
        ${input('clean', true)}, drops it.`
      : text`It is kept for ${formatAge(keepPrevious)} (${input('keep-previous')}). The next restore
        after that drops it, or ${input('clean', true)}.`
  return [
    section('Previous database'),
    paragraph(
      text`The previous database is ${code(previousDatabase)}. It takes space on the server.
        ${retention} To drop it earlier:`,
    ),
    codeBlock(`DROP DATABASE ${sqlIdentifier(previousDatabase)};`, 'sql'),
  ]
}

/** What the safety backup is, and how to restore it. */
export function safetyBackupBlocks(
  result: Restored & Pick<RestoreResult, 'mode' | 'restoredTables'>,
): Report {
  const { safetyBackup: backup, mode, restoredTables } = result
  if (backup === undefined) return []
  const undo = restoredTables && undoOfTables(restoredTables)
  const restorable = undo?.inputs.length !== 0
  const when =
    mode === 'swap'
      ? 'If you no longer have the previous database, restore the safety backup with:'
      : 'To go back to it, restore it with:'
  const { confirm, environmentName } = result
  return blocks(
    section('Safety backup'),
    paragraph(
      text`${code(backup.id)} has the database as of ${formatMoment(backup.snapshotAt)}:
        ${formatBytes(backup.bytes)} in ${codeList(backup.locations, ' and ')}.`,
    ),
    restorable
      ? [
          paragraph(when),
          settings([
            ['label', backup.label],
            ['backup', backup.id],
            ...(undo?.inputs ?? []),
            mode === 'in-place' ? ['mode', mode] : undefined,
            environmentName ? ['environment', environmentName] : undefined,
            ['confirm', confirm],
          ]),
        ]
      : undefined,
    undo?.drop === undefined
      ? undefined
      : [
          paragraph('These tables are new, so the safety backup does not have them. To drop them:'),
          codeBlock(undo.drop, 'sql'),
        ],
    restoredTables && unsavedRows(restoredTables),
    paragraph(
      text`${input('backup', 'latest')} never selects a safety backup. Delete it yourself, or use
        ${input('keep')} on backups: they then remove it once it is older than every backup that
        they keep.`,
    ),
  )
}

/**
 * The inputs that select the same tables of the safety backup. It does not have tables that were
 * created; then the others are named one by one.
 */
function undoOfTables({ asked, tables }: RestoredTables): { inputs: InputValue[]; drop?: string } {
  const named = (how: string): string[] =>
    tables.filter((table) => table.how === how).map(({ table }) => table)
  const [created, replaced] = [named('created'), named('replaced')]
  const again = created.length
    ? { tables: replaced, schemas: [] }
    : replaced.length
      ? asked
      : { tables: [], schemas: [] }
  const lists = Object.entries(again).filter(([, values]) => values.length > 0)
  return {
    inputs: lists.length > 0 ? [...lists, ['replace', 'true']] : [],
    ...(created.length > 0 ? { drop: `DROP TABLE ${created.map(sqlName).join(', ')};` } : {}),
  }
}

function unsavedRows({ unsaved = 0, contents }: RestoredTables): Part {
  if (unsaved <= 0 || contents === 'schema') return undefined
  return paragraph(
    text`The tables were locked ${formatDuration(unsaved)} after its snapshot. Any rows written to
      these tables in between are lost.`,
  )
}
