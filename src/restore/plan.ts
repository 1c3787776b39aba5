import type { FoundBackup } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'
import { input, join, plainText, type Text, text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'

/** One step of a restore, as a sentence. */
export interface PlanStep {
  step: Text
  done: boolean
}

/** The steps of every restore into a side database. */
export type Steps = Record<'create' | 'load' | 'compare' | 'settings' | 'swap', PlanStep>

/** What can be compared, by the kind of the backup's fingerprint. */
const comparable: Record<'content' | 'counts' | 'none', Text> = {
  content: 'rows, content, schema, sequences',
  counts: text`rows, schema, sequences (not content: ${input('fingerprint', 'counts')})`,
  none: text`sequences and extensions (nothing else: ${input('fingerprint', 'none')})`,
}

/** What can be compared when only definitions are restored. */
const comparableDefinitions: Record<'content' | 'counts' | 'none', Text> = {
  content: 'schema and extensions',
  counts: 'schema and extensions',
  none: text`extensions (not the schema: ${input('fingerprint', 'none')})`,
}

/**
 * Returns the steps to restore a backup into a side database. `previous` is the name under which
 * the target is kept; undefined if there is no target.
 */
export function planSteps(
  { manifest }: FoundBackup,
  target: string,
  previous: string | undefined,
  contents: 'all' | 'schema' | 'data' = 'all',
): Steps {
  const { kind } = manifest.fingerprint
  const definitionsOnly = contents === 'schema'
  const { rows, tables } = totalsOf(manifest)
  const count = `${tables} ${tables === 1 ? 'table' : 'tables'}, ${rows.toLocaleString('en-US')} rows, `
  const what = definitionsOnly ? 'definitions only, ' : kind === 'none' ? '' : count
  const compared = (definitionsOnly ? comparableDefinitions : comparable)[kind]
  return {
    create: planStep(
      `Create an empty database next to "${target}", with the backup's encoding and locale`,
    ),
    load: planStep(
      `Restore ${manifest.id} of "${manifest.source.database}" (label ${manifest.label}) into it: ` +
        `${what}as of ${manifest.snapshot.at}`,
    ),
    compare: planStep(text`Compare it with the fingerprint: ${compared}`),
    ...lastSteps(target, previous),
  }
}

/** Returns the steps that make a side database ready and give it the target's name. */
export function lastSteps(
  target: string,
  previous: string | undefined,
): Pick<Steps, 'settings' | 'swap'> {
  if (previous === undefined)
    return { settings: planStep('ANALYZE it'), swap: planStep(`Name it "${target}"`) }
  return {
    settings: planStep(`ANALYZE it, and copy owner, grants and settings of "${target}" to it`),
    swap: planStep(
      `In one transaction: rename "${target}" to "${previous}" (kept), and the new database to ` +
        `"${target}"; the swap ends the sessions of both`,
    ),
  }
}

/** Returns a step that is not done yet. */
export function planStep(step: Text): PlanStep {
  return { step, done: false }
}

const order = [
  'safety',
  'create',
  'load',
  'compare',
  'settings',
  'isolate',
  'prepare',
  'swap',
  'command',
  'clean',
] as const

export type StepName = (typeof order)[number]

/** The steps of every restore, and the optional ones. */
export type AllSteps = Steps & Partial<Record<StepName, PlanStep>>

/** Adds optional steps; skips those without a sentence. */
export function withSteps(
  steps: Steps,
  more: Partial<Record<Exclude<StepName, keyof Steps>, Text | undefined>>,
): AllSteps {
  const added = Object.entries(more).flatMap(([name, sentence]) =>
    sentence === undefined ? [] : [[name, planStep(sentence)]],
  )
  return { ...steps, ...(Object.fromEntries(added) as Partial<Record<StepName, PlanStep>>) }
}

/** Returns the steps in the order in which they are done. */
export function orderSteps(steps: Partial<AllSteps>): PlanStep[] {
  return order.flatMap((name) => steps[name] ?? [])
}

/** Returns the sentences of the steps that only some inputs add; undefined for a missing input. */
export function optionalSteps({
  prepare,
  postCommand,
  keepPrevious,
}: RestoreOptions): Record<'prepare' | 'command' | 'clean', Text | undefined> {
  return {
    prepare:
      prepare === undefined
        ? undefined
        : join(
            [
              text`Run the SQL of ${input('prepare')} in it, as one transaction (${lines(prepare)});`,
              'what it changes differs from the backup',
            ],
            ' ',
          ),
    command: postCommand === undefined ? undefined : 'Run the post-command',
    clean:
      keepPrevious === undefined
        ? undefined
        : text`Drop previous databases that are older than ${input('keep-previous')}`,
  }
}

/** Marks a step as done, and logs it. Does nothing if the plan does not have the step. */
export function markDone({ steps }: { steps: AllSteps }, name: StepName, work: Work): void {
  const step = steps[name]
  if (!step) return
  step.done = true
  work.log.info(`Done: ${plainText(step.step)}`)
}

function lines(sql: string): string {
  const count = sql.trim().split('\n').length
  return count === 1 ? 'one line' : `${count} lines`
}
