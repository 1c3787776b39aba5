import { code, details, fence, list, md, type Markdown } from './markdown.ts'
import { formatMany } from './format.ts'

/** At most so many rows of a long list are shown; the rest is counted. */
export const mostRows = 50

export function warningsPart(warnings: readonly string[]): Markdown | undefined {
  if (warnings.length === 0) return undefined
  return { markdown: warnings.map((warning) => md`> ⚠️ ${warning}`.markdown).join('\n>\n') }
}

/** The inputs to type next, as YAML that can be pasted below `with:`. */
export function inputsPart(inputs: readonly (readonly [name: string, value: string])[]): Markdown {
  return fence(inputs.map(([name, value]) => `${name}: ${yamlValue(value)}`).join('\n'), 'yaml')
}

/** The first of a long list, and a sentence that says how many more there are. */
export function capped<T>(all: readonly T[], show: (items: readonly T[]) => Markdown, noun: string, plural?: string): Markdown {
  const shown = show(all.slice(0, mostRows))
  const more = all.length - mostRows
  return more > 0 ? { markdown: `${shown.markdown}\n\n${md`… and ${formatMany(more, noun, plural)} more.`.markdown}` } : shown
}

export function foldedList(title: string, items: readonly string[], as: (raw: string) => Markdown = code): Markdown | undefined {
  if (items.length === 0) return undefined
  return details(title, capped(items, (some) => list(some.map(as)), 'entry', 'entries'))
}

function yamlValue(value: string): string {
  const flat = value.replace(/[\r\n]+/g, ' ')
  return /^[A-Za-z][\w./-]*$/.test(flat) || /^\$\{\{ [\w.]+ \}\}$/.test(flat) ? flat : `'${flat.replaceAll("'", "''")}'`
}
