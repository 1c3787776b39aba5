import type { ExternalDumpResult } from '../../verify/external-dump.ts'
import { formatBytes, formatCount, formatDuration, formatMany } from '../markdown/format.ts'
import { blocks, code, md, table, text } from '../markdown/markdown.ts'
import { fileForm, foldedList, warningsPart } from '../markdown/sections.ts'

/** One line for the log. */
export function externalDumpVerdict({ name, level, stoppedBy, found }: ExternalDumpResult): string {
  if (stoppedBy !== undefined) return `Not good: ${name} reached the level "${level}". ${stoppedBy}`
  const held = found
    ? `, with ${formatMany(found.tables, 'table')} and ${formatMany(found.rows, 'row')}`
    : ''
  return `${name} reached the level "${level}"${held}. Nothing tells what the database held, so no more can be shown.`
}

export function externalDumpReport(result: ExternalDumpResult): string {
  const { name, level, stoppedBy, found, versions, timings, roles } = result
  const facts = [
    ['Level', level],
    ['Form', fileForm(result)],
    ['Size', formatBytes(result.bytes)],
    ...(versions.server
      ? [
          [
            'Dumped from',
            `PostgreSQL ${versions.server}${versions.client ? `, by pg_dump ${versions.client}` : ''}`,
          ],
        ]
      : []),
    ...(versions.scratch ? [['Restored on', `PostgreSQL ${versions.scratch}`]] : []),
    ...(timings.restore === undefined ? [] : [['Restored in', formatDuration(timings.restore)]]),
    ...(found
      ? [
          [
            'Found',
            `${formatMany(found.tables, 'table')}, ${formatMany(found.rows, 'row')}, ${formatCount(found.largeObjects)} large objects`,
          ],
        ]
      : []),
  ]
  return `${
    blocks(
      stoppedBy === undefined
        ? md`## ⚠️ ${code(name)}: ${level}, and no more can be shown`
        : md`## ❌ ${code(name)}: do not rely on it`,
      stoppedBy === undefined ? md`${result.limit}` : md`${stoppedBy}`,
      warningsPart(result.warnings),
      table(
        ['', ''],
        facts.map((row) => row.map((cell) => text(cell))),
        ['left', 'left'],
      ),
      foldedList('Roles that it names', roles),
    ).markdown
  }\n`
}
