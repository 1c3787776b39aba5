/** How far a backup was proven, each level named for what was seen; each includes those before it. `accepted`: checks of the user's own passed, too. */
export const levels = ['none', 'stored', 'readable', 'restored', 'counted', 'identical', 'accepted'] as const
export type Level = (typeof levels)[number]

/** What one comparison saw. `expected` is the fingerprint's side, `found` the copy's; short texts, never row data. */
export interface Difference {
  kind: 'rows' | 'content' | 'schema' | 'sequence' | 'large-objects' | 'extension' | 'index' | 'matview'
  /** The thing's name as a person would write it, for example `public.orders` or `TABLE public.orders`. */
  object: string
  expected: string
  found: string
}
