import type { Depth } from '../../postgres/fingerprint/fingerprint.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { input, join, type Text, text } from '../../text.ts'
import { type PlanStep, planStep } from '../plan.ts'

export type InPlaceSteps = Record<'empty' | 'load' | 'compare' | 'commit', PlanStep>

/** What can be compared, by the kind of the backup's fingerprint. */
const comparable: Record<Depth, Text> = {
  content: 'rows, content, sequences and large objects',
  counts: join(
    [
      'rows, sequences and the number of large objects',
      text`(not content: ${input('fingerprint', 'counts')})`,
    ],
    ' ',
  ),
  none: text`sequences and extensions (nothing else: ${input('fingerprint', 'none')})`,
}

/** Returns the steps of the transaction. */
export function planInPlace(
  { manifest }: FoundBackup,
  target: string,
  contents: 'all' | 'schema',
): InPlaceSteps {
  const { kind } = manifest.fingerprint
  const definitionsOnly = contents === 'schema'
  return {
    empty: planStep(
      `Begin one transaction in "${target}", and drop everything in it ` +
        '(waits for the sessions that use it)',
    ),
    load: planStep(
      `Restore ${manifest.id} of "${manifest.source.database}" ` +
        `(as of ${manifest.snapshot.at}) in its place${definitionsOnly ? ', definitions only' : ''}`,
    ),
    compare: planStep(
      definitionsOnly
        ? 'Check that every table exists'
        : text`Compare ${comparable[kind]} with the fingerprint, in the same transaction`,
    ),
    commit: planStep(
      kind === 'none' ? 'Commit, and ANALYZE' : 'Commit, ANALYZE, and compare the schema',
    ),
  }
}
