import { fence, type Markdown } from './markdown.ts'

/** GitHub draws no diagram with more characters than this. */
const longest = 50_000

/**
 * Steps one after the other, as bars over time; `milliseconds` each. Undefined when there is
 * nothing to draw.
 */
export function timeline(
  title: string,
  steps: readonly { name: string; milliseconds: number }[],
): Markdown | undefined {
  const drawn = steps.filter((step) => step.milliseconds > 0)
  if (drawn.length < 2) return undefined
  const total = drawn.reduce((sum, step) => sum + step.milliseconds, 0)
  let at = 0
  const lines = drawn.map((step) => {
    const start = Math.round(at)
    at += step.milliseconds
    return `  ${label(step.name)} :${start}, ${Math.max(start + 1, Math.round(at))}`
  })
  // times are milliseconds since 1970, so the axis counts from zero
  return diagram([
    'gantt',
    `  title ${label(title)}`,
    '  dateFormat x',
    `  axisFormat ${total < 3_600_000 ? '%M:%S' : '%H:%M'}`,
    ...lines,
  ])
}

/** Shares of a whole. Values below a hundredth of it are drawn as one. */
export function pie(
  title: string,
  parts: readonly { name: string; value: number }[],
): Markdown | undefined {
  const total = parts.reduce((sum, part) => sum + part.value, 0)
  const seen = parts.filter((part) => part.value > 0 && part.value >= total / 100)
  if (seen.length < 2) return undefined
  const rest = total - seen.reduce((sum, part) => sum + part.value, 0)
  const slices = rest > 0 ? [...seen, { name: 'the rest', value: rest }] : seen
  return diagram([
    `pie title ${label(title)}`,
    ...slices.map((part) => `  "${label(part.name)}" : ${Math.round(part.value)}`),
  ])
}

function diagram(lines: string[]): Markdown | undefined {
  const source = lines.join('\n')
  return source.length > longest ? undefined : fence(source, 'mermaid')
}

/** Mermaid has no escape that holds in every diagram, so only harmless characters go in. */
function label(raw: string): string {
  const clean = raw
    .replace(/[^\p{L}\p{N} ._()/-]/gu, '_')
    .slice(0, 60)
    .trim()
  // a label that is one of its words ends the diagram
  return /^(end|section|title|done|active|crit|milestone)$/i.test(clean) || clean === ''
    ? `_${clean}`
    : clean
}
