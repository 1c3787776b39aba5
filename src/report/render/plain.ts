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

/** One line: line ends and tabs become spaces. */
export function flatten(raw: string): string {
  return withoutControls(raw.replace(/\r\n|[\n\r\t\v\f\u0085\u2028\u2029]/g, ' '))
}

/** Removes terminal colours, other control characters, and marks that turn the text's direction. */
export function withoutControls(raw: string): string {
  return raw
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '')
    .replace(
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
      '',
    )
}
