import { plainText, type Text } from '../../text.ts'
import type { ExternalDumpResult } from '../../verify/external-dump.ts'
import { formatDuration, formatMany } from './format.ts'
import { blocks, code, details, fence, list, type Markdown, md, table, text } from './markdown.ts'

/** At most so many rows of a long list are shown; the rest is counted. */
export const maxRows = 50

export function warningsPart(warnings: readonly Text[]): Markdown | undefined {
  if (warnings.length === 0) return undefined
  return {
    markdown: warnings.map((warning) => md`> ⚠️ ${plainText(warning)}`.markdown).join('\n>\n'),
  }
}

/**
 * The inputs to type next, as YAML that can be pasted below `with:`. A list has one value a line.
 */
export function inputsPart(
  inputs: readonly (readonly [name: string, value: string | readonly string[]])[],
): Markdown {
  const lines = (values: readonly string[]): string =>
    ['|', ...values.map((value) => `  ${value.replace(/[\r\n]+/g, ' ').trim()}`)].join('\n')
  return fence(
    inputs
      .map(
        ([name, value]) =>
          `${name}: ${typeof value === 'string' ? yamlValue(value) : lines(value)}`,
      )
      .join('\n'),
    'yaml',
  )
}

/** The first of a long list, and a sentence that says how many more there are. */
export function capped<T>(
  all: readonly T[],
  show: (items: readonly T[]) => Markdown,
  noun: string,
  plural?: string,
): Markdown {
  const shown = show(all.slice(0, maxRows))
  const more = all.length - maxRows
  return more > 0
    ? {
        markdown: `${shown.markdown}\n\n${md`… and ${formatMany(more, noun, plural)} more.`.markdown}`,
      }
    : shown
}

export function foldedList(
  title: string,
  items: readonly string[],
  as: (raw: string) => Markdown = code,
): Markdown | undefined {
  if (items.length === 0) return undefined
  return details(
    title,
    capped(items, (some) => list(some.map(as)), 'entry', 'entries'),
  )
}

/** The steps of a restore; those done are marked. */
export function planTable(plan: readonly { step: Text; done: boolean }[]): Markdown {
  return table(
    ['', 'Step'],
    plan.map((each) => [each.done ? '✅' : '▢', text(plainText(each.step))]),
  )
}

/** What came of a command after a restore. `all` says how things stand when it failed. */
export function commandPart(
  {
    command,
    failed,
    took,
    output,
  }: { command: string; failed?: string; took: number; output: string },
  all: string,
): Markdown {
  const written = output.trim() === '' ? md`Nothing.` : fence(output, 'text')
  const ended =
    failed === undefined
      ? undefined
      : blocks(
          md`**The post-command ${failed}.** ${all} Run the command again when its cause is mended; what it wrote is below.`,
        )
  return blocks(
    ended,
    details(
      `The post-command (${formatDuration(took)})`,
      blocks(fence(command, 'bash'), md`It wrote:`, written),
    ),
  )
}

/** The SQL that swaps the names of two databases, sessions and all. */
export function renamesByHand(target: string, kept: string): Markdown {
  const literal = (name: string): string => `'${name.replaceAll("'", "''")}'`
  const sql = [
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${literal(target)}, ${literal(kept)});`,
    'BEGIN;',
    `ALTER DATABASE ${quote(target)} RENAME TO ${quote(`${target.slice(0, 40)}_restored`)};`,
    `ALTER DATABASE ${quote(kept)} RENAME TO ${quote(target)};`,
    'COMMIT;',
  ]
  return fence(sql.join('\n'), 'sql')
}

/** A name as SQL wants it. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * `schema.name`, as reports write it, with every part in quotes: for SQL, where a bare word may be
 * a keyword.
 */
export function sqlName(name: string): string {
  return [...name.matchAll(/"((?:[^"]|"")+)"|([^".]+)/g)]
    .map(([, quoted, bare]) => (quoted === undefined ? quote(bare ?? '') : `"${quoted}"`))
    .join('.')
}

function yamlValue(value: string): string {
  const flat = value.replace(/[\r\n]+/g, ' ')
  return /^[A-Za-z][\w./-]*$/.test(flat) || /^\$\{\{ [\w.]+ \}\}$/.test(flat)
    ? flat
    : `'${flat.replaceAll("'", "''")}'`
}

/** What is in what, from the outside in. */
export function fileForm({
  layers,
  format,
}: Pick<ExternalDumpResult, 'layers' | 'format'>): string {
  return [...layers, formats[format]].join(' → ')
}

const formats: Record<ExternalDumpResult['format'], string> = {
  sql: 'plain SQL',
  custom: 'custom archive',
  tar: 'tar of pg_dump',
  directory: 'tar of a folder',
}
