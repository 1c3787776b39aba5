/**
 * Reports as plain data. A report function turns a result into blocks; `render/` turns blocks into
 * Markdown for GitHub or lines for a terminal. Nothing in a block is escaped.
 */
import type { Inline, InputReference, Text } from '../text.ts'

/** The blocks of a report, in the order in which they are read. */
export type Report = readonly Block[]

export type Block =
  | Heading
  | Paragraph
  | Facts
  | Table
  | List
  | Steps
  | Code
  | Settings
  | Details
  | Chart
  | Callout
  | Next

/** A symbol that tells how something ended, at first sight. */
export type Mark = 'pass' | 'fail' | 'warning' | 'note' | 'plan' | 'stopped' | 'unknown' | 'none'

/** Level 1 is the verdict, the first line of every report. Level 2 begins a section. */
export interface Heading {
  readonly kind: 'heading'
  readonly level: 1 | 2
  readonly mark: Mark | undefined
  readonly text: Text
}

export interface Paragraph {
  readonly kind: 'paragraph'
  readonly text: Text
}

/** Keys and their values. */
export interface Facts {
  readonly kind: 'facts'
  readonly rows: readonly Fact[]
}
export type Fact = readonly [key: Text, value: Text]

export interface Table {
  readonly kind: 'table'
  readonly head: readonly Text[]
  readonly rows: readonly (readonly Text[])[]
  /** Alignment by column; `left` where it is missing. */
  readonly align: readonly ('left' | 'right')[]
}

export interface List {
  readonly kind: 'list'
  readonly items: readonly Text[]
}

/** The steps of a plan in order. */
export interface Steps {
  readonly kind: 'steps'
  readonly steps: readonly Step[]
}
export interface Step {
  readonly step: Text
  readonly done: boolean
}

/** Lines that are shown as they are: SQL, a command, or the output of one. */
export interface Code {
  readonly kind: 'code'
  readonly code: string
  readonly language: 'sql' | 'bash' | 'text'
}

/** Inputs to type next: YAML to paste below `with:` on GitHub, flags in a terminal. */
export interface Settings {
  readonly kind: 'settings'
  readonly settings: readonly Setting[]
}
export interface Setting {
  readonly input: string
  /** A list has one value a line in a workflow, and one flag each in a terminal. */
  readonly value: NonNullable<InputReference['value']> | readonly string[]
}

/** Folded on GitHub, indented in a terminal. */
export interface Details {
  readonly kind: 'details'
  readonly title: Text
  readonly blocks: Report
}

/** A timeline has steps that follow each other; a pie has shares of a whole. */
export interface Chart {
  readonly kind: 'chart'
  readonly shape: 'timeline' | 'pie'
  readonly title: string
  readonly unit: 'milliseconds' | 'bytes'
  readonly parts: readonly ChartPart[]
}
export interface ChartPart {
  readonly name: string
  readonly value: number
}

/** A sentence that must not be overlooked. */
export interface Callout {
  readonly kind: 'callout'
  readonly mark: Mark
  readonly text: Text
}

/** What to do next, with what to type for it. */
export interface Next {
  readonly kind: 'next'
  readonly text: Text
  readonly blocks: Report
}

export const symbols: Readonly<Record<Mark, string>> = {
  pass: '✅',
  fail: '❌',
  warning: '⚠️',
  note: 'ℹ️',
  plan: '📝',
  stopped: '⏹️',
  unknown: '❔',
  none: '–',
}

/** What may stand where blocks are expected: a block, several, or none. */
export type Part = Block | readonly Part[] | undefined

/** Puts blocks below each other, without the undefined ones. */
export function blocks(...parts: readonly Part[]): Report {
  return parts.flatMap((part): Report => {
    if (part === undefined) return []
    return isBlock(part) ? [part] : blocks(...part)
  })
}

function isBlock(part: Block | readonly Part[]): part is Block {
  return !Array.isArray(part)
}

/** The first line of a report. */
export function verdict(mark: Mark | undefined, text: Text): Heading {
  return { kind: 'heading', level: 1, mark, text }
}

export function section(text: Text, mark?: Mark): Heading {
  return { kind: 'heading', level: 2, mark, text }
}

export function paragraph(text: Text): Paragraph {
  return { kind: 'paragraph', text }
}

/** Keys and values, without the undefined rows. */
export function facts(rows: readonly (Fact | undefined)[]): Facts {
  return { kind: 'facts', rows: rows.filter((row) => row !== undefined) }
}

export function table(head: Table['head'], rows: Table['rows'], align: Table['align'] = []): Table {
  return { kind: 'table', head, rows, align }
}

/** Shows nothing if there is no item. */
export function list(items: readonly Text[]): List {
  return { kind: 'list', items }
}

export function steps(all: readonly Step[]): Steps {
  return { kind: 'steps', steps: all }
}

export function codeBlock(code: string, language: Code['language']): Code {
  return { kind: 'code', code, language }
}

