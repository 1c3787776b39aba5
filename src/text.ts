import { flattenName, shellWord, yamlValue } from './escape.ts'

/**
 * A sentence for people, independent of where it is shown. It names inputs, code and links as
 * values, so that a renderer can write `confirm: shop` for a workflow and `--confirm shop` for a
 * terminal.
 */
export type Text = string | readonly Inline[]

/** One piece of a text. A string is plain text, never Markdown. */
export type Inline =
  | string
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'strong'; readonly text: Text }
  | { readonly kind: 'link'; readonly text: Text; readonly href: string }
  | InputReference
  | { readonly kind: 'either'; readonly workflow: string; readonly terminal: string }

/** An input by its name, and the value to set if that is known. */
export interface InputReference {
  readonly kind: 'input'
  readonly input: string
  /** Undefined for the name alone. A secret is given by its name, never by its value. */
  readonly value?: string | { readonly secret: string }
}

/** Where a text is shown: in a workflow's log and reports, or on a terminal. */
export type Surface = 'workflow' | 'terminal'

/**
 * Returns a text. Interpolated values are plain text or texts, never markup. A line break in the
 * template, with the indentation around it, is a space, so that a sentence can have several lines.
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

/** Returns a reference to an input, or to an input with a value: `input('confirm', 'shop')`. */
export function input(name: string, value?: string | boolean | { secret: string }): InputReference {
  if (value === undefined) return { kind: 'input', input: name }
  return {
    kind: 'input',
    input: name,
    value: typeof value === 'boolean' ? String(value) : value,
  }
}

/** Marks a name, a value or a command as code. */
export function code(value: string | number): Inline {
  return { kind: 'code', code: `${value}` }
}

/** Marks a text as bold. */
export function strong(value: Text): Inline {
  return { kind: 'strong', text: value }
}

/** Returns a text that links to an address. */
export function link(value: Text, href: string): Inline {
  return { kind: 'link', text: value, href }
}

/** Returns words that differ by surface: `either('the job summary', 'the report above')`. */
export function either(workflow: string, terminal: string): Inline {
  return { kind: 'either', workflow, terminal }
}

/** Joins texts, with `separator` between each two. Adjacent strings become one. */
export function join(texts: readonly (Text | Inline)[], separator: string): Text {
  const pieces: Inline[] = []
  for (const [i, each] of texts.entries()) {
    if (i > 0 && separator !== '') pieces.push(separator)
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

/** Returns the text without markup, for a log line, an annotation or an error's message. */
export function plainText(value: Text, surface: Surface = 'workflow'): string {
  if (typeof value === 'string') return value
  return value.map((piece) => plainInline(piece, surface)).join('')
}

function plainInline(piece: Inline, surface: Surface): string {
  if (typeof piece === 'string') return piece
  switch (piece.kind) {
    case 'code':
      return flattenName(piece.code)
    case 'strong':
    case 'link':
      return plainText(piece.text, surface)
    case 'either':
      return piece[surface]
    case 'input':
      return surface === 'workflow' ? asYaml(piece) : asFlag(piece)
  }
}

/** Returns an input as a line of a workflow, `confirm: shop`, or its name alone. */
export function asYaml({ input, value }: InputReference): string {
  if (value === undefined) return input
  if (typeof value !== 'string') return `${input}: \${{ secrets.${value.secret} }}`
  return `${input}: ${yamlValue(value, 'needed')}`
}

/** The inputs that a command line takes only from a file. A test compares them with the inputs. */
export const onlyFromFile: readonly string[] = ['decrypt-with', 'github-token']

/** Returns an input as a command-line flag: `--confirm shop`, `--undo`, `--safety-backup=false`. */
export function asFlag({ input, value }: InputReference): string {
  if (value === undefined && onlyFromFile.includes(input)) return `--${input}-file`
  if (value === undefined || value === 'true') return `--${input}`
  if (value === 'false') return `--${input}=false`
  if (typeof value !== 'string') return `--${input}-file FILE`
  // a word that begins with a hyphen would be read as the next flag
  return `--${input}${value.startsWith('-') ? '=' : ' '}${shellWord(value)}`
}
