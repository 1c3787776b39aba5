import type { FindingCode } from '../errors/catalogue.ts'

/** One result of a rehearsal. */
export interface Finding {
  /** Stable kebab-case, for example `column-dropped`. */
  code: FindingCode
  severity: 'error' | 'warning' | 'note'
  /** For example `public.orders.total`. */
  object: string
  /** What happened, in one or two sentences, with figures. */
  evidence: string
  /** What to do, in one or two sentences. */
  remedy: string
  /** Number of lost values or rows, if the finding is a loss. */
  lost?: number
}

export interface TableChange {
  table: string
  /** The name before, if renamed. */
  was?: string
  change: 'created' | 'dropped' | 'changed'
  rowsBefore?: number
  rowsAfter?: number
  /** The table's file was rewritten, which locks the table until the rewrite ends. */
  rewritten: boolean
  /** Size before, bytes. */
  bytes?: number
}

/** Returns a number with its noun: `1 row`, `12,000 rows`. */
export function figure(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}