/** Inputs to type next, without the undefined ones. */
export function settings(
  all: readonly (readonly [input: string, value: Setting['value']] | undefined)[],
): Settings {
  return {
    kind: 'settings',
    settings: all.flatMap((each) => (each ? [{ input: each[0], value: each[1] }] : [])),
  }
}

export function details(title: Text, ...parts: readonly Part[]): Details {
  return { kind: 'details', title, blocks: blocks(...parts) }
}

export function callout(mark: Mark, text: Text): Callout {
  return { kind: 'callout', mark, text }
}

export function next(text: Text, ...parts: readonly Part[]): Next {
  return { kind: 'next', text, blocks: blocks(...parts) }
}

/** Steps that follow each other, in milliseconds; undefined if fewer than two took any time. */
export function timeline(
  title: string,
  all: readonly { name: string; milliseconds: number }[],
): Chart | undefined {
  const parts = all
    .filter(({ milliseconds }) => milliseconds > 0)
    .map(({ name, milliseconds }) => ({ name, value: milliseconds }))
  return parts.length < 2
    ? undefined
    : { kind: 'chart', shape: 'timeline', title, unit: 'milliseconds', parts }
}

/**
 * Shares of a whole, in bytes. Values below a hundredth of it become one share, together with the
 * rest that the third argument names. Returns undefined if fewer than two are left.
 */
export function pie(
  title: string,
  all: readonly ChartPart[],
  { name, value: more }: ChartPart = { name: 'the rest', value: 0 },
): Chart | undefined {
  const total = all.reduce((sum, part) => sum + part.value, more)
  const parts = all.filter(({ value }) => value > 0 && value >= total / 100)
  if (parts.length + (more > 0 && more >= total / 100 ? 1 : 0) < 2) return undefined
  const rest = total - parts.reduce((sum, part) => sum + part.value, 0)
  return {
    kind: 'chart',
    shape: 'pie',
    title,
    unit: 'bytes',
    parts: rest > 0 ? [...parts, { name, value: rest }] : parts,
  }
}

/** The same report with every string of it mapped, for example to take secrets out. */
export function mapReport(report: Report, map: (raw: string) => string): Report {
  return report.map((block) => mapBlock(block, map))
}

function mapBlock(block: Block, map: (raw: string) => string): Block {
  const inText = (text: Text): Text => mapText(text, map)
  switch (block.kind) {
    case 'heading':
    case 'paragraph':
    case 'callout':
      return { ...block, text: inText(block.text) }
    case 'facts':
      return {
        ...block,
        rows: block.rows.map(([key, value]): Fact => [inText(key), inText(value)]),
      }
    case 'table':
      return {
        ...block,
        head: block.head.map(inText),
        rows: block.rows.map((row) => row.map(inText)),
      }
    case 'list':
      return { ...block, items: block.items.map(inText) }
    case 'steps':
      return {
        ...block,
        steps: block.steps.map(({ step, done }) => ({ step: inText(step), done })),
      }
    case 'code':
      return { ...block, code: map(block.code) }
    case 'settings':
      return {
        ...block,
        settings: block.settings.map(({ input, value }) => ({
          input,
          value: mapValue(value, map),
        })),
      }
    case 'details':
      return { ...block, title: inText(block.title), blocks: mapReport(block.blocks, map) }
    case 'chart':
      return {
        ...block,
        title: map(block.title),
        parts: block.parts.map(({ name, value }) => ({ name: map(name), value })),
      }
    case 'next':
      return { ...block, text: inText(block.text), blocks: mapReport(block.blocks, map) }
  }
}

/** The same text with every string of it mapped. */
export function mapText(text: Text, map: (raw: string) => string): Text {
  return typeof text === 'string' ? map(text) : text.map((piece) => mapInline(piece, map))
}

function mapInline(piece: Inline, map: (raw: string) => string): Inline {
  if (typeof piece === 'string') return map(piece)
  switch (piece.kind) {
    case 'code':
      return { ...piece, code: map(piece.code) }
    case 'strong':
      return { ...piece, text: mapText(piece.text, map) }
    case 'link':
      return { ...piece, text: mapText(piece.text, map), href: map(piece.href) }
    case 'either':
      return { ...piece, workflow: map(piece.workflow), terminal: map(piece.terminal) }
    case 'input':
      return piece.value === undefined ? piece : { ...piece, value: mapOne(piece.value, map) }
  }
}

function mapValue(value: Setting['value'], map: (raw: string) => string): Setting['value'] {
  return isList(value) ? value.map(map) : mapOne(value, map)
}

function mapOne(
  value: NonNullable<InputReference['value']>,
  map: (raw: string) => string,
): NonNullable<InputReference['value']> {
  return typeof value === 'string' ? map(value) : value
}

/** Whether an input has one value a line. */
export function isList(value: Setting['value']): value is readonly string[] {
  return Array.isArray(value)
}
