/**
 * A sentence for people, before anything decides where it is shown. It names inputs, code and links
 * as values, so that a renderer can write `confirm: shop` for a workflow and `--confirm shop` for a
 * terminal.
 */
export type Text = string | readonly Inline[]

/** One piece of a text. A string is shown as it is, never read as Markdown. */
export type Inline =
  | string
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'strong'; readonly text: Text }
  | { readonly kind: 'link'; readonly text: Text; readonly href: string }
  | InputReference
  | { readonly kind: 'either'; readonly workflow: string; readonly terminal: string }

/** An input by its name, and what to write there if that is known. */
export interface InputReference {
  readonly kind: 'input'
  readonly input: string
  /** Undefined names the input alone. A secret is named, never shown. */
  readonly value?: string | { readonly secret: string }
}

/** Where a text is shown: in a workflow's log and reports, or to someone who typed a command. */
export type Surface = 'workflow' | 'terminal'

/**
 * Builds a text: what is interpolated is a value, not markup. A line break in the template, with the
 * indentation around it, is a space, so that a long sentence can be written on several lines.
 */
export function text(parts: TemplateStringsArray, ...values: (Text | Inline | number)[]): Text {
  return join(
    parts.flatMap((literal, i) => {
      const part = literal.replace(/\s*\n\s*/g, ' ')
      const value = values[i]
      return value === undefined ? [part] : [part, typeof value === 'number' ? `${value}` : value]
    }),
    '',
  )
}

/** An input, or an input with what to write there: `input('confirm', 'shop')`. */
export function input(name: string, value?: string | boolean | { secret: string }): InputReference {
  if (value === undefined) return { kind: 'input', input: name }
  return {
    kind: 'input',
    input: name,
    value: typeof value === 'boolean' ? String(value) : value,
  }
}

/** A name, a value or a command, to be set apart as code. */
export function code(value: string | number): Inline {
  return { kind: 'code', code: `${value}` }
}

/** A text to be set in bold. */
export function strong(value: Text): Inline {
  return { kind: 'strong', text: value }
}

/** A text that leads to an address. */
export function link(value: Text, href: string): Inline {
  return { kind: 'link', text: value, href }
}

/** Words that differ by where they are read: `either('the job summary', 'the report above')`. */
export function either(workflow: string, terminal: string): Inline {
  return { kind: 'either', workflow, terminal }
}

/** Texts in a row, with `between` between each two. */
export function join(texts: readonly (Text | Inline)[], between: string): Text {
  const pieces: Inline[] = []
  for (const [i, each] of texts.entries()) {
    if (i > 0 && between !== '') pieces.push(between)
    if (Array.isArray(each)) pieces.push(...(each as readonly Inline[]))
    else pieces.push(each as Inline)
  }
  const merged: Inline[] = []
  for (const piece of pieces) {
    const last = merged.at(-1)
    if (piece === '') continue
    if (typeof piece === 'string' && typeof last === 'string') merged.splice(-1, 1, last + piece)
    else merged.push(piece)
  }
  if (merged.length === 0) return ''
  const [only] = merged
  return merged.length === 1 && typeof only === 'string' ? only : merged
}

/** The text without any markup, for a log line, an annotation or an error's message. */
export function plainText(value: Text, surface: Surface = 'workflow'): string {
  if (typeof value === 'string') return value
  return value.map((piece) => plainInline(piece, surface)).join('')
}

function plainInline(piece: Inline, surface: Surface): string {
  if (typeof piece === 'string') return piece
  switch (piece.kind) {
    case 'code':
      return piece.code
    case 'strong':
    case 'link':
      return plainText(piece.text, surface)
    case 'either':
      return piece[surface]
    case 'input':
      return surface === 'workflow' ? asYaml(piece) : asFlag(piece)
  }
}

/** An input as a line of a workflow: `confirm: shop`, or its name alone. */
export function asYaml({ input, value }: InputReference): string {
  if (value === undefined) return input
  return `${input}: ${typeof value === 'string' ? value : `\${{ secrets.${value.secret} }}`}`
}

/** An input as a flag of the command line: `--confirm shop`, `--undo`, `--safety-backup=false`. */
export function asFlag({ input, value }: InputReference): string {
  if (value === undefined || value === 'true') return `--${input}`
  if (value === 'false') return `--${input}=false`
  if (typeof value !== 'string') return `--${input}-file FILE`
  return `--${input} ${/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`}`
}
