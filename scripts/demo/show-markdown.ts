import {
  columnWidths,
  flow,
  layRow,
  paint,
  type Run,
  type Screen,
} from '../../src/report/render/layout.ts'

/**
 * Shows a job summary in a terminal, so that the demo shows what GitHub would show. Reads the
 * Markdown that Holdfast writes, and no other.
 */
export function showMarkdown(markdown: string, screen: Screen): string {
  return showLines(markdown.split('\n'), screen).join('\n')
}

function showLines(lines: readonly string[], screen: Screen): string[] {
  const out: string[] = []
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? ''
    const fence = /^(`{3,})(\w*)$/.exec(line)
    if (fence) {
      const end = find(lines, at + 1, (each) => each === fence[1])
      out.push(...showFence(fence[2] ?? '', lines.slice(at + 1, end), screen))
      at = end + 1
    } else if (line === '<details>') {
      const end = closing(lines, at)
      out.push(...showDetails(lines.slice(at + 1, end), screen))
      at = end + 1
    } else if (line.startsWith('|')) {
      const end = find(lines, at, (each) => !each.startsWith('|'))
      out.push(...showTable(lines.slice(at, end), screen))
      at = end
    } else {
      out.push(...showLine(line, screen))
      at++
    }
  }
  return out
}

function showLine(line: string, screen: Screen): string[] {
  const heading = /^#{1,6} (.*)$/.exec(line)
  if (heading) return flow(bold(heading[1] ?? ''), screen)
  const [, mark = '', rest = ''] = /^((?:- |> |\d+\. )?)(.*)$/.exec(line) ?? []
  return flow(inline(rest), screen, mark.replace('- ', '• ').replace('> ', '│ '))
}

/** Shows the title of a chart, which GitHub would draw. */
function showFence(language: string, lines: readonly string[], screen: Screen): string[] {
  if (language !== 'mermaid') return lines.map((line) => `${paint('  │ ', 'dim', screen)}${line}`)
  const title = /title (.+)/.exec(lines.join('\n'))?.[1]
  return [paint(`  (a chart, on GitHub${title === undefined ? '' : `: ${title}`})`, 'dim', screen)]
}

function showDetails(lines: readonly string[], screen: Screen): string[] {
  const title = /<summary>(.*)<\/summary>/.exec(lines[0] ?? '')?.[1] ?? ''
  const body = lines.slice(1).join('\n').trim().split('\n')
  const inner = showLines(body, { ...screen, width: screen.width - 2 })
  return [...flow(inline(title), screen, '▸ '), ...inner.map((line) => `  ${line}`.trimEnd())]
}

function showTable(lines: readonly string[], screen: Screen): string[] {
  const [head = [], rule = [], ...rows] = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  const align = rule.map((cell) => (cell.endsWith(':') ? 'right' : 'left'))
  const cells = [head.map(bold), ...rows.map((row) => row.map(inline))]
  const widths = columnWidths(cells, screen.width)
  const [title = [], ...body] = cells.map((row) => layRow(row, widths, align, screen))
  const line = widths.map((width) => '─'.repeat(width)).join('  ')
  return [...title, paint(line, 'dim', screen), ...body.flat()]
}

function bold(markdown: string): Run[] {
  return inline(markdown).map(({ text }): Run => ({ text, style: 'bold' }))
}

/** Bold, code, links (their text only), and characters written as references. */
function inline(markdown: string): Run[] {
  const runs: Run[] = []
  const pattern =
    /\*\*(?<bold>.+?)\*\*|`(?<tick>[^`]+)`|<code>(?<code>.*?)<\/code>|\[(?<link>[^\]]+)\]\([^)]*\)/g
  let at = 0
  for (const match of markdown.matchAll(pattern)) {
    runs.push({ text: plain(markdown.slice(at, match.index)) })
    at = match.index + match[0].length
    const { bold: strong, tick, code, link } = match.groups ?? {}
    if (strong !== undefined)
      runs.push(...inline(strong).map(({ text, style }): Run => ({ text, style: style ?? 'bold' })))
    else if (tick !== undefined || code !== undefined)
      runs.push({ text: tick ?? plain(code ?? ''), style: 'code' })
    else runs.push({ text: plain(link ?? '') })
  }
  runs.push({ text: plain(markdown.slice(at)) })
  return runs.filter(({ text }) => text !== '')
}

function plain(text: string): string {
  return text
    .replaceAll('\u200b', '')
    .replace(/&#(\d+);/g, (_, number: string) => String.fromCodePoint(Number(number)))
}

/** Returns the first line from `from` for which `holds` is true, or else the number of lines. */
function find(lines: readonly string[], from: number, holds: (line: string) => boolean): number {
  const found = lines.findIndex((line, i) => i >= from && holds(line))
  return found < 0 ? lines.length : found
}

/** Returns the line on which the fold that opens at `from` closes. Folds can be nested. */
function closing(lines: readonly string[], from: number): number {
  let depth = 0
  return find(lines, from, (line) => {
    depth += line === '<details>' ? 1 : line === '</details>' ? -1 : 0
    return depth === 0
  })
}
