import { addHashes, type TablePrint } from '../postgres/fingerprint/content.ts'
import type { Depth, Fingerprint } from '../postgres/fingerprint/fingerprint.ts'
import { definitionOf } from '../postgres/fingerprint/schema.ts'
import type { SequenceValue } from '../postgres/fingerprint/sequences.ts'
import type { Difference, Level } from '../repository/level.ts'

/**
 * Compares what a copy holds with what the source held. Empty means: the same rows with the same
 * content, the same schema, sequences, large objects, extensions. Left out on purpose: the
 * database's own entries (a copy has another name and owner, and its settings are those of its
 * server) and subscriptions, which no copy of ours gets.
 *
 * `sameMajor`: pg_dump's text of two major versions differs where nothing does, so across majors
 * only the entries' names are compared. `owners: false`: the copy was meant to have other owners
 * and grants, so these are not compared.
 */
export function compareFingerprints(
  expected: Fingerprint,
  found: Fingerprint,
  sameMajor: boolean,
  { owners = true } = {},
): Difference[] {
  return [
    ...compareRows(expected.tables, found.tables),
    ...compareSequences(expected.sequences, found.sequences),
    ...compareLargeObjects(expected, found, owners),
    ...compareSchemas(expected.schema, found.schema, { definitions: sameMajor, owners }),
    ...compareRecords(
      'extension',
      expected.supplement.extensions,
      found.supplement.extensions,
      (version) => version,
    ),
    ...compareRecords(
      'matview',
      expected.supplement.matviews,
      found.supplement.matviews,
      (populated) => (populated ? 'populated' : 'not populated'),
    ),
    ...found.supplement.invalidIndexes
      .filter((index) => !expected.supplement.invalidIndexes.includes(index))
      .map((index): Difference => ({
        kind: 'index',
        object: index,
        expected: 'valid',
        found: 'not valid',
      })),
    ...(found.supplement.idleKeys ?? [])
      .filter((key) => !expected.supplement.idleKeys?.includes(key))
      .map((key): Difference => ({
        kind: 'schema',
        object: key,
        expected: 'kept to',
        found: 'its own triggers are disabled',
      })),
  ]
}

/**
 * The same for what the level `counted` promises: tables and their rows, sequences, how many large
 * objects.
 */
export function compareCounts(expected: Fingerprint, found: Fingerprint): Difference[] {
  const [before, after] = [countsOf(expected), countsOf(found)]
  return [
    ...compareRows(before.tables, after.tables),
    ...compareSequences(before.sequences, after.sequences),
    ...compareLargeObjects(before, after, false),
  ]
}

function countsOf({ largeObjects, ...print }: Fingerprint): Fingerprint {
  const tables = print.tables.map(({ table, rows, bytes, comparedAt }) => ({
    table,
    rows,
    bytes,
    ...(comparedAt === undefined ? {} : { comparedAt }),
  }))
  return {
    ...print,
    tables,
    ...(largeObjects ? { largeObjects: { count: largeObjects.count } } : {}),
  }
}

/** Rows and content alone: of all tables, or of those that a part of a database has. */
export function compareRows(
  expected: readonly TablePrint[],
  found: readonly TablePrint[],
): Difference[] {
  return compareTables(grouped(expected), grouped(found))
}

/**
 * Whether an extension is in both, in the same schema, and in two versions. A restore takes the
 * version that its server has to offer: that speaks of the server, not of the backup.
 */
export function isOtherVersion({ kind, expected, found }: Difference): boolean {
  const schemaOf = (text: string): string | undefined => /^\S+ in (.*)$/s.exec(text)?.[1]
  return (
    kind === 'extension' &&
    schemaOf(expected) !== undefined &&
    schemaOf(expected) === schemaOf(found)
  )
}

export function otherVersionText({ object, expected, found }: Difference): string {
  return `The extension ${object} has the version that this server offers (${found}), not the backup's (${expected}).`
}

/**
 * Which level a restored copy with these differences reaches, at the most that a fingerprint of
 * this depth can show.
 */
export function levelOf(differences: readonly Difference[], depth: Depth): Level {
  if (depth === 'none') return 'restored'
  if (differences.length === 0) return depth === 'content' ? 'identical' : 'counted'
  return differences.some(({ kind }) => kind === 'rows' || kind === 'sequence')
    ? 'restored'
    : 'counted'
}

