import type { RestoreResult } from '../core/restore.ts'
import { formatBytes, formatDuration, formatMoment } from './format.ts'
import { blocks, code, md, type Markdown } from './markdown.ts'
import { inputsPart, planTable } from './parts.ts'

/** What the reports of all restores have in common. */

/** A warning, where the restore took longer than was promised. */
export function timePart({ objective }: RestoreResult): string[] {
  if (!objective || objective.held) return []
  return [`The restore took ${formatDuration(objective.took)}, longer than the ${formatDuration(objective.limit)} of max-restore-time.`]
}

/** What the safety backup is, and how to restore it. */
export function safetyPart({ safetyBackup: made, mode, confirm, environmentName }: RestoreResult): Markdown | undefined {
  if (made === undefined) return undefined
  const inputs: [string, string][] = [['label', made.label], ['backup', made.id]]
  if (mode === 'in-place') inputs.push(['mode', mode])
  if (environmentName) inputs.push(['environment', environmentName])
  inputs.push(['confirm', confirm])
  const when = mode === 'swap' ? md` Where the kept database is gone too, restore it with` : md` To go back to it, restore it with`
  return blocks(
    md`The safety backup has the database as it was at ${formatMoment(made.snapshotAt)}: ${code(made.id)}, ${formatBytes(made.bytes)}, in ${{ markdown: made.locations.map((location) => code(location).markdown).join(' and ') }}.${when}`,
    inputsPart(inputs),
    md`\`latest\` never chooses it. Retention removes it when it is older than the oldest backup that is kept.`,
  )
}

export function planPart(result: RestoreResult): Markdown {
  return blocks(result.dryRun ? md`### The plan` : md`### What was done`, planTable(result.plan))
}
