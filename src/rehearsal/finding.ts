import type { FindingCode } from '../errors/catalogue.ts'

/** One thing that the rehearsal saw. */
export interface Finding {
  /** Stable kebab-case, for example `column-dropped`. */
  code: FindingCode
  severity: 'error' | 'warning' | 'note'
  /** For example `public.orders.total`. */
  object: string
  /** What was seen, one sentence, with figures. */
  evidence: string
  /** What to do, one sentence. */
  remedy: string
  /** How many values or rows are gone, where the finding is a loss. */
  lost?: number
}

export interface TableChange {
  table: string
  /** The name before, if renamed. */
  was?: string
  change: 'created' | 'dropped' | 'changed'
  rowsBefore?: number
  rowsAfter?: number
  /** The table's file was written anew, which locks it for as long as that takes. */
  rewritten: boolean
  /** Size before, bytes. */
  bytes?: number
}