/** Leaves whose rows may move between them at a restore, as one. */
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
        expected: `content ${short(print.hash)}`,
        found: `content ${short(other.hash)}, in as many rows`,
      })
    else if (other.generated !== print.generated)
      differences.push({
        kind: 'content',
        object,
        expected: `generated columns ${short(print.generated)}`,
        found: `generated columns ${short(other.generated)}`,
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

function compareSequences(
  expected: Fingerprint['sequences'],
  found: Fingerprint['sequences'],
): Difference[] {
  const differences: Difference[] = []
  for (const [object, { before, after }] of Object.entries(expected)) {
    const value = found[object]?.after
    const [low, high] = [before, after].sort((a, b) => (position(a) < position(b) ? -1 : 1)) as [
      SequenceValue,
      SequenceValue,
    ]
    if (value && position(value) >= position(low) && position(value) <= position(high)) continue
    const range =
      position(low) === position(high) ? valueText(low) : `${valueText(low)} to ${valueText(high)}`
    differences.push({
      kind: 'sequence',
      object,
      expected: range,
      found: value ? valueText(value) : 'no such sequence',
    })
  }
  for (const object of Object.keys(found))
    if (!expected[object])
      differences.push({ kind: 'sequence', object, expected: 'no such sequence', found: 'there' })
  return differences
}

/**
 * Orders the pairs that `setval` takes: a value that was called comes after the same one that was
 * not.
 */
function position({ last, called }: SequenceValue): bigint {
  return BigInt(last) * 2n + (called ? 1n : 0n)
}

function compareLargeObjects(
  { largeObjects: expected }: Fingerprint,
  { largeObjects: found }: Fingerprint,
  owners: boolean,
): Difference[] {
  const object = 'large objects'
  if (!expected || !found) return []
  if (expected.count !== found.count)
    return [{ kind: 'rows', object, expected: `${expected.count}`, found: `${found.count}` }]
  if (expected.bytes !== found.bytes || expected.hash !== found.hash)
    return [
      {
        kind: 'large-objects',
        object,
        expected: `${expected.bytes} bytes, content ${short(expected.hash)}`,
        found: `${found.bytes} bytes, content ${short(found.hash)}`,
      },
    ]
  if (owners && expected.attributes !== found.attributes)
    return [
      {
        kind: 'large-objects',
        object,
        expected: 'owners, grants and comments as they were',
        found: 'others',
      },
    ]
  return []
}

/** Entries that a copy has otherwise, or not at all, by intent. */
function belongsToTheServer(entry: string): boolean {
  return /^DATABASE\b|^(ACL|COMMENT|SECURITY LABEL) (DATABASE$|SUBSCRIPTION )|^SUBSCRIPTION\b/.test(
    entry,
  )
}

/** `definitions`: both are the text of one client; else only names are compared. */
function compareSchemas(
  expected: Fingerprint['schema'],
  found: Fingerprint['schema'],
  { definitions, owners }: { definitions: boolean; owners: boolean },
): Difference[] {
  const differences: Difference[] = []
  const left = (entry: string): boolean =>
    belongsToTheServer(entry) || (!owners && /^(DEFAULT )?ACL /.test(entry))
  const entries = new Set(
    [...Object.keys(expected), ...Object.keys(found)].filter((entry) => !left(entry)),
  )
  for (const object of [...entries].sort()) {
    const [before, after] = [expected[object], found[object]]
    if (before === after) continue
    if (before === undefined) {
      if (definitions)
        differences.push({ kind: 'schema', object, expected: 'not there', found: 'there' })
    } else if (after === undefined)
      differences.push({ kind: 'schema', object, expected: 'there', found: 'missing' })
    else if (!definitions) continue
    else if (definitionOf(before) !== definitionOf(after))
      differences.push({
        kind: 'schema',
        object,
        expected: `definition ${before.slice(0, 8)}`,
        found: `another definition (${after.slice(0, 8)})`,
      })
    else if (owners)
      differences.push({ kind: 'schema', object, expected: 'its owner', found: 'another owner' })
  }
  return differences
}

function compareRecords<T>(
  kind: Difference['kind'],
  expected: Record<string, T>,
  found: Record<string, T>,
  text: (value: T) => string,
): Difference[] {
  return [...new Set([...Object.keys(expected), ...Object.keys(found)])]
    .sort()
    .flatMap((object): Difference[] => {
      const [before, after] = [expected[object], found[object]]
      if (before === after) return []
      return [
        {
          kind,
          object,
          expected: before === undefined ? 'not there' : text(before),
          found: after === undefined ? 'not there' : text(after),
        },
      ]
    })
}

function rowsText(rows: number): string {
  return `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`
}

function valueText({ last, called }: SequenceValue): string {
  return called ? last : `${last}, not yet called`
}

function short(hash: string | undefined): string {
  return hash === undefined ? 'none' : hash.length > 12 ? `…${hash.slice(-12)}` : hash
}
