import type { Restored, RestoredTables, RestoreResult } from '../../restore/result.ts'
import { formatAge, formatBytes, formatDuration, formatMoment } from '../markdown/format.ts'
import {
  blocks,
  code,
  details,
  fence,
  list,
  type Markdown,
  md,
  text,
} from '../markdown/markdown.ts'
import { inputsPart, planTable, quote, renamesByHand, sqlName } from '../markdown/sections.ts'

/** What the reports of all restores have in common. */

/** A warning, where the restore took longer than was promised. */
export function timePart({ objective }: Restored): string[] {
  if (!objective || objective.held) return []
  return [
    `The restore took ${formatDuration(objective.took)}, longer than the ${formatDuration(objective.limit)} of max-restore-time.`,
  ]
}

/** What the safety backup is, and how to restore it. */
export function safetyPart({
  safetyBackup: made,
  mode,
  part,
  confirm,
  environmentName,
}: Restored & Pick<RestoreResult, 'mode' | 'part'>): Markdown | undefined {
  if (made === undefined) return undefined
  const inputs: [string, string | string[]][] = [
    ['label', made.label],
    ['backup', made.id],
  ]
  const back = part && wayBack(part)
  if (back) inputs.push(...back.inputs)
  if (mode === 'in-place') inputs.push(['mode', mode])
  if (environmentName) inputs.push(['environment', environmentName])
  inputs.push(['confirm', confirm])
  const when =
    mode === 'swap'
      ? md` Where the kept database is gone too, restore it with`
      : md` To go back to it, restore it with`
  const anew =
    back?.drop === undefined
      ? undefined
      : blocks(
          md`These were not there before, and the safety backup does not have them. To remove them again:`,
          fence(back.drop, 'sql'),
        )
  return blocks(
    md`The safety backup has the database as it was at ${formatMoment(made.snapshotAt)}: ${code(made.id)}, ${formatBytes(made.bytes)}, in ${{ markdown: made.locations.map((location) => code(location).markdown).join(' and ') }}.${!back || back.inputs.length ? when : ''}`,
    !back || back.inputs.length ? inputsPart(inputs) : undefined,
    anew,
    part && unsavedPart(part),
    md`\`latest\` never chooses it. Retention removes it when it is older than the oldest backup that is kept.`,
  )
}

/**
 * The same part of the safety backup, and no more. Tables that were made anew are not in it: then
 * the others are named one by one.
 */
function wayBack({ asked, tables }: RestoredTables): {
  inputs: [string, string | string[]][]
  drop?: string
} {
  const named = (how: string): string[] =>
    tables.filter((table) => table.how === how).map(({ table }) => table)
  const [created, replaced] = [named('created'), named('replaced')]
  const again = created.length
    ? { tables: replaced, schemas: [] }
    : replaced.length
      ? asked
      : { tables: [], schemas: [] }
  const lists = Object.entries(again).flatMap(([name, values]): [string, string[]][] =>
    values.length ? [[name, values]] : [],
  )
  return {
    inputs: lists.length ? [...lists, ['replace', 'true']] : [],
    ...(created.length ? { drop: `DROP TABLE ${created.map(sqlName).join(', ')};` } : {}),
  }
}

function unsavedPart({ unsaved = 0, contents }: RestoredTables): Markdown | undefined {
  if (unsaved <= 0 || contents === 'schema') return undefined
  return md`Rows written to these tables in the ${(unsaved / 1000).toFixed(1)} s between its snapshot and the moment they were locked are in neither.`
}

export function planPart(result: Restored): Markdown {
  return blocks(result.dryRun ? md`### The plan` : md`### What was done`, planTable(result.plan))
}

/** What to type next, after a dry run. */
export function nextDryPart({ facts, confirm }: Restored): Markdown | undefined {
  return facts?.obstacles.length
    ? undefined
    : md`**Next:** run it again with \`dry-run: false\` and \`confirm: ${text(confirm)}\`.`
}

/** What is otherwise than in what was restored; `ran` says what `prepare` means for it. */
export function differencePart({ prepared, cut }: Restored, ran: Markdown): Markdown | undefined {
  const ties = cut?.ties.length
    ? blocks(
        md`Not in it, so that it does not act on other systems:`,
        list(cut.ties.map((tie) => text(tie))),
      )
    : undefined
  const triggers = cut?.triggers.length
    ? blocks(
        md`Its event triggers are disabled. To enable them again, as a superuser:`,
        fence(cut.triggers.join('\n'), 'sql'),
      )
    : undefined
  const whole = blocks(prepared ? ran : undefined, ties, triggers)
  return whole.markdown ? whole : undefined
}

/** What to type next, where a database was replaced. */
export function undoPart(result: Restored): Markdown | undefined {
  const { previousDatabase: kept, target, confirm, environmentName } = result
  if (kept === undefined) return undefined
  const inputs = [
    ['undo', 'true'],
    ...(environmentName ? [['environment', environmentName]] : []),
    ['confirm', confirm],
  ] as [string, string][]
  return blocks(
    md`**Next:** look at your application. If this restore was wrong, take it back: the same \`target-url\`, and`,
    inputsPart(inputs),
    md`That swaps the two databases again, within a second. What was written since the restore is then kept beside in its turn.`,
    details(
      'To undo it by hand, without Holdfast',
      blocks(
        md`Stop the application, connect to another database (such as \`postgres\`), and run:`,
        renamesByHand(target, kept),
      ),
    ),
  )
}

export function keptPart(result: Restored): Markdown | undefined {
  const { previousDatabase: kept, keepPrevious } = result
  if (kept === undefined) return undefined
  const forHow =
    keepPrevious === undefined
      ? md`It is kept until somebody drops it; with \`keep-previous\`, a later restore does, or \`clean: true\`.`
      : md`It is kept for ${formatAge(keepPrevious)} (\`keep-previous\`): the next restore after that drops it, or \`clean: true\`.`
  return blocks(
    md`### What was kept`,
    md`The database as it was before is ${code(kept)}, which takes space on the server. ${forHow} When all is well, and sooner than that:`,
    fence(`DROP DATABASE ${quote(kept)};`, 'sql'),
  )
}
