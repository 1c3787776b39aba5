import type { Chart } from '../blocks.ts'

/** GitHub draws no diagram with more characters. */
const maxCharacters = 50_000

/** Returns the source of a chart in Mermaid's language, or undefined if GitHub would not draw it. */
export function mermaid(chart: Chart): string | undefined {
  const source = (chart.shape === 'timeline' ? gantt(chart) : pie(chart)).join('\n')
  return source.length > maxCharacters ? undefined : source
}

function gantt({ title, parts }: Chart): string[] {
  const total = parts.reduce((sum, { value }) => sum + value, 0)
  let at = 0
  const bars = parts.map(({ name, value }) => {
    const start = Math.round(at)
    at += value
    return `  ${label(name)} :${start}, ${Math.max(start + 1, Math.round(at))}`
  })
  // times are milliseconds since 1970, so the axis counts from zero
  return [
    'gantt',
    `  title ${label(title)}`,
    '  dateFormat x',
    `  axisFormat ${total < 3_600_000 ? '%M:%S' : '%H:%M'}`,
    ...bars,
  ]
}

function pie({ title, parts }: Chart): string[] {
  return [
    `pie title ${label(title)}`,
    ...parts.map(({ name, value }) => `  "${label(name)}" : ${Math.round(value)}`),
  ]
}

/** Mermaid has no escape that holds in every diagram, so only harmless characters go in. */
function label(raw: string): string {
  const clean = raw
    .replace(/[^\p{L}\p{N} ._()/-]/gu, '_')
    .slice(0, 60)
    .trim()
  // a label that is one of Mermaid's keywords ends the diagram
  return /^(end|section|title|done|active|crit|milestone)$/i.test(clean) || clean === ''
    ? `_${clean}`
    : clean
}
