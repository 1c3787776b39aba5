import { editDistance } from '../../errors/suggest.ts'
import { UserError } from '../../errors.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import type { Manifest } from '../../repository/manifest.ts'

/** A table as somebody named it. */
export interface NamedTable {
  schema: string
  name: string
}

/**
 * Reads `schema.table`, each part bare or in double quotes; a bare name alone is one of `public`.
 */
export function readTableName(typed: string): NamedTable {
  const parts = [...typed.trim().matchAll(/\s*(?:"((?:[^"]|"")+)"|([^".]+?))\s*(\.|$)/gy)].map(
    ([, quoted, bare]) => (quoted === undefined ? bare : quoted.replaceAll('""', '"')) ?? '',
  )
  const read = [...typed.trim().matchAll(/\s*(?:"((?:[^"]|"")+)"|([^".]+?))\s*(\.|$)/gy)]
    .map(([all]) => all)
    .join('')
  const [first = '', second] = parts
  if (read !== typed.trim() || parts.length > 2 || first === '')
    throw new UserError(
      'bad-input',
      `The input tables has the line ${JSON.stringify(typed)}, which is no table's name.`,
      'Write schema.table, and put what has dots, spaces or capitals in double quotes: "odd schema"."Table".',
    )
  return second === undefined ? { schema: 'public', name: first } : { schema: first, name: second }
}

/** The same for a schema. */
export function readSchemaName(typed: string): string {
  const text = typed.trim()
  return /^"(?:[^"]|"")+"$/.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text
}

/**
 * Finds what was named among the tables there are: as typed, or, as SQL would read a name without
 * quotes, in small letters. Throws `unknown-table` or `unknown-schema`, with the nearest names.
 */
export function pickTables<T extends NamedTable>(
  wanted: { tables: readonly string[]; schemas: readonly string[] },
  all: readonly T[],
  where: string,
): T[] {
  const picked = new Set<T>()
  for (const typed of wanted.tables) {
    const name = readTableName(typed)
    const small = { schema: name.schema.toLowerCase(), name: name.name.toLowerCase() }
    const found =
      all.find((table) => same(table, name)) ??
      (typed.includes('"') ? undefined : all.find((table) => same(table, small)))
    if (!found) throw unknown('table', tableName(name), all.map(tableName), where)
    picked.add(found)
  }
  const schemas = [...new Set(all.map(({ schema }) => schema))]
  for (const typed of wanted.schemas) {
    const name = readSchemaName(typed)
    const found = [name, ...(typed.includes('"') ? [] : [name.toLowerCase()])].find((each) =>
      schemas.includes(each),
    )
    if (found === undefined) throw unknown('schema', name, schemas, where)
    for (const table of all) if (table.schema === found) picked.add(table)
  }
  return [...picked]
}

function same(a: NamedTable, b: NamedTable): boolean {
  return a.schema === b.schema && a.name === b.name
}

function unknown(
  kind: 'table' | 'schema',
  name: string,
  all: readonly string[],
  where: string,
): UserError {
  const near = nearest(name, all)
  const hint = near.length
    ? `Did you mean ${near.join(', ')}? Capitals, dots and spaces need double quotes.`
    : `It has no ${kind}s at all.`
  return new UserError(
    kind === 'schema' ? 'unknown-schema' : 'unknown-table',
    `${where} has no ${kind} ${name}${kind === 'schema' ? ' with tables' : ''}.`,
    hint,
  )
}

/** The three names that are typed most like another, or begin with it. */
export function nearest(name: string, all: readonly string[]): string[] {
  const bare = (text: string): string => text.replaceAll('"', '').toLowerCase()
  const own = bare(name).split('.').at(-1) ?? ''
  const rank = (other: string): number => {
    const last = bare(other).split('.').at(-1) ?? ''
    return Math.min(
      editDistance(bare(name), bare(other)),
      1 + editDistance(own, last),
      own !== '' && last.startsWith(own) ? 1 : Infinity,
    )
  }
  const ranked = all
    .map((other) => ({ other, rank: rank(other) }))
    .sort((a, b) => a.rank - b.rank || (a.other < b.other ? -1 : 1))
  return ranked.slice(0, 3).map(({ other }) => other)
}

/**
 * Looks, before anything is fetched, whether the backup has what was named, as far as the manifest
 * tells: leaves are in its fingerprint, roots of partition trees among the schema's entries (there
 * without quotes). A fingerprint of the kind `none` tells nothing.
 */
export function checkNamed(
  wanted: { tables: readonly string[]; schemas: readonly string[] },
  { fingerprint, id }: Manifest,
): void {
  if (fingerprint.kind === 'none') {
    wanted.tables.forEach(readTableName)
    return
  }
  const leaves = fingerprint.tables.map(({ table }) => readTableName(table))
  const plain = new Set(
    Object.keys(fingerprint.schema).flatMap((entry) => /^TABLE (.*)$/s.exec(entry)?.[1] ?? []),
  )
  const spelled = wanted.tables
    .map(readTableName)
    .flatMap((name) => [name, { schema: name.schema.toLowerCase(), name: name.name.toLowerCase() }])
  const roots = spelled.filter(({ schema, name }) =>
    plain.has(`${schema}.${name}`.replace(/[\r\n]/g, ' ')),
  )
  pickTables(wanted, [...leaves, ...roots], `The backup ${id}`)
}
