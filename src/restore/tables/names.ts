import { UserError } from '../../errors.ts'
import { tableName } from '../../postgres/fingerprint/tables.ts'
import type { Manifest } from '../../repository/manifest.ts'
import { input, text } from '../../text.ts'

/** The name of a table. */
export interface NamedTable {
  schema: string
  name: string
}

/** One part of a name, quoted or not, and the dot after it or the end. */
const namePart = /\s*(?:"((?:[^"]|"")+)"|([^".]+?))\s*(\.|$)/gy

/**
 * Parses `schema.table`. Each part can be in double quotes; a name without a schema is in `public`.
 * Throws `bad-input` for anything else.
 */
export function readTableName(typed: string): NamedTable {
  const matches = [...typed.trim().matchAll(namePart)]
  const read = matches.map(([all]) => all).join('')
  const parts = matches.map(
    ([, quoted, bare]) => (quoted === undefined ? bare : quoted.replaceAll('""', '"')) ?? '',
  )
  const [first = '', second] = parts
  if (read !== typed.trim() || parts.length > 2 || first === '')
    throw new UserError(
      'bad-input',
      text`${input('tables')} has the line ${JSON.stringify(typed)}, which is not the name of a table.`,
      'Write schema.table. Put names with dots, spaces or capitals in double quotes: ' +
        '"odd schema"."Table".',
    )
  return second === undefined ? { schema: 'public', name: first } : { schema: first, name: second }
}

/** Parses the name of a schema, which can be in double quotes. */
export function readSchemaName(typed: string): string {
  const name = typed.trim()
  return /^"(?:[^"]|"")+"$/.test(name) ? name.slice(1, -1).replaceAll('""', '"') : name
}

const lowerCase = ({ schema, name }: NamedTable): NamedTable => ({
  schema: schema.toLowerCase(),
  name: name.toLowerCase(),
})

/**
 * Finds the named tables and schemas among `all`: as typed or, like SQL, in lower case if the name
 * has no quotes. Throws `unknown-table` or `unknown-schema`, with the nearest names. `where` begins
 * the message, for example "The backup …".
 */
export function pickTables<T extends NamedTable>(
  wanted: { tables: readonly string[]; schemas: readonly string[] },
  all: readonly T[],
  where: string,
): T[] {
  const picked = new Set<T>()
  for (const typed of wanted.tables) {
    const name = readTableName(typed)
    const found =
      all.find((table) => same(table, name)) ??
      (typed.includes('"') ? undefined : all.find((table) => same(table, lowerCase(name))))
    if (!found) throw unknownName('table', tableName(name), all.map(tableName), where)
    picked.add(found)
  }
  const schemas = [...new Set(all.map(({ schema }) => schema))]
  for (const typed of wanted.schemas) {
    const name = readSchemaName(typed)
    const found = [name, ...(typed.includes('"') ? [] : [name.toLowerCase()])].find((each) =>
      schemas.includes(each),
    )
    if (found === undefined) throw unknownName('schema', name, schemas, where)
    for (const table of all) if (table.schema === found) picked.add(table)
  }
  return [...picked]
}

function same(a: NamedTable, b: NamedTable): boolean {
  return a.schema === b.schema && a.name === b.name
}

function unknownName(
  kind: 'table' | 'schema',
  name: string,
  all: readonly string[],
  where: string,
): UserError {
  const near = nearest(name, all)
  return new UserError(
    kind === 'schema' ? 'unknown-schema' : 'unknown-table',
    `${where} has no ${kind} ${name}${kind === 'schema' ? ' with tables' : ''}.`,
    near.length
      ? `Did you mean ${near.join(', ')}? Names with capitals, dots or spaces need double quotes.`
      : `It has no ${kind}s at all.`,
  )
}

/** Returns the three names that are most similar to `name`, or that begin with it. */
export function nearest(name: string, all: readonly string[]): string[] {
  const plain = (each: string): string => each.replaceAll('"', '').toLowerCase()
  const lastPart = (each: string): string => plain(each).split('.').at(-1) ?? ''
  const own = lastPart(name)
  const rank = (other: string): number => {
    const last = lastPart(other)
    return Math.min(
      distance(plain(name), plain(other)),
      1 + distance(own, last),
      own !== '' && last.startsWith(own) ? 1 : Infinity,
    )
  }
  const ranked = all
    .map((other) => ({ other, rank: rank(other) }))
    .sort((a, b) => a.rank - b.rank || (a.other < b.other ? -1 : 1))
  return ranked.slice(0, 3).map(({ other }) => other)
}

/** Returns the Levenshtein distance: how many characters to insert, delete or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, changed))
    }
    row = next
  }
  return row.at(-1) as number
}

/**
 * Checks, before anything is fetched, that the backup has the named tables and schemas, as far as
 * the manifest shows it. The fingerprint lists tables with rows; the roots of partition trees are
 * among its schema entries, whose names have no quotes. With `fingerprint: none` it only checks the
 * spelling.
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
  const entries = new Set(
    Object.keys(fingerprint.schema).flatMap((entry) => /^TABLE (.*)$/s.exec(entry)?.[1] ?? []),
  )
  const roots = wanted.tables
    .map(readTableName)
    .flatMap((name) => [name, lowerCase(name)])
    .filter(({ schema, name }) => entries.has(`${schema}.${name}`.replace(/[\r\n]/g, ' ')))
  pickTables(wanted, [...leaves, ...roots], `The backup ${id}`)
}
