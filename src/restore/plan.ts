import type { FoundBackup } from '../repository/listing.ts'
import { totalsOf } from '../repository/manifest.ts'

/** One step of a restore, as a sentence. */
export interface PlanStep {
  step: string
  done: boolean
}

export type Steps = Record<'create' | 'load' | 'compare' | 'prepare' | 'swap', PlanStep>

/** What can be compared, by what the backup's fingerprint has. */
const compared = {
  content: 'rows, content, schema, sequences',
  counts: 'rows, schema, sequences (content was not measured: fingerprint: counts)',
  none: 'sequences and extensions (nothing else was measured: fingerprint: none)',
}

export function planOf(backup: FoundBackup, target: string, previous: string | undefined, contents: 'all' | 'schema' | 'data' = 'all'): Steps {
  const { manifest } = backup
  const { kind } = manifest.fingerprint
  const { rows, tables } = totalsOf(manifest)
  const schema = contents === 'schema'
  const held = schema ? 'definitions alone, ' : kind === 'none' ? '' : `${tables} ${tables === 1 ? 'table' : 'tables'}, ${rows.toLocaleString('en-US')} rows, `
  return {
    create: step(`Create an empty database beside "${target}", with the backup's encoding and locale`),
    load: step(`Restore ${manifest.id} of "${manifest.source.database}" (label ${manifest.label}) into it: ${held}as of ${manifest.snapshot.at}`),
    compare: step(`Compare it with the fingerprint: ${schema ? (kind === 'none' ? 'extensions (the schema was not measured: fingerprint: none)' : 'schema and extensions') : compared[kind]}`),
    ...lastSteps(target, previous),
  }
}

/** How a new database beside the target gets ready and takes its name, whatever is in it. */
export function lastSteps(target: string, previous: string | undefined): Pick<Steps, 'prepare' | 'swap'> {
  return {
    prepare: step(`ANALYZE it${previous === undefined ? '' : `, and give it the owner, grants and settings of "${target}"`}`),
    swap: step(previous === undefined ? `Name it "${target}"` : `In one transaction: rename "${target}" to "${previous}" (kept), and the new database to "${target}"; sessions are ended for it`),
  }
}

/** A sentence of a plan, not done yet. */
export function step(text: string): PlanStep {
  return { step: text, done: false }
}
