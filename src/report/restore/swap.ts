import type { Restored, RestoreResult } from '../../restore/result.ts'
import type { RestoreExternalResult } from '../../restore/swap/external-dump.ts'
import { type Chart, blocks, type Report, timeline } from '../blocks.ts'
import { postCommandDetails, swapByHand } from '../sections.ts'
import { cleanedBlocks } from './clean.ts'
import { planBlocks, previousDatabaseBlocks, safetyBackupBlocks } from './sections.ts'

/** What a swap leaves, and how to undo it: the end of the report, before the details. */
export function swapEvidence(result: RestoreResult | RestoreExternalResult): Report {
  const { previousDatabase, target } = result
  return blocks(
    previousDatabaseBlocks(result),
    safetyBackupBlocks(result),
    result.cleaned && cleanedBlocks(result.cleaned, false),
    planBlocks(result),
    previousDatabase === undefined
      ? undefined
      : swapByHand('Undo it by hand, without Holdfast', target, previousDatabase),
    postCommandDetails(result.postCommand),
  )
}

/** `compared` names what happened between the restore and the swap. */
export function timeChart(timings: Restored['timings'], compared: string): Chart | undefined {
  return timeline('Time by step', [
    { name: 'Safety backup', milliseconds: timings.safety ?? 0 },
    { name: 'Restore next to the target', milliseconds: timings.restore },
    { name: compared, milliseconds: timings.compare },
    { name: 'Prepare', milliseconds: timings.prepare ?? 0 },
    { name: 'Swap', milliseconds: timings.swap },
    { name: 'Post-command', milliseconds: timings.command ?? 0 },
  ])
}
