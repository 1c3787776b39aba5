import type { RestoredPart } from '../core/restore-part.ts'
import type { RestoreResult } from '../core/restore.ts'
import { formatBytes, formatDuration, formatMoment } from './format.ts'
import { blocks, code, fence, md, type Markdown } from './markdown.ts'
import { inputsPart, planTable, sqlName } from './parts.ts'

/** What the reports of all restores have in common. */

/** A warning, where the restore took longer than was promised. */
export function timePart({ objective }: RestoreResult): string[] {
  if (!objective || objective.held) return []
  return [`The restore took ${formatDuration(objective.took)}, longer than the ${formatDuration(objective.limit)} of max-restore-time.`]
}

/** What the safety backup is, and how to restore it. */
export function safetyPart({ safetyBackup: made, mode, part, confirm, environmentName }: RestoreResult): Markdown | undefined {
  if (made === undefined) return undefined
  const inputs: [string, string | string[]][] = [['label', made.label], ['backup', made.id]]
  const back = part && wayBack(part)
  if (back) inputs.push(...back.inputs)
  if (mode === 'in-place') inputs.push(['mode', mode])
  if (environmentName) inputs.push(['environment', environmentName])
  inputs.push(['confirm', confirm])
  const when = mode === 'swap' ? md` Where the kept database is gone too, restore it with` : md` To go back to it, restore it with`
  const anew = back?.drop === undefined ? undefined : blocks(md`These were not there before, and the safety backup does not have them. To remove them again:`, fence(back.drop, 'sql'))
  return blocks(
    md`The safety backup has the database as it was at ${formatMoment(made.snapshotAt)}: ${code(made.id)}, ${formatBytes(made.bytes)}, in ${{ markdown: made.locations.map((location) => code(location).markdown).join(' and ') }}.${!back || back.inputs.length ? when : ''}`,
    !back || back.inputs.length ? inputsPart(inputs) : undefined,
    anew,
    part && unsavedPart(part),
    md`\`latest\` never chooses it. Retention removes it when it is older than the oldest backup that is kept.`,
  )
}

/** The same part of the safety backup, and no more. Tables that were made anew are not in it: then the others are named one by one. */
function wayBack({ asked, tables }: RestoredPart): { inputs: [string, string | string[]][]; drop?: string } {
  const named = (how: string): string[] => tables.filter((table) => table.how === how).map(({ table }) => table)
  const [created, replaced] = [named('created'), named('replaced')]
  const again = created.length ? { tables: replaced, schemas: [] } : replaced.length ? asked : { tables: [], schemas: [] }
  const lists = Object.entries(again).flatMap(([name, values]): [string, string[]][] => (values.length ? [[name, values]] : []))
  return {
    inputs: lists.length ? [...lists, ['replace', 'true']] : [],
    ...(created.length ? { drop: `DROP TABLE ${created.map(sqlName).join(', ')};` } : {}),
  }
}

function unsavedPart({ unsaved = 0, contents }: RestoredPart): Markdown | undefined {
  if (unsaved <= 0 || contents === 'schema') return undefined
  return md`Rows written to these tables in the ${(unsaved / 1000).toFixed(1)} s between its snapshot and the moment they were locked are in neither.`
}

export function planPart(result: RestoreResult): Markdown {
  return blocks(result.dryRun ? md`### The plan` : md`### What was done`, planTable(result.plan))
}
