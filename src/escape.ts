/**
 * How a string that may not be trusted is written for each target: a name in a database, a server's
 * message, the output of a command. There is one function for each target.
 */

/**
 * Characters that cannot be seen, or that change how others are shown: controls, line separators,
 * marks of direction, zero-width characters. Joiners and variation selectors belong to emoji and to
 * scripts.
 */
const hidden =
  /(?![\u200c\u200d\ufe00-\ufe0f])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu

/** Colours and cursor movements of a terminal. */
const ansi = /\u001b\[[0-9;?]*[ -/]*[@-~]/g

/**
 * Lines of text for a log or a screen: no terminal sequence, and a visible character in place of
 * each that cannot be seen.
 */
export function withoutControls(raw: string): string {
  return raw
    .replace(/\r\n?/g, '\n')
    .replace(ansi, '')
    .replace(hidden, (character) => (/[\n\t]/.test(character) ? character : '\ufffd'))
}

/** The same as one line: line ends and tabs become spaces. */
export function flatten(raw: string): string {
  return flattenName(raw.replace(ansi, ''))
}

/** A name as one line. A terminal sequence in it stays visible, so that no two names look alike. */
export function flattenName(raw: string): string {
  return raw.replace(/\r\n|[\n\r\t\v\f\u0085\u2028\u2029]/g, ' ').replace(hidden, '\ufffd')
}

/**
 * Lines for GitHub's log. Its page folds and colours a line with `##[…]`, also where the runner runs
 * no command, so a zero-width space splits it.
 */
export function logLines(raw: string): string {
  return withoutControls(raw).replaceAll('##[', '##\u200b[')
}

/**
 * Escapes a text for Markdown by character reference, which GitHub never takes for structure. A
 * zero-width space keeps GitHub from making a mention, an issue reference, an emoji or a link of the
 * finished text.
 */
export function markdownText(raw: string): string {
  return flatten(raw)
    .replace(/@(?=[^\s@])|#(?=\d)|GH(?=-\d)|:(?=\/\/|[a-z+-][\w+-]*:)|www(?=\.)/gi, '$&\u200b')
    .replace(/[&<>|\\`*[\]~$]/g, characterReference)
    .replace(/(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, characterReference)
    .replace(/^(\s*)([-+=#])/, (_, space: string, mark: string) => space + characterReference(mark))
    .replace(
      /^(\s*\d+)([.)])(?=\s|$)/,
      (_, number: string, mark: string) => number + characterReference(mark),
    )
}

/**
 * A name or a value as code in Markdown. GitHub's tables cannot hold every string in a code span (a
 * backslash before a pipe splits the cell), so a string with a delicate character becomes `<code>`
 * with character references.
 */
export function markdownCode(raw: string): string {
  const flat = flattenName(raw)
  if (flat === '') return '<code>&#32;</code>'
  if (/^[^`|\\]+$/.test(flat) && flat === flat.trim()) return `\`${flat}\``
  return `<code>${flat.replace(/[^A-Za-z0-9 /=,()\u00a0-\u{10ffff}-]/gu, characterReference)}</code>`
}

function characterReference(character: string): string {
  return `&#${character.codePointAt(0)};`
}

/**
 * A value in a workflow: in quotes if YAML would not read it as this string, or if it is not one
 * word and `quote` is `most`. GitHub does not evaluate an expression in it.
 */
export function yamlValue(value: string, quote: 'most' | 'needed'): string {
  const inert = withoutExpressions(value)
  if (hasHidden(inert)) {
    const escaped = inert.replace(/["\\]/g, '\\$&')
    return `"${escapeHidden(escaped, (point) => `\\U${hexadecimal(point, 8)}`)}"`
  }
  const pattern = quote === 'most' ? yamlWord : yamlPhrase
  return pattern.test(inert) && !isOtherYaml(inert) ? inert : `'${inert.replaceAll("'", "''")}'`
}

const yamlWord = /^[A-Za-z][\w./-]*$/
const yamlPhrase = /^[A-Za-z0-9/](?:(?:[\w./+@%=?&,()'" -]|:(?! |$))*[\w./+@%=?&,()'"-])?$/

/** Whether YAML reads a plain value as null, or as a boolean or number that is written otherwise. */
function isOtherYaml(value: string): boolean {
  if (/^(null|true|false)$/i.test(value)) return value !== 'true' && value !== 'false'
  return !Number.isNaN(Number(value)) && String(Number(value)) !== value
}

/** Values of a list input in a workflow, one per line: what follows `input:`. */
export function yamlLines(values: readonly string[]): string {
  // a name with a line end cannot be given: the replacement selects nothing
  const lines = values.map((each) => each.replace(/[\r\n]+/g, '\ufffd').trim())
  return lines.some(hasHidden)
    ? yamlValue(lines.join('\n'), 'most')
    : ['|', ...lines.map((line) => `  ${withoutExpressions(line)}`)].join('\n')
}

/** GitHub evaluates expressions wherever they are, in quotes too. */
function withoutExpressions(value: string): string {
  return value.replaceAll('${{', "${{ '${{' }}")
}

/** One word of a shell (bash, zsh, ksh). */
export function shellWord(value: string): string {
  if (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(value)) return value
  if (!hasHidden(value)) return `'${value.replaceAll("'", `'\\''`)}'`
  const bytes = (point: number): string =>
    [...Buffer.from(String.fromCodePoint(point))]
      .map((byte) => `\\x${hexadecimal(byte, 2)}`)
      .join('')
  return `$'${escapeHidden(value.replace(/['\\]/g, '\\$&'), bytes)}'`
}

/** A name as an identifier of SQL, to show or to copy. */
export function sqlIdentifier(name: string): string {
  return sqlQuoted(name, '"')
}

/** A text as a literal of SQL, to show or to copy. */
export function sqlLiteral(value: string): string {
  return sqlQuoted(value, "'")
}

function sqlQuoted(value: string, mark: string): string {
  const doubled = value.replaceAll(mark, mark + mark)
  if (!hasHidden(value) && (mark === '"' || !value.includes('\\'))) return mark + doubled + mark
  const escaped = escapeHidden(
    doubled.replaceAll('\\', '\\\\'),
    (point) => `\\+${hexadecimal(point, 6)}`,
  )
  return `U&${mark}${escaped}${mark}`
}

/** JSON on one line, in which each hidden character is an escape. */
export function jsonLine(value: unknown): string {
  return escapeHidden(JSON.stringify(value), (point) =>
    JSON.stringify(String.fromCodePoint(point))
      .slice(1, -1)
      .replace(/[^ -~]/g, (unit) => `\\u${hexadecimal(unit.charCodeAt(0), 4)}`),
  )
}

function hasHidden(value: string): boolean {
  return value.search(hidden) >= 0
}

function escapeHidden(value: string, escape: (point: number) => string): string {
  return value.replace(hidden, (character) => escape(character.codePointAt(0) ?? 0))
}

function hexadecimal(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
