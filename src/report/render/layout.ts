/** What a terminal can show. */
export interface Screen {
  /** Columns. */
  width: number
  colour: boolean
}

export type Style = 'bold' | 'code' | 'dim'

/** Text in one style. A line is a list of runs. */
export interface Run {
  text: string
  style?: Style
}

const codes: Record<Style, string> = { bold: '1', code: '36', dim: '2' }

/** Returns the text in a style, or as it is on a screen without colours. */
export function paint(text: string, style: Style | undefined, { colour }: Screen): string {
  return colour && style !== undefined && text !== ''
    ? `\u001b[${codes[style]}m${text}\u001b[0m`
    : text
}

export function paintRuns(runs: readonly Run[], screen: Screen): string {
  const joined: Run[] = []
  for (const run of runs) {
    const last = joined.at(-1)
    if (last !== undefined && last.style === run.style) last.text += run.text
    else joined.push({ ...run })
  }
  return joined.map(({ text, style }) => paint(text, style, screen)).join('')
}

/** Wraps runs to the screen. The first line begins with `first`, the others with `next`. */
export function flow(
  runs: readonly Run[],
  screen: Screen,
  first = '',
  next = ' '.repeat(widthOfText(first)),
): string[] {
  return wrap(runs, screen.width - widthOfText(first)).map((line, i) =>
    `${i === 0 ? first : next}${paintRuns(line, screen)}`.trimEnd(),
  )
}

/** A row of cells, two spaces between columns; a cell wraps within its column. */
export function layRow(
  cells: readonly (readonly Run[])[],
  widths: readonly number[],
  align: readonly ('left' | 'right')[],
  screen: Screen,
): string[] {
  const wrapped = cells.map((cell, i) => wrap(cell, widths[i] ?? 1))
  const height = Math.max(...wrapped.map((cell) => cell.length))
  return Array.from({ length: height }, (_, y) =>
    wrapped
      .map((cell, i) => {
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 1) - widthOf(cell[y] ?? [])))
        const text = paintRuns(cell[y] ?? [], screen)
        return align[i] === 'right' ? space + text : text + space
      })
      .join('  ')
      .trimEnd(),
  )
}

/** A cell is runs, a row is cells. */
type Rows = readonly (readonly (readonly Run[])[])[]

/** The least columns of a cell that wraps, unless it needs fewer. */
const narrowest = 6

/** The widths of columns, so that all of them fit. */
export function columnWidths(rows: Rows, width: number): number[] {
  const natural = widest(rows, widthOf)
  return fit(natural, [], width - 2 * (natural.length - 1))
}

/** The same for a table: where there is room, no word breaks, so that an id can be copied. */
export function tableWidths(rows: Rows, width: number): number[] {
  const words = widest(rows, (cell) => Math.max(...wordsOf(cell).map(widthOf)))
  const natural = widest(rows, widthOf)
  const room = width - 2 * (natural.length - 1)
  return fit(fit(natural, words, room), [], room)
}

/** The largest measure of the cells in each column, at least 1. */
function widest(rows: Rows, measure: (cell: readonly Run[]) => number): number[] {
  const count = Math.max(0, ...rows.map((row) => row.length))
  return Array.from({ length: count }, (_, i) =>
    Math.max(1, ...rows.map((row) => measure(row[i] ?? []))),
  )
}

/** Takes from the widest columns until all fit, or each has only its least width. */
function fit(natural: readonly number[], least: readonly number[], room: number): number[] {
  const widths = [...natural]
  for (let over = widths.reduce((sum, width) => sum + width, 0) - room; over > 0; over--) {
    const spare = widths.map((width, i) => (width > Math.max(narrowest, least[i] ?? 0) ? width : 0))
    const most = Math.max(...spare)
    if (most === 0) break
    widths[spare.indexOf(most)] = most - 1
  }
  return widths
}

/** Breaks between words, and inside a word that is longer than a line. Returns at least one line. */
function wrap(runs: readonly Run[], width: number): Run[][] {
  const lines: Run[][] = [[]]
  let used = 0
  let gap: Run = { text: '' }
  const add = (run: Run): void => {
    lines.at(-1)?.push(run)
    used += widthOfText(run.text)
  }
  const newLine = (): void => {
    lines.push([])
    used = 0
  }
  for (const word of wordsOf(runs)) {
    const [first] = word
    if (first?.text.trim() === '') {
      gap = first
      continue
    }
    if (used > 0 && used + widthOfText(gap.text) + widthOf(word) > width) newLine()
    else add(gap)
    for (const run of word) {
      for (const segment of graphemesOf(run.text)) {
        if (used + widthOfText(segment) > width) newLine()
        add({ ...run, text: segment })
      }
    }
  }
  return lines
}

/** Words, which can change their style in the middle, and the spaces between them. */
function wordsOf(runs: readonly Run[]): Run[][] {
  const words: Run[][] = []
  let open = false
  for (const run of runs) {
    for (const text of run.text.split(/( +)/).filter((part) => part !== '')) {
      const part: Run = { ...run, text }
      const isSpace = text.trim() === ''
      if (open && !isSpace) words.at(-1)?.push(part)
      else words.push([part])
      open = !isSpace
    }
  }
  return words
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const ascii = /^[ -~]*$/

/** The characters that a reader sees. Most texts are ASCII, for which the segmenter is slow. */
function graphemesOf(text: string): string[] {
  return ascii.test(text)
    ? text.split('')
    : Array.from(graphemes.segment(text), ({ segment }) => segment)
}

const emoji = /\p{Emoji_Presentation}|\ufe0f/u
const ideograph =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|[\uffe0-\uffe6\u{20000}-\u{3fffd}]/u

/** Columns that a text takes; an emoji or an ideograph takes two. */
export function widthOfText(text: string): number {
  if (ascii.test(text)) return text.length
  let width = 0
  for (const segment of graphemesOf(text))
    width += emoji.test(segment) || ideograph.test(segment) ? 2 : 1
  return width
}

export function widthOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { text }) => sum + widthOfText(text), 0)
}
