import { addHashes, type TablePrint } from '../postgres/fingerprint/content.ts'
import type { Difference } from '../repository/level.ts'

/** Compares only rows and content, of all tables or of some. */
export function compareRows(
  expected: readonly TablePrint[],
  found: readonly TablePrint[],
): Difference[] {
  return compareTables(grouped(expected), grouped(found))
}

/** By table; partitions between which a restore may move rows are added up. */
function grouped(tables: readonly TablePrint[]): Map<string, TablePrint> {
  const groups = new Map<string, TablePrint>()
  for (const print of tables) {
    const key =
      print.comparedAt === undefined ? print.table : `${print.comparedAt} (all partitions)`
    const sum = groups.get(key)
    const generated =
      sum?.generated === undefined && print.generated === undefined
        ? {}
        : { generated: addHashes(sum?.generated, print.generated) }
    const hash = print.hash === undefined ? {} : { hash: addHashes(sum?.hash, print.hash) }
    groups.set(key, {
      ...print,
      table: key,
      rows: (sum?.rows ?? 0) + print.rows,
      ...hash,
      ...generated,
    })
  }
  return groups
}

function compareTables(
  expected: Map<string, TablePrint>,
  found: Map<string, TablePrint>,
): Difference[] {
  const differences: Difference[] = []
  for (const [object, print] of expected) {
    const other = found.get(object)
    if (!other)
      differences.push({
        kind: 'rows',
        object,
        expected: rowsText(print.rows),
        found: 'no such table',
      })
    else if (other.rows !== print.rows)
      differences.push({
        kind: 'rows',
        object,
        expected: rowsText(print.rows),
        found: rowsText(other.rows),
      })
    else if (other.hash !== print.hash)
      differences.push({
        kind: 'content',
        object,
        expected: `content ${shortHash(print.hash)}`,
        found: `content ${shortHash(other.hash)}, in the same number of rows`,
      })
    else if (other.generated !== print.generated)
      differences.push({
        kind: 'content',
        object,
        expected: `generated columns ${shortHash(print.generated)}`,
        found: `generated columns ${shortHash(other.generated)}`,
      })
  }
  for (const [object, print] of found)
    if (!expected.has(object))
      differences.push({
        kind: 'rows',
        object,
        expected: 'no such table',
        found: rowsText(print.rows),
      })
  return differences
}

function rowsText(rows: number): string {
  return `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`
}

/** Returns the end of a hash, for messages. */
export function shortHash(hash: string | undefined): string {
  return hash === undefined ? 'none' : hash.length > 12 ? `…${hash.slice(-12)}` : hash
}
