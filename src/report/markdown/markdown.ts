/**
 * Markdown for GitHub that nothing can break out of: what is not `Markdown` is text, and is escaped
 * wherever it stands. Names and messages come from databases and from migrations of pull requests,
 * so they are taken for hostile.
 */
export interface Markdown {
  readonly markdown: string
}
export type Piece = string | number | Markdown

/** A template whose values are escaped, unless they are Markdown already. */
export function md(parts: TemplateStringsArray, ...values: Piece[]): Markdown {
  return {
    markdown: parts.reduce((whole, part, i) => whole + toMarkdown(values[i - 1] as Piece) + part),
  }
}

/** Puts blocks below each other; empty ones are left out. */
export function blocks(...all: (Markdown | undefined)[]): Markdown {
  return {
    markdown: all.flatMap((block) => (block?.markdown ? [block.markdown] : [])).join('\n\n'),
  }
}

/** Sentences of plain text in one paragraph, or table cell. */
export function text(raw: string): Markdown {
  return { markdown: escape(raw.trim()) }
}

/**
 * A name or a value, set as code. GitHub's tables cannot hold every string in a code span (a
 * backslash before a pipe splits the cell), so a string with anything delicate in it is written as
 * `<code>` with character references.
 */
export function code(raw: string): Markdown {
  const flat = flatten(raw)
  if (flat === '') return { markdown: '<code>&#32;</code>' }
  if (/^[^`|\\]+$/.test(flat) && flat === flat.trim()) return { markdown: `\`${flat}\`` }
  return {
    markdown: `<code>${flat.replace(/[^A-Za-z0-9 /=,()\u00a0-\u{10ffff}-]/gu, reference)}</code>`,
  }
}

export function table(
  head: readonly Piece[],
  rows: readonly (readonly Piece[])[],
  align: readonly ('left' | 'right')[] = [],
): Markdown {
  const line = (cells: readonly Piece[]): string =>
    `| ${head.map((_, i) => toMarkdown(cells[i] ?? '')).join(' | ')} |`
  const rule = head.map((_, i) => (align[i] === 'right' ? '---:' : '---'))
  return { markdown: [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n') }
}

export function list(items: readonly Piece[]): Markdown {
  return { markdown: items.map((item) => `- ${toMarkdown(item)}`).join('\n') }
}

/**
 * What somebody else wrote, line by line as it came; no run of backticks in it can end the fence.
 */
export function fence(raw: string, language = ''): Markdown {
  const clean = withoutControls(raw.replace(/\r\n?/g, '\n')).replace(/\n+$/, '')
  const longest = Math.max(2, ...(clean.match(/`+/g) ?? []).map((run) => run.length))
  const bar = '`'.repeat(longest + 1)
  return { markdown: `${bar}${language}\n${clean}\n${bar}` }
}

/** Folded away until somebody opens it. The title is text: GitHub reads no Markdown there. */
export function details(title: string, body: Markdown): Markdown {
  return {
    markdown: `<details>\n<summary>${escape(title)}</summary>\n\n${body.markdown}\n\n</details>`,
  }
}

/**
 * Cuts a report to a limit (bytes of UTF-8, or characters as JavaScript counts them), at the end of
 * a line, closes what was open there, and says so. A report within the limit comes back as it is.
 */
export function truncate(markdown: string, limit: number, unit: 'bytes' | 'characters'): string {
  const measure = (part: string): number =>
    unit === 'bytes' ? Buffer.byteLength(part) : part.length
  const whole = measure(markdown)
  if (whole <= limit) return markdown
  const room = limit - 400
  const kept: string[] = []
  let used = 0
  let fenced = ''
  const open: string[] = []
  for (const line of markdown.split('\n')) {
    used += measure(line) + 1
    if (used > room) break
    kept.push(line)
    const bar = /^`{3,}/.exec(line)?.[0]
    if (fenced) {
      if (bar && bar.length >= fenced.length && line === bar) fenced = ''
    } else if (bar) fenced = bar
    else if (line === '<details>') open.push('</details>')
    else if (line === '</details>') open.pop()
  }
  const note = `**This report was cut: it has ${whole.toLocaleString('en-US')} ${unit}, and GitHub shows ${limit.toLocaleString('en-US')}.**`
  // within 400: the longest fence that fits a line of its own, the folds that are open, the note
  const closers = [...(fenced ? [fenced] : []), ...open.reverse().flatMap((tag) => ['', tag])]
  const tail = `\n${[...closers, '', note].join('\n')}`
  const cut = kept.join('\n') + tail
  return measure(cut) <= limit ? cut : note
}

function toMarkdown(piece: Piece): string {
  return typeof piece === 'object' ? piece.markdown : escape(String(piece))
}

/**
 * Escapes by character reference, which GitHub's Markdown never takes for structure, and keeps
 * GitHub from turning text into a mention, a reference to an issue or a link: those are made from
 * the finished text, so a zero-width space parts them.
 */
function escape(raw: string): string {
  return flatten(raw)
    .replace(/@(?=[A-Za-z0-9])|#(?=\d)|GH(?=-\d)|:(?=\/\/)|www(?=\.)/gi, '$&\u200b')
    .replace(/[&<>|\\`*[\]~$]/g, reference)
    .replace(/(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, reference)
    .replace(/^(\s*)([-+=#])/, (_, space: string, mark: string) => space + reference(mark))
    .replace(
      /^(\s*\d+)([.)])(?=\s|$)/,
      (_, number: string, mark: string) => number + reference(mark),
    )
}

function reference(character: string): string {
  return `&#${character.codePointAt(0)};`
}

/** One line: line ends and tabs become spaces. */
function flatten(raw: string): string {
  return withoutControls(raw.replace(/\r\n|[\n\r\t\v\f\u0085\u2028\u2029]/g, ' '))
}

/**
 * Without terminal colours, other control characters, and the marks that turn the direction of
 * text.
 */
function withoutControls(raw: string): string {
  return raw
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '')
    .replace(
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
      '',
    )
}
