import type { Inline, Surface, Text } from '../../text.ts'

/** Returns the pieces of a text for one surface: words that differ are chosen, strings merged. */
export function piecesFor(text: Text, surface: Surface): Exclude<Inline, { kind: 'either' }>[] {
  const merged: Exclude<Inline, { kind: 'either' }>[] = []
  for (const each of typeof text === 'string' ? [text] : text) {
    const piece = typeof each !== 'string' && each.kind === 'either' ? each[surface] : each
    const last = merged.at(-1)
    if (typeof piece === 'string' && typeof last === 'string') merged.splice(-1, 1, last + piece)
    else merged.push(piece)
  }
  return merged
}
