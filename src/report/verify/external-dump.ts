import { code, text, type Text } from '../../text.ts'
import type { ExternalDumpResult } from '../../verify/external-dump.ts'
import { blocks, facts, next, paragraph, type Report, verdict } from '../blocks.ts'
import { formatBytes, formatDuration, formatMany } from '../format.ts'
import { dumpedFrom, fileForm, foldedNames, warningCallouts } from '../sections.ts'

/** One line for the log. */
export function externalDumpVerdict({ name, level, stoppedBy, found }: ExternalDumpResult): Text {
  if (stoppedBy !== undefined)
    return `Verification failed: ${name} reached level "${level}". ${stoppedBy}`
  const content = found
    ? `, with ${formatMany(found.tables, 'table')} and ${formatMany(found.rows, 'row')}`
    : ''
  return text`${name} reached level "${level}"${content}. The file does not record what the database
    held, so no more can be checked.`
}

export function externalDumpReport(result: ExternalDumpResult): Report {
  const { name, level, stoppedBy, found } = result
  const failed = stoppedBy !== undefined
  return blocks(
    failed
      ? verdict('fail', text`${code(name)}: do not rely on it`)
      : verdict('warning', text`${code(name)} is ${level}; no more can be checked`),
    found &&
      paragraph(
        text`${formatMany(found.rows, 'row')} in ${formatMany(found.tables, 'table')},
          ${formatMany(found.largeObjects, 'large object')}.`,
      ),
    paragraph(failed ? stoppedBy : result.limit),
    warningCallouts(result.warnings),
    failed
      ? next(
          text`dump the database again, with ${code('set -o pipefail')} if a pipe is involved, and
            verify the new file.`,
        )
      : undefined,
    dumpFacts(result),
    foldedNames('Roles it names', result.roles),
  )
}

function dumpFacts(result: ExternalDumpResult): Report {
  const { level, versions, timings } = result
  const from = dumpedFrom(versions)
  return [
    facts([
      ['Level', level],
      ['Format', fileForm(result)],
      ['Size', formatBytes(result.bytes)],
      from === undefined ? undefined : ['Dumped from', from],
      versions.scratch ? ['Restored on', `PostgreSQL ${versions.scratch}`] : undefined,
      timings.restore === undefined ? undefined : ['Restored in', formatDuration(timings.restore)],
    ]),
  ]
}
