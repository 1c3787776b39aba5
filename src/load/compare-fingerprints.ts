import type { Depth, Fingerprint } from '../postgres/fingerprint/fingerprint.ts'
import { definitionOf } from '../postgres/fingerprint/schema.ts'
import type { SequenceValue } from '../postgres/fingerprint/sequences.ts'
import type { Difference, Level } from '../repository/level.ts'
import { compareRows, shortHash } from './compare-rows.ts'

/**
 * Compares the fingerprint of a copy with that of its source. Returns an empty array if rows,
 * content, schema, sequences, large objects and extensions are all the same. Does not compare the
 * entries of the database itself, because a copy has another name, owner and settings, nor
 * subscriptions, which are not restored.
 *
 * @param sameMajor false compares only the names of schema entries: pg_dump's text differs between
 *   majors even if the definitions do not
 * @param owners false does not compare owners and grants, for a copy that was given others
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
        expected: 'enforced',
        found: 'not enforced: its triggers are disabled',
      })),
  ]
}

/** Compares what the level `counted` covers: tables, rows, sequences, number of large objects. */
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

/**
 * Whether a difference is only another version of an extension, in the same schema. A restore
 * installs the version that the server offers, so this says nothing about the backup.
 */
export function isOtherVersion({ kind, expected, found }: Difference): boolean {
  const schemaOf = (text: string): string | undefined => /^\S+ in (.*)$/s.exec(text)?.[1]
  return (
    kind === 'extension' &&
    schemaOf(expected) !== undefined &&
    schemaOf(expected) === schemaOf(found)
  )
}

/** A warning about a difference of which `isOtherVersion` is true. */
export function otherVersionText({ object, expected, found }: Difference): string {
  return (
    `The extension ${object} has the version that this server offers (${found}), ` +
    `not the backup's (${expected}).`
  )
}

/** The level that a restored copy with these differences reaches, given the fingerprint's depth. */
export function levelOf(differences: readonly Difference[], depth: Depth): Level {
  if (depth === 'none') return 'restored'
  if (differences.length === 0) return depth === 'content' ? 'identical' : 'counted'
  return differences.some(({ kind }) => kind === 'rows' || kind === 'sequence')
    ? 'restored'
    : 'counted'
}

function compareSequences(
  expected: Fingerprint['sequences'],
  found: Fingerprint['sequences'],
): Difference[] {
  const differences: Difference[] = []
  for (const [object, { before, after }] of Object.entries(expected)) {
    const value = found[object]?.after
    const position = orderOf(before, after)
    const [low, high] = position(before) <= position(after) ? [before, after] : [after, before]
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
      differences.push({ kind: 'sequence', object, expected: 'no such sequence', found: 'present' })
  return differences
}

/**
 * Returns the order in which a sequence reaches its values: one that was returned already comes
 * after the same one that was not. The sequence descends if its value did between two readings.
 */
function orderOf(before: SequenceValue, after: SequenceValue): (value: SequenceValue) => bigint {
  const step = BigInt(after.last) < BigInt(before.last) ? -2n : 2n
  return ({ last, called }) => BigInt(last) * step + (called ? 1n : 0n)
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
        expected: `${expected.bytes} bytes, content ${shortHash(expected.hash)}`,
        found: `${found.bytes} bytes, content ${shortHash(found.hash)}`,
      },
    ]
  if (owners && expected.attributes !== found.attributes)
    return [
      {
        kind: 'large-objects',
        object,
        expected: 'the owners, grants and comments of the source',
        found: 'different ones',
      },
    ]
  return []
}

/** Entries that a copy is not meant to have, or has with other values. */
function belongsToTheServer(entry: string): boolean {
  return /^DATABASE\b|^(ACL|COMMENT|SECURITY LABEL) (DATABASE$|SUBSCRIPTION )|^SUBSCRIPTION\b/.test(
    entry,
  )
}

/** `definitions: false` compares only the names of entries. */
function compareSchemas(
  expected: Fingerprint['schema'],
  found: Fingerprint['schema'],
  { definitions, owners }: { definitions: boolean; owners: boolean },
): Difference[] {
  const differences: Difference[] = []
  const ignored = (entry: string): boolean =>
    belongsToTheServer(entry) || (!owners && /^(DEFAULT )?ACL /.test(entry))
  const entries = new Set(
    [...Object.keys(expected), ...Object.keys(found)].filter((entry) => !ignored(entry)),
  )
  for (const object of [...entries].sort()) {
    const [before, after] = [expected[object], found[object]]
    if (before === after) continue
    if (before === undefined) {
      if (definitions)
        differences.push({ kind: 'schema', object, expected: 'absent', found: 'present' })
    } else if (after === undefined)
      differences.push({ kind: 'schema', object, expected: 'present', found: 'missing' })
    else if (!definitions) continue
    else if (definitionOf(before) !== definitionOf(after))
      differences.push({
        kind: 'schema',
        object,
        expected: `definition ${before.slice(0, 8)}`,
        found: `a different definition (${after.slice(0, 8)})`,
      })
    else if (owners)
      differences.push({
        kind: 'schema',
        object,
        expected: 'the same owner',
        found: 'a different owner',
      })
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
          expected: before === undefined ? 'absent' : text(before),
          found: after === undefined ? 'missing' : text(after),
        },
      ]
    })
}

function valueText({ last, called }: SequenceValue): string {
  return called ? last : `${last}, not yet called`
}
