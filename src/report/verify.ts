import { levels, type Difference, type Level } from '../core/level.ts'
import type { VerifyResult } from '../core/verify.ts'
import { formatAge, formatBytes, formatDuration, formatMany, formatMoment } from './format.ts'
import { blocks, code, details, list, md, table, text, type Markdown } from './markdown.ts'
import { timeline } from './mermaid.ts'
import { capped, inputsPart, warningsPart } from './parts.ts'

/** What each level says about a backup. */
const meanings: Record<Exclude<Level, 'none'>, string> = {
  stored: 'every object is there, whole, with the digests that the manifest names',
  readable: 'every digest matches, it decrypts, and the archive opens',
  restored: 'it was loaded into an empty database without an error',
  counted: 'every table has the rows that it had at the snapshot',
  identical: 'content, schema, sequences and large objects are what they were at the snapshot',
  accepted: 'your own checks pass on the copy, too',
}

/** One line for the log. */
export function verifyVerdict(result: VerifyResult): string {
  if (soundToItsLimit(result)) return `Backup ${result.id} of ${result.label} reached the level "${result.level}", and nothing speaks against it. ${result.limit}`
  return result.proven
    ? `Proven: backup ${result.id} of ${result.label} restores, and is identical to what the database held at ${formatMoment(result.snapshotAt)}.`
    : `Not proven: backup ${result.id} of ${result.label} reached the level "${result.level}". ${result.stoppedBy ?? ''}`.trim()
}

/** No fault was found, and the backup's own fingerprint shows no more. */
function soundToItsLimit(result: VerifyResult): boolean {
  return result.limit !== undefined && result.stoppedBy === undefined
}

export function verifyReport(result: VerifyResult): string {
  const verdict = soundToItsLimit(result)
    ? md`## ⚠️ Backup of ${code(result.label)} ${result.level}: nothing speaks against it, and not all could be looked at`
    : result.proven
    ? md`## ✅ Backup of ${code(result.label)} proven: it restores, and is identical`
    : md`## ❌ Backup of ${code(result.label)} not proven: do not rely on it`
  const held = result.tables === 0 && result.limit !== undefined ? 'Rows and tables were not counted' : `${formatMany(result.rows, 'row')} in ${formatMany(result.tables, 'table')}`
  const figures = md`${held}, ${formatBytes(result.bytes)} stored; restored in ${formatDuration(result.timings.restore)}, compared in ${formatDuration(result.timings.compare)}.`
  const loss = md`If the database were lost now: data written after **${formatMoment(result.snapshotAt)}** (${formatAge(result.age)} ago when this was verified) is not in this backup.`
  const stopped = result.stoppedBy ? md`**What stopped it:** ${result.stoppedBy}` : result.limit ? md`**Its limit:** ${result.limit}` : undefined
  return `${blocks(verdict, stopped, figures, result.proven || soundToItsLimit(result) ? loss : undefined, warningsPart(result.warnings), ladder(result), differencesPart(result.differences), nextPart(result), factsPart(result)).markdown}\n`
}

function ladder(result: VerifyResult): Markdown {
  const reached = levels.indexOf(result.level)
  const rungs = (levels.slice(1) as (keyof typeof meanings)[]).filter((level) => level !== 'accepted' || result.level === level)
  return table(
    ['', 'Level', 'What it says'],
    rungs.map((level, i) => {
      const rank = i + 1
      const mark = rank <= reached ? '✅' : rank === reached + 1 && !result.proven && !soundToItsLimit(result) ? '❌' : '–'
      return [mark, rank === reached ? md`**${level}**` : level, meanings[level]]
    }),
  )
}

function differencesPart(differences: readonly Difference[]): Markdown | undefined {
  if (differences.length === 0) return undefined
  const shown = capped(
    differences,
    (some) =>
      table(
        ['Kind', 'What', 'Expected (at the snapshot)', 'Found (in the copy)'],
        some.map((each) => [each.kind, code(each.object), text(each.expected), text(each.found)]),
      ),
    'difference',
  )
  return blocks(md`### ${formatMany(differences.length, 'difference')}`, shown)
}

function nextPart(result: VerifyResult): Markdown {
  if (result.proven || soundToItsLimit(result)) {
    const inputs = inputsPart([
      ['label', result.label],
      ['backup', result.id],
      ['dry-run', 'true'],
    ])
    return details('To restore from it', blocks(md`Run \`restore\` with these beside \`storage\`, \`decrypt-with\`, \`target-url\` and \`confirm\`; it prints its plan, and does it without \`dry-run\`:`, inputs))
  }
  return blocks(
    md`**Next:**`,
    list([
      md`Take a new backup now (run \`backup\`), then \`verify\` it with \`backup: latest\`.`,
      md`Find the newest one that is good: run \`verify\` with \`label: ${text(result.label)}\` and an older id in \`backup\`.`,
      md`Keep ${code(result.location)} as it is until you know what happened to it.`,
    ]),
  )
}

function factsPart(result: VerifyResult): Markdown {
  const scratch = result.server.own ? `${result.server.scratch}, started for this and destroyed` : `${result.server.scratch}, from scratch-url`
  return details(
    'Details',
    blocks(
      timeline('Where the time went', [
        { name: 'Restore', milliseconds: result.timings.restore },
        { name: 'Compare', milliseconds: result.timings.compare },
        { name: 'The rest', milliseconds: result.timings.total - result.timings.restore - result.timings.compare },
      ]),
      table(
        ['', ''],
        [
          ['Backup', code(result.id)],
          ['Read from', code(result.location)],
          ['Snapshot', formatMoment(result.snapshotAt)],
          ['Backup’s PostgreSQL', result.server.backup],
          ['Restored on PostgreSQL', scratch],
          ['Whole run', formatDuration(result.timings.total)],
        ],
      ),
      result.allowed.length > 0 ? blocks(md`Messages that were let pass, known to be harmless:`, list(result.allowed.map((each) => text(each)))) : undefined,
    ),
  )
}
