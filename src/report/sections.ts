import { sqlIdentifier, sqlLiteral } from '../escape.ts'
import { code, join, strong, text, type Text } from '../text.ts'
import type { ExternalDumpResult } from '../verify/external-dump.ts'
import {
  type Block,
  blocks,
  callout,
  type Callout,
  codeBlock,
  type Details,
  details,
  list,
  paragraph,
  type Report,
} from './blocks.ts'
import { formatCount, formatDuration } from './format.ts'

/** Sentences in a row, without those that are missing or empty. */
export function sentences(...all: readonly (Text | undefined)[]): Text {
  return join(
    all.filter((each) => each !== undefined).filter((each) => each !== ''),
    ' ',
  )
}

/** The same, each different sentence once. */
export function uniqueSentences(all: readonly Text[]): Text {
  return sentences(...new Map(all.map((each) => [JSON.stringify(each), each])).values())
}

/** Rows of a long list that are shown; the rest is counted. */
export const maxRows = 50

export function warningCallouts(warnings: readonly Text[]): Callout[] {
  return warnings.map((warning) => callout('warning', warning))
}

/** The first rows of a long list, and a sentence with the number of the others. */
export function capped<T>(
  all: readonly T[],
  show: (items: readonly T[]) => Block,
  noun: string,
  plural = `${noun}s`,
): Report {
  const more = all.length - maxRows
  return blocks(
    show(all.slice(0, maxRows)),
    more > 0
      ? paragraph(`… and ${formatCount(more)} more ${more === 1 ? noun : plural}.`)
      : undefined,
  )
}

/** A folded list of names; undefined if it is empty. */
export function foldedNames(title: string, names: readonly string[]): Details | undefined {
  if (names.length === 0) return undefined
  return details(
    title,
    capped(names, (some) => list(some.map((name) => text`${code(name)}`)), 'entry', 'entries'),
  )
}

/** Names as code, with `between` between each two. */
export function codeList(names: readonly string[], between = ', '): Text {
  return join(names.map(code), between)
}

/** How a command after a restore ended. `state` says what is true although it failed. */
export function postCommandFailure(
  command: { failed?: string } | undefined,
  state: string,
): Callout | undefined {
  if (command?.failed === undefined) return undefined
  return callout(
    'fail',
    text`${strong(`The post-command ${command.failed}.`)} ${state} Fix the cause, then run the
      command again. Its output is at the end of this report.`,
  )
}

export function postCommandDetails(
  command: { command: string; took: number; output: string } | undefined,
): Details | undefined {
  return (
    command &&
    details(
      `Post-command (${formatDuration(command.took)})`,
      codeBlock(command.command, 'bash'),
      outputBlocks(command.output),
    )
  )
}

/** What a command wrote. */
export function outputBlocks(output: string): Report {
  return output.trim() === ''
    ? [paragraph('It wrote no output.')]
    : [paragraph('Output:'), codeBlock(output, 'text')]
}

/** A folded section with the SQL that swaps the names of two databases. */
export function swapByHand(title: string, target: string, previous: string): Details {
  return details(
    title,
    paragraph(
      text`Stop the application, connect to another database (such as ${code('postgres')}), and run:`,
    ),
    codeBlock(renameSql(target, previous), 'sql'),
  )
}

function renameSql(target: string, previous: string): string {
  const both = `${sqlLiteral(target)}, ${sqlLiteral(previous)}`
  return [
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${both});`,
    'BEGIN;',
    `ALTER DATABASE ${sqlIdentifier(target)} RENAME TO ${sqlIdentifier(`${target.slice(0, 40)}_restored`)};`,
    `ALTER DATABASE ${sqlIdentifier(previous)} RENAME TO ${sqlIdentifier(target)};`,
    'COMMIT;',
  ].join('\n')
}

/** `schema.name`, as reports write it, with every part in quotes: a bare word may be a keyword. */
export function sqlName(name: string): string {
  return [...name.matchAll(/"((?:[^"]|"")+)"|([^".]+)/g)]
    .map(([, quoted, bare]) => sqlIdentifier(quoted?.replaceAll('""', '"') ?? bare ?? ''))
    .join('.')
}

/** The layers of an external dump, from the outside in. */
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

/** For example `PostgreSQL 17.11, by pg_dump 18.6`. */
export function dumpedFrom({ server, client }: ExternalDumpResult['versions']): string | undefined {
  if (!server) return undefined
  return `PostgreSQL ${server}${client ? `, by pg_dump ${client}` : ''}`
}

/** Words for what pg_dump calls ACL, COMMENT and SECURITY LABEL: `ACL public.TABLE customers`. */
const attachments: Readonly<Record<string, string>> = {
  ACL: 'grants on',
  COMMENT: 'comment on',
  'SECURITY LABEL': 'security label of',
}

/** Returns a schema entry as a report names it: `grants on public.customers`. */
export function definitionName(entry: string): string {
  const [, kind = '', schema = '', type = '', name = ''] =
    /^(ACL|COMMENT|SECURITY LABEL) (?:([^.]+)\.)?([A-Z]+(?: [A-Z]+)*) (.+)$/s.exec(entry) ?? []
  if (kind === '') return entry
  const object = schema === '' ? name : `${schema}.${name}`
  return `${attachments[kind]} ${type === 'TABLE' ? '' : `${type.toLowerCase()} `}${object}`
}
