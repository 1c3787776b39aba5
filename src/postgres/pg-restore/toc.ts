import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../../errors.ts'
import { capture, start } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { program, type Programs } from '../programs/find-programs.ts'
import { writeList } from './use-list.ts'

/**
 * A whole archive's table of contents, by what is restored when: ids in the archive's order.
 * pg_restore itself says which entries are in which section, since entries that belong to no
 * section (comments, grants) go with what they stand beside.
 */
export interface TableOfContents {
  /**
   * Indexes and keys, among those of `postData`, that rest on one table and on nothing that comes
   * after the rows.
   */
  indexes: TableIndex[]
  /** Types, tables, functions. */
  preData: number[]
  /** Rows, one entry a table. */
  rows: number[]
  /**
   * The rest of the data section: sequences' values, and large objects where they have no archive
   * of their own.
   */
  otherData: number[]
  /** Indexes, constraints, triggers, policies: what pg_restore can make on several connections. */
  postData: number[]
  /**
   * Grants, which may rest on each other without saying so, since a role can pass on what it was
   * given; and event triggers, which act from then on.
   */
  grants: number[]
  /** Materialized views, to be computed when all else is there. */
  views: number[]
}

export interface TableIndex {
  id: number
  /** Schema, name and owner of its table, with spaces between. */
  table: string
  /** A key: while it is made, nothing else can happen to the table. */
  alone: boolean
}

export async function readTableOfContents(
  programs: Programs,
  file: string,
  work: Work,
): Promise<TableOfContents> {
  const [everything, all, withoutGrants, preData, data, postData] = await Promise.all([
    // verbose: what an entry rests on is told; and every entry, whatever else was asked for
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
  // pg_restore keeps these back as well, with what is said of them
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
  /** Begins with the entry's kind. */
  what: string
  /** The oid of the catalogue that it stands in, or 0. */
  catalogue: number
  restsOn: number[]
}

/**
 * Entries by id. pg_restore writes each on one line, whatever its name holds, and on the next what
 * it rests on.
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
  if (listed.code !== 0)
    throw new UserError(
      'restore-failed',
      `pg_restore cannot list the archive: ${listed.stderr.trim()}`,
      'Use another backup.',
    )
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
   * What stands after it: schema, name and owner, with spaces between and line breaks as spaces.
   */
  named: string
  restsOn: number[]
}

/** Kinds of several words, and those that such a kind begins with. */
const longKinds = new RegExp(
  `^(${[
    'TABLE DATA|TABLE ATTACH|SEQUENCE OWNED BY|SEQUENCE SET|CHECK CONSTRAINT|FK CONSTRAINT|INDEX ATTACH|STATISTICS DATA|ROW SECURITY|SECURITY LABEL',
    'PUBLICATION TABLES IN SCHEMA|PUBLICATION TABLE|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|FOREIGN TABLE|FOREIGN SERVER|FOREIGN DATA WRAPPER',
    'USER MAPPING|DEFAULT ACL|EVENT TRIGGER|SHELL TYPE|OPERATOR CLASS|OPERATOR FAMILY|BLOB METADATA|[A-Z]+',
  ].join('|')}) `,
)

/** All entries of an archive, in its order: what each is, and what it rests on. */
export async function listEntries(
  programs: Programs,
  file: string,
  work: Work,
): Promise<ArchiveEntry[]> {
  const listed = await list(programs, file, ['--verbose'], work)
  return [...listed].map(([id, { what, restsOn, catalogue }]) => {
    // a table in a schema of the name "DATA" is told from a table's rows by the catalogue that it
    // stands in
    const kind =
      catalogue === 1259 && /^TABLE /.test(what) ? 'TABLE' : (longKinds.exec(what)?.[1] ?? '')
    return { id, kind, named: what.slice(kind.length + 1), restsOn }
  })
}

/**
 * The SQL of some entries, given in the archive's order, as pg_restore writes it: whole names,
 * nothing of psql's own commands (pg_restore frames its text with a pair of them, which name a
 * random key).
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
  if (code !== 0)
    throw new UserError(
      'restore-failed',
      `pg_restore cannot read the archive: ${stderr.trim()}`,
      'Use another backup.',
    )
  return withoutRestrict(stdout)
}

function withoutRestrict(text: string): string {
  const key = /^\\restrict (\w+)$/m.exec(text)?.[1]
  if (key === undefined) return text
  const end = text.lastIndexOf(`\\unrestrict ${key}`)
  return text.slice(0, end).replace(`\\restrict ${key}\n`, '')
}

/**
 * The tables whose rows an archive has, by its table of contents: schema, name and owner with
 * spaces between, as pg_restore lists them. `whole`: the archive is read to its end, by a
 * pg_restore that restores nothing, since `pg_restore -l` reads only the head, and is content with
 * half an archive. Not `whole`: the stream is destroyed as soon as the list is there.
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
  const fed = pipeline(archive, feedingAll(children.flatMap(({ stdin }) => stdin ?? [])), {
    signal: work.signal,
  })
  if (!whole) void listing.exit.finally(() => archive.destroy()).catch(() => {})
  const [flowed, ...exits] = await Promise.allSettled([fed, ...children.map(({ exit }) => exit)])
  work.signal.throwIfAborted()
  for (const exit of exits) {
    if (exit.status === 'rejected') throw exit.reason
    const { code, signal, stderr } = exit.value
    if (code !== 0)
      throw new UserError(
        'restore-failed',
        `pg_restore cannot read the archive: ${stderr.trim() || `it was ended by ${signal}`}`,
        'Use another backup.',
      )
  }
  if (whole && flowed.status === 'rejected') throw flowed.reason
  return [
    ...Buffer.concat(pieces)
      .toString('utf8')
      .matchAll(/^\d+; \d+ \d+ TABLE DATA (.*)$/gm),
  ].map(([, table = '']) => table)
}

/**
 * Passes everything on to each of some programs, at the pace of the slowest; one that has what it
 * wants is fed no more.
 */
function feedingAll(inputs: readonly Writable[]): Writable {
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
 * As pg_restore lists it: schema and name with a space between, without quotes, line breaks as
 * spaces.
 */
export function tocName(table: string): string {
  const parts = [...table.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(([, quoted, bare]) =>
    quoted === undefined ? bare : quoted.replaceAll('""', '"'),
  )
  return parts.join(' ').replace(/[\r\n]/g, ' ')
}

/**
 * `table` ends with the owner, and any of the names may have spaces: the longest beginning that is
 * known counts.
 */
export function findByTocName<T>(known: ReadonlyMap<string, T>, table: string): T | undefined {
  for (let end = table.lastIndexOf(' '); end > 0; end = table.lastIndexOf(' ', end - 1)) {
    const found = known.get(table.slice(0, end))
    if (found) return found
  }
  return undefined
}
