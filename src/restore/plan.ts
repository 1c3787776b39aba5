import type { FoundBackup } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'
import { plainText, type Text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreOptions } from './options.ts'

/** One step of a restore, as a sentence. */
export interface PlanStep {
  step: Text
  done: boolean
}

export type Steps = Record<'create' | 'load' | 'compare' | 'settings' | 'swap', PlanStep>

/** What can be compared, by what the backup's fingerprint has. */
const compared = {
  content: 'rows, content, schema, sequences',
  counts: 'rows, schema, sequences (content was not measured: fingerprint: counts)',
  none: 'sequences and extensions (nothing else was measured: fingerprint: none)',
}

export function planOf(
  backup: FoundBackup,
  target: string,
  previous: string | undefined,
  contents: 'all' | 'schema' | 'data' = 'all',
): Steps {
  const { manifest } = backup
  const { kind } = manifest.fingerprint
  const { rows, tables } = totalsOf(manifest)
  const schema = contents === 'schema'
  const held = schema
    ? 'definitions alone, '
    : kind === 'none'
      ? ''
      : `${tables} ${tables === 1 ? 'table' : 'tables'}, ${rows.toLocaleString('en-US')} rows, `
  return {
    create: step(
      `Create an empty database beside "${target}", with the backup's encoding and locale`,
    ),
    load: step(
      `Restore ${manifest.id} of "${manifest.source.database}" (label ${manifest.label}) into it: ${held}as of ${manifest.snapshot.at}`,
    ),
    compare: step(
      `Compare it with the fingerprint: ${schema ? (kind === 'none' ? 'extensions (the schema was not measured: fingerprint: none)' : 'schema and extensions') : compared[kind]}`,
    ),
    ...lastSteps(target, previous),
  }
}

/** How a new database beside the target gets ready and takes its name, whatever is in it. */
export function lastSteps(
  target: string,
  previous: string | undefined,
): Pick<Steps, 'settings' | 'swap'> {
  return {
    settings: step(
      `ANALYZE it${previous === undefined ? '' : `, and give it the owner, grants and settings of "${target}"`}`,
    ),
    swap: step(
      previous === undefined
        ? `Name it "${target}"`
        : `In one transaction: rename "${target}" to "${previous}" (kept), and the new database to "${target}"; sessions are ended for it`,
    ),
  }
}

/** A sentence of a plan, not done yet. */
export function step(text: Text): PlanStep {
  return { step: text, done: false }
}

const order = [
  'safety',
  'create',
  'load',
  'compare',
  'settings',
  'cut',
  'prepare',
  'swap',
  'command',
  'clean',
] as const

export type StepName = (typeof order)[number]

/** The plan's own steps, and those that were asked for. */
export type AllSteps = Steps & Partial<Record<StepName, PlanStep>>

/** Puts the further steps of this restore between those of the plan. */
export function withSteps(
  steps: Steps,
  more: Partial<Record<Exclude<StepName, keyof Steps>, Text | undefined>>,
): AllSteps {
  const added = Object.entries(more).flatMap(([name, text]) =>
    text === undefined ? [] : [[name, { step: text, done: false }]],
  )
  return { ...steps, ...(Object.fromEntries(added) as Partial<Record<StepName, PlanStep>>) }
}

export function inOrder(steps: Partial<AllSteps>): PlanStep[] {
  return order.flatMap((name) => steps[name] ?? [])
}

/** The sentences for what follows the swap, and for `prepare`. */
export function stepsAsked({
  prepare,
  postCommand,
  keepPrevious,
}: RestoreOptions): Record<'prepare' | 'command' | 'clean', Text | undefined> {
  return {
    prepare:
      prepare === undefined
        ? undefined
        : `Run the SQL of prepare in it, as one transaction (${lines(prepare)}); what it changes is no longer what the backup has`,
    command: postCommand === undefined ? undefined : 'Run the post-command',
    clean:
      keepPrevious === undefined
        ? undefined
        : 'Drop the databases that earlier restores replaced, and that were kept long enough',
  }
}

export function finish({ steps }: { steps: AllSteps }, name: StepName, work: Work): void {
  const step = steps[name]
  if (!step) return
  step.done = true
  work.log.info(`Done: ${plainText(step.step)}`)
}

function lines(sql: string): string {
  const count = sql.trim().split('\n').length
  return count === 1 ? 'one line' : `${count} lines`
}
