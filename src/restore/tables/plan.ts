import type { FoundBackup } from '../../repository/listing.ts'
import type { commonSteps } from '../live-target.ts'
import { type PlanStep, planStep } from '../plan.ts'
import type { RestoredTables } from '../result.ts'

export type TableSteps = Record<'build' | 'bring', PlanStep>

/**
 * Adds the common steps. The safety backup comes after the build, which changes nothing in the
 * target, so that little is written between its snapshot and the locks.
 */
export function withCommonSteps(
  { build, bring }: TableSteps,
  { safety, command }: ReturnType<typeof commonSteps>,
): Record<string, PlanStep> {
  return { build, ...(safety ? { secure: safety } : {}), bring, ...(command ? { command } : {}) }
}

/** How the tables are compared, by the kind of the backup's fingerprint. */
const comparison = {
  none: {
    build: 'with the rows of these tables (the backup has no fingerprint to compare them with)',
    replace: "compare them with the archives' contents",
  },
  counts: {
    build: 'with the rows of these tables, and compare the number of rows with the fingerprint',
    replace: 'compare the number of rows with the fingerprint',
  },
  content: {
    build: 'with the rows of these tables, and compare them with the fingerprint',
    replace: 'compare them with the fingerprint',
  },
}

/** Returns the mode's own steps. */
export function planTables(
  { manifest }: FoundBackup,
  target: string,
  { wanted, replace, contents, fingerprint }: RestoredTables,
): TableSteps {
  const compared = contents === 'schema' ? 'without rows' : comparison[fingerprint].build
  return {
    build: planStep(
      `Restore ${wanted.join(', ')} of ${manifest.id} (as of ${manifest.snapshot.at}) ` +
        `into a database next to "${target}", ${compared}`,
    ),
    bring: planStep(
      replace
        ? replaceSentence(target, contents, comparison[fingerprint].replace)
        : `Copy them into a new schema of "${target}", in one transaction; ` +
            'existing tables are not changed',
    ),
  }
}

function replaceSentence(
  target: string,
  contents: RestoredTables['contents'],
  compare: string,
): string {
  if (contents === 'schema')
    return (
      `Create the tables that "${target}" lacks, without rows, in one transaction; ` +
      'existing tables are not changed'
    )
  const recreate = contents === 'data' ? '' : 're-create missing tables, '
  return (
    `In one transaction in "${target}": lock the tables, replace their rows, ${recreate}` +
    `check the valid foreign keys, ${compare}, commit`
  )
}
