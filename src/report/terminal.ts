/**
 * Shows a report, which is Markdown for GitHub, in a terminal. Knows what our reports use, and no
 * more of Markdown.
 */

export interface Screen {
  /** Columns. */
  width: number
  colour: boolean
}

type Style = 'bold' | 'code' | 'dim'
/** Text in one style. A line is a list of them. */
interface Run {
  text: string
  style?: Style
}

const codes: Record<Style, string> = { bold: '1', code: '36', dim: '2' }

export function paint(text: string, style: Style | undefined, { colour }: Screen): string {
  return colour && style !== undefined && text !== ''
    ? `\u001b[${codes[style]}m${text}\u001b[0m`
    : text
}

/** The whole of a summary, as lines for this screen. */
export function renderMarkdown(markdown: string, screen: Screen): string {
  return renderBlocks(markdown.replaceAll('\r', '').split('\n'), screen).join('\n')
}

function renderBlocks(lines: string[], screen: Screen): string[] {
  const out: string[] = []
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? ''
    const fence = /^(`{3,})(\w*)$/.exec(line)
    if (fence) {
      const end = find(lines, at + 1, (each) => each === fence[1])
      out.push(...renderFence(fence[2] ?? '', lines.slice(at + 1, end), screen))
      at = end + 1
    } else if (line === '<details>') {
      const end = closing(lines, at)
      out.push(...renderDetails(lines.slice(at + 1, end), screen))
      at = end + 1
    } else if (line.startsWith('|')) {
      const end = find(lines, at, (each) => !each.startsWith('|'))
      out.push(...renderTable(lines.slice(at, end), screen))
      at = end
    } else {
      out.push(...renderLine(line, screen))
      at++
    }
  }
  return out
}

function renderLine(line: string, screen: Screen): string[] {
  const heading = /^#{1,6} (.*)$/.exec(line)
  if (heading)
    return wrap(
      inline(heading[1] ?? '').map(({ text }): Run => ({ text, style: 'bold' })),
      screen.width,
    ).map((runs) => paintRuns(runs, screen))
  const [, mark = '', rest = ''] = /^(\s*(?:- |> ?|\d+\. )?)(.*)$/.exec(line) ?? []
  const first = mark.replace('- ', '• ').replace(/^> ?/, '│ ')
  const next = mark.startsWith('>') ? '│ ' : ' '.repeat(first.length)
  return wrap(inline(rest), screen.width - first.length).map((runs, i) =>
    `${i === 0 ? first : next}${paintRuns(runs, screen)}`.trimEnd(),
  )
}

/** A diagram is drawn by GitHub only; here its title says what it shows. */
function renderFence(language: string, lines: string[], screen: Screen): string[] {
  if (language !== 'mermaid') return lines.map((line) => `${paint('  │ ', 'dim', screen)}${line}`)
  const title = /title (.+)/.exec(lines.join('\n'))?.[1]
  return [paint(`  (a chart, on GitHub${title === undefined ? '' : `: ${title}`})`, 'dim', screen)]
}

/** What is folded on GitHub is shown open, set in. */
function renderDetails(lines: string[], screen: Screen): string[] {
  const title = /<summary>(.*)<\/summary>/.exec(lines[0] ?? '')?.[1] ?? ''
  const body = lines.slice(1).join('\n').trim().split('\n')
  return [
    `▸ ${inline(title)
      .map(({ text }) => text)
      .join('')}`,
    ...renderBlocks(body, { ...screen, width: screen.width - 2 }).map((line) =>
      `  ${line}`.trimEnd(),
    ),
  ]
}

function renderTable(lines: string[], screen: Screen): string[] {
  const [head = [], rule = [], ...rows] = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  const right = rule.map((cell) => cell.endsWith(':'))
  const cells = [
    head.map((cell) => inline(cell).map(({ text }): Run => ({ text, style: 'bold' }))),
    ...rows.map((row) => head.map((_, i) => inline(row[i] ?? ''))),
  ]
  const widths = fit(
    head.map((_, i) => Math.max(1, ...cells.map((row) => widthOf(row[i] ?? [])))),
    screen.width - 2 * (head.length - 1),
  )
  const drawn = cells.map((row) => {
    const wrapped = row.map((cell, i) => wrap(cell, widths[i] ?? 1))
    const height = Math.max(...wrapped.map((cell) => cell.length))
    return Array.from({ length: height }, (_, y) =>
      wrapped
        .map((cell, i) => {
          const space = ' '.repeat(Math.max(0, (widths[i] ?? 1) - widthOf(cell[y] ?? [])))
          const text = paintRuns(cell[y] ?? [], screen)
          return right[i] ? space + text : text + space
        })
        .join('  ')
        .trimEnd(),
    )
  })
  const [title = [], ...body] = drawn
  if (head.every((cell) => cell === '')) return body.flat()
  return [
    ...title,
    paint(widths.map((width) => '─'.repeat(width)).join('  '), 'dim', screen),
    ...body.flat(),
  ]
}

/** Takes from the widest columns until all fit. A column keeps at least six. */
function fit(natural: number[], room: number): number[] {
  const widths = [...natural]
  for (let over = widths.reduce((sum, width) => sum + width, 0) - room; over > 0; over--) {
    const widest = widths.indexOf(Math.max(...widths))
    if ((widths[widest] ?? 0) <= 6) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

/** Bold, code, links (their text only), and characters written as references. */
function inline(markdown: string): Run[] {
  const runs: Run[] = []
  const pattern =
    /\*\*(?<bold>.+?)\*\*|`(?<tick>[^`]+)`|<code>(?<code>.*?)<\/code>|\[(?<link>[^\]]+)\]\([^)]*\)|(?<other><br>)/g
  let at = 0
  for (const match of markdown.matchAll(pattern)) {
    runs.push({ text: plain(markdown.slice(at, match.index)) })
    at = match.index + match[0].length
    const { bold, tick, code, link } = match.groups ?? {}
    if (bold !== undefined)
      runs.push(...inline(bold).map(({ text, style }): Run => ({ text, style: style ?? 'bold' })))
    else if (tick !== undefined || code !== undefined)
      runs.push({ text: tick ?? plain(code ?? ''), style: 'code' })
    else runs.push({ text: plain(link ?? ' ') })
  }
  runs.push({ text: plain(markdown.slice(at)) })
  return runs.filter(({ text }) => text !== '')
}

function plain(text: string): string {
  return text
    .replaceAll('\u200b', '')
    .replace(/<\/?\w+>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/&#(\d+);/g, (_, number: string) => String.fromCodePoint(Number(number)))
}

/**
 * Breaks between words; a word that is longer than a line, anywhere. At least one line comes back.
 */
function wrap(runs: Run[], width: number): Run[][] {
  const lines: Run[][] = [[]]
  let used = 0
  const add = (run: Run): void => {
    lines.at(-1)?.push(run)
    used += widthOfText(run.text)
  }
  const newLine = (): void => {
    const last = lines.at(-1)
    if (last?.at(-1)?.text.trim() === '') last.pop()
    lines.push([])
    used = 0
  }
  for (const { text, style } of runs) {
    for (const word of text.split(/( +)/).filter((part) => part !== '')) {
      const run = (part: string): Run => ({ text: part, ...(style ? { style } : {}) })
      if (used + widthOfText(word) <= width) add(run(word))
      else if (word.trim() === '') newLine()
      else {
        if (used > 0) newLine()
        for (const part of pieces(word, width)) {
          if (used + widthOfText(part) > width && used > 0) newLine()
          add(run(part))
        }
      }
    }
  }
  return lines
}

function pieces(word: string, width: number): string[] {
  if (widthOfText(word) <= width) return [word]
  const all: string[] = ['']
  for (const { segment } of graphemes.segment(word)) {
    if (widthOfText(all.at(-1) ?? '') + widthOfText(segment) > width) all.push('')
    all[all.length - 1] += segment
  }
  return all
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const wide =
  /\p{Emoji_Presentation}|\ufe0f|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u

function widthOfText(text: string): number {
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}

function widthOf(runs: Run[]): number {
  return runs.reduce((sum, { text }) => sum + widthOfText(text), 0)
}

function paintRuns(runs: Run[], screen: Screen): string {
  const joined: Run[] = []
  for (const run of runs) {
    const last = joined.at(-1)
    if (last !== undefined && last.style === run.style) last.text += run.text
    else joined.push({ ...run })
  }
  return joined.map(({ text, style }) => paint(text, style, screen)).join('')
}

/** The first line from `from` on for which this holds, else the number of lines. */
function find(lines: string[], from: number, holds: (line: string) => boolean): number {
  const found = lines.findIndex((line, i) => i >= from && holds(line))
  return found < 0 ? lines.length : found
}

/** Where the fold that opens at `from` closes; folds can lie in folds. */
function closing(lines: string[], from: number): number {
  let depth = 0
  return find(lines, from, (line) => {
    depth += line === '<details>' ? 1 : line === '</details>' ? -1 : 0
    return depth === 0
  })
}
