import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { capture, start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { program, type Programs } from '../programs/find-programs.ts'
import { unreadableArchiveError } from './errors.ts'
import { writeList } from './use-list.ts'

/**
 * An archive's table of contents, grouped by when entries are restored: ids in the archive's order.
 * pg_restore tells which entry is in which section, because entries of no section (comments,
 * grants) go with their neighbours.
 */
export interface TableOfContents {
  /**
   * The indexes and keys of `postData` that depend on one table and on nothing else in `postData`.
   */
  indexes: TableIndex[]
  /** Types, tables, functions. */
  preData: number[]
  /** Rows, one entry a table. */
  rows: number[]
  /**
   * The rest of the data section: sequence values, and large objects unless they have an archive.
   */
  otherData: number[]
  /** Indexes, constraints, triggers, policies: pg_restore can create them in parallel. */
  postData: number[]
  /**
   * Grants, which may depend on each other unseen, because a role can pass on its privileges; and
   * event triggers, which fire from then on.
   */
  grants: number[]
  /** Materialized views, to be computed last. */
  views: number[]
}

export interface TableIndex {
  id: number
  /** Schema, name and owner of its table, with spaces between. */
  table: string
  /** Whether it is a key, which locks the table against everything else while it is created. */
  alone: boolean
}

/** Reads the table of contents of an archive file. */
export async function readTableOfContents(
  programs: Programs,
  file: string,
  work: Work,
): Promise<TableOfContents> {
  const [everything, all, withoutGrants, preData, data, postData] = await Promise.all([
    // --verbose also lists dependencies, and all entries whatever the selection
    list(programs, file, ['--verbose'], work),
    list(programs, file, [], work),
    list(programs, file, ['--no-privileges'], work),
    list(programs, file, ['--section=pre-data', '--no-privileges'], work),
    list(programs, file, ['--section=data', '--no-privileges'], work),
    list(programs, file, ['--section=post-data', '--no-privileges'], work),
  ])
  const is =
    (kind: string) =>
    ([, { what }]: [number, Listed]): boolean =>
      what.startsWith(`${kind} `)
  const ids = (entries: Iterable<[number, Listed]>): number[] => [...entries].map(([id]) => id)
  const rows = ids([...data].filter(is('TABLE DATA')))
  const views = ids([...postData].filter(is('MATERIALIZED VIEW DATA')))
  // pg_restore holds these back as well, with their comments and labels
  const eventTriggers = ids(
    [...postData].filter(([, { what }]) =>
      /^(EVENT TRIGGER |(COMMENT|SECURITY LABEL) - EVENT TRIGGER )/.test(what),
    ),
  )
  return {
    preData: ids(preData),
    rows,
    otherData: without(ids(data), rows),
    postData: without(ids(postData), [...views, ...eventTriggers]),
    grants: [...without(ids(all), ids(withoutGrants)), ...eventTriggers],
    views,
    indexes: indexesOf(everything, postData),
  }
}

function indexesOf(all: Map<number, Listed>, postData: Map<number, Listed>): TableIndex[] {
  return [...postData].flatMap(([id, { what }]) => {
    const restsOn = all.get(id)?.restsOn ?? []
    if (!/^(INDEX|CONSTRAINT) /.test(what) || restsOn.some((other) => postData.has(other)))
      return []
    const tables = restsOn.flatMap(
      (other) => /^TABLE (?!DATA )(.*)$/.exec(all.get(other)?.what ?? '')?.[1] ?? [],
    )
    return tables.length === 1
      ? [{ id, table: tables[0] as string, alone: what.startsWith('CONSTRAINT ') }]
      : []
  })
}

function without(ids: readonly number[], others: readonly number[]): number[] {
  const left = new Set(others)
  return ids.filter((id) => !left.has(id))
}

interface Listed {
  /** Kind, schema, name and owner. */
  what: string
  /** The oid of the system catalogue that holds it, or 0. */
  catalogue: number
  restsOn: number[]
}

/**
 * Lists entries by id. pg_restore writes each on one line, whatever characters its name has, and
 * its dependencies on the next.
 */
async function list(
  programs: Programs,
  file: string,
  selection: readonly string[],
  work: Work,
): Promise<Map<number, Listed>> {
  const listed = await capture(
    program(programs, 'pg_restore'),
    ['-l', '--no-subscriptions', ...selection, file],
    { env: { ...work.env } },
    work,
  )
  if (listed.code !== 0) throw unreadableArchiveError(listed.stderr.trim())
  const entries = listed.stdout.matchAll(/^(\d+); (\d+) \d+ (.*)\n(?:;\tdepends on: ([\d ]+))?/gm)
  return new Map(
    [...entries].map(([, id, catalogue, what = '', restsOn]) => [
      Number(id),
      { what, catalogue: Number(catalogue), restsOn: restsOn?.trim().split(' ').map(Number) ?? [] },
    ]),
  )
}

/** One entry of an archive's table of contents. */
export interface ArchiveEntry {
  id: number
  /** For example `TABLE DATA`. */
  kind: string
  /**
   * Schema, name and owner, separated by spaces, with line breaks as spaces.
   */
  named: string
  restsOn: number[]
}

/** Kinds of several words, each before its own beginning, then kinds of one word. */
const longKinds = new RegExp(
  `^(${[
    'TABLE DATA|TABLE ATTACH|SEQUENCE OWNED BY|SEQUENCE SET|CHECK CONSTRAINT|FK CONSTRAINT',
    'INDEX ATTACH|STATISTICS DATA|ROW SECURITY|SECURITY LABEL',
    'PUBLICATION TABLES IN SCHEMA|PUBLICATION TABLE|MATERIALIZED VIEW DATA|MATERIALIZED VIEW',
    'FOREIGN TABLE|FOREIGN SERVER|FOREIGN DATA WRAPPER|USER MAPPING|DEFAULT ACL|EVENT TRIGGER',
    'SHELL TYPE|OPERATOR CLASS|OPERATOR FAMILY|BLOB METADATA|[A-Z]+',
  ].join('|')}) `,
)

/** Returns all entries of an archive, in its order, with their dependencies. */
export async function listEntries(
  programs: Programs,
  file: string,
  work: Work,
): Promise<ArchiveEntry[]> {
  const listed = await list(programs, file, ['--verbose'], work)
  return [...listed].map(([id, { what, restsOn, catalogue }]) => {
    // a table in a schema named "DATA" looks like rows of a table, but is in pg_class (1259)
    const kind =
      catalogue === 1259 && /^TABLE /.test(what) ? 'TABLE' : (longKinds.exec(what)?.[1] ?? '')
    return { id, kind, named: what.slice(kind.length + 1), restsOn }
  })
}

/**
 * Returns the SQL of entries, in the archive's order, as pg_restore writes it, with qualified
 * names. Leaves out the psql commands around it (`\restrict` with a random key).
 */
export async function entriesSql(
  programs: Programs,
  file: string,
  ids: readonly number[],
  options: { folder: string; withOwners: boolean },
  work: Work,
): Promise<string> {
  if (ids.length === 0) return ''
  const flags = options.withOwners ? [] : ['--no-owner', '--no-privileges']
  const list = await writeList({ ids, folder: options.folder })
  const { code, stderr, stdout } = await capture(
    program(programs, 'pg_restore'),
    ['-f', '-', '--no-tablespaces', ...flags, '-L', list, file],
    { env: { ...work.env } },
    work,
  )
  if (code !== 0) throw unreadableArchiveError(stderr.trim())
  return withoutRestrict(stdout)
}

function withoutRestrict(text: string): string {
  const key = /^\\restrict (\w+)$/m.exec(text)?.[1]
  if (key === undefined) return text
  const end = text.lastIndexOf(`\\unrestrict ${key}`)
  return text.slice(0, end).replace(`\\restrict ${key}\n`, '')
}

/**
 * Returns the tables whose rows an archive has, as its table of contents lists them: schema, name
 * and owner, separated by spaces. With `whole`, a second pg_restore reads the archive to its end
 * without restoring anything, because `pg_restore -l` reads only the head and accepts half an
 * archive. Without it, the stream is destroyed as soon as the list is complete.
 */
export async function listDataTables(
  programs: Programs,
  archive: Readable,
  { whole }: { whole: boolean },
  work: Work,
): Promise<string[]> {
  const run = (
    args: readonly string[],
    options: { stdout?: 'pipe' } = {},
  ): ReturnType<typeof start> =>
    start(
      program(programs, 'pg_restore'),
      args,
      { env: { ...work.env }, stdin: 'pipe', ...options },
      work,
    )
  const listing = run(['-l'], { stdout: 'pipe' })
  const children = whole ? [listing, run(['-f', '/dev/null'])] : [listing]
  const pieces: Buffer[] = []
  listing.stdout?.on('data', (piece: Buffer) => pieces.push(piece))
  const fed = pipeline(archive, toEach(children.flatMap(({ stdin }) => stdin ?? [])), {
    signal: work.signal,
  })
  if (!whole) void listing.exit.finally(() => archive.destroy()).catch(() => {})
  const [flowed, ...exits] = await Promise.allSettled([fed, ...children.map(({ exit }) => exit)])
  work.signal.throwIfAborted()
  for (const exit of exits) {
    if (exit.status === 'rejected') throw exit.reason
    const { code, signal, stderr } = exit.value
    if (code !== 0) throw unreadableArchiveError(stderr.trim() || `it was ended by ${signal}`)
  }
  if (whole && flowed.status === 'rejected') throw flowed.reason
  return [
    ...Buffer.concat(pieces)
      .toString('utf8')
      .matchAll(/^\d+; \d+ \d+ TABLE DATA (.*)$/gm),
  ].map(([, table = '']) => table)
}

/**
 * Passes everything to each program's input, at the pace of the slowest. A program that stopped
 * reading gets no more.
 */
function toEach(inputs: readonly Writable[]): Writable {
  const pass = (stdin: Writable, chunk: Buffer): Promise<void> =>
    new Promise((resolve) =>
      stdin.destroyed || stdin.writableEnded ? resolve() : void stdin.write(chunk, () => resolve()),
    )
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      void Promise.all(inputs.map((stdin) => pass(stdin, chunk))).then(() => done())
    },
    final(done) {
      for (const stdin of inputs) stdin.end()
      done()
    },
    destroy(error, done) {
      for (const stdin of inputs) stdin.destroy()
      done(error)
    },
  })
}

/**
 * Returns a quoted `schema.name` as pg_restore lists it: separated by a space, without quotes, line
 * breaks as spaces.
 */
export function tocName(table: string): string {
  const parts = [...table.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(([, quoted, bare]) =>
    quoted === undefined ? bare : quoted.replaceAll('""', '"'),
  )
  return parts.join(' ').replace(/[\r\n]/g, ' ')
}

/**
 * Finds a table by the name in an archive's list. `table` ends with the owner, and each name may
 * have spaces, so the longest known beginning counts.
 */
export function findByTocName<T>(known: ReadonlyMap<string, T>, table: string): T | undefined {
  for (let end = table.lastIndexOf(' '); end > 0; end = table.lastIndexOf(' ', end - 1)) {
    const found = known.get(table.slice(0, end))
    if (found) return found
  }
  return undefined
}
