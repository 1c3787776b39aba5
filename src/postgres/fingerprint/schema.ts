import { createHash } from 'node:crypto'
import { UserError } from '../../errors.ts'
import { capture } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Connection, dumpEnvironment } from '../connection/connection.ts'
import { clientError } from '../connection/session-errors.ts'
import { program, type Programs } from '../programs/find-programs.ts'

/** A hash an entry of the schema, by `TYPE schema.name`: see `splitSchema`. */
export type SchemaPrint = Record<string, string>

/**
 * The schema as `pg_dump -s -C` writes it, split at its own headers, a hash an entry. Hashes of
 * pg_dump's text find what catalogue queries of our own would miss; they are comparable only
 * between two texts of one client's major version. Takes the locks that pg_dump takes, each for at
 * most `lockWait` milliseconds.
 */
export async function printSchema(
  programs: Programs,
  connection: Connection,
  options: { snapshot?: string; lockWait?: number; encoding: string },
  work: Work,
): Promise<SchemaPrint> {
  const args = ['-s', '-C', '--no-tablespaces', ...encodingArguments(options.encoding)]
  if (options.snapshot) args.push(`--snapshot=${options.snapshot}`)
  if (options.lockWait) args.push(`--lock-wait-timeout=${options.lockWait}`)
  const { code, stderr, stdout } = await capture(
    program(programs, 'pg_dump'),
    args,
    { env: { ...work.env, ...dumpEnvironment(connection, programs.major) } },
    work,
  )
  if (code !== 0)
    throw (
      clientError(connection, stderr) ??
      new UserError(
        'dump-failed',
        `pg_dump could not read the schema: ${stderr.trim()}`,
        'The message above is pg_dump’s own; try the same as the same user: pg_dump --schema-only',
      )
    )
  return splitSchema(stdout)
}

/** Text of another encoding is compared as UTF-8; SQL_ASCII knows no conversion. */
export function encodingArguments(encoding: string): string[] {
  return encoding === 'UTF8' || encoding === 'SQL_ASCII' ? [] : ['--encoding=UTF8']
}

/**
 * An entry of pg_dump's text: what its header says, and the lines below it up to the next header.
 */
export interface SchemaEntry {
  type: string
  /** `-` for what is in no schema. */
  schema: string
  name: string
  lines: string[]
}

/** Splits pg_dump's text at its `-- Name: …; Type: …` headers. */
export function entriesOf(text: string): SchemaEntry[] {
  const entries: SchemaEntry[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const header =
      lines[i] === '--' && lines[i + 2] === '--'
        ? /^-- Name: (.*); Type: ([^;]*); Schema: (.*); Owner: .*$/.exec(lines[i + 1] as string)
        : null
    if (!header) {
      entries.at(-1)?.lines.push(lines[i] as string)
      continue
    }
    const [, name = '', type = '', schema = ''] = header
    entries.push({ type, schema, name, lines: [] })
    i += 2
  }
  return entries
}

/** A hash an entry: of its definition, and after a colon of who owns it, where the text says so. */
export function splitSchema(text: string): SchemaPrint {
  const bodies = new Map<string, string[]>()
  let method = 'heap'
  for (const { type, schema, name, lines } of entriesOf(text)) {
    const key = keyOf(type, schema, name)
    const kept = withoutTail(lines)
    const { definition, owner } = withoutOwner(kept)
    // partitioned tables say it themselves, where they have one
    const stored =
      /^(TABLE|MATERIALIZED VIEW) /.test(key) &&
      method !== 'heap' &&
      !kept.some((line) => line.startsWith('PARTITION BY '))
    const hash = sha256(normalise(key, definition) + (stored ? `\nUSING ${method}` : '')).slice(
      0,
      32,
    )
    bodies.set(key, [
      ...(bodies.get(key) ?? []),
      owner === undefined ? hash : `${hash}:${sha256(owner).slice(0, 8)}`,
    ])
    // what stands after an entry is the setting of those that follow
    for (const line of lines.slice(kept.length))
      method = /^SET default_table_access_method = (.*);$/.exec(line)?.[1] ?? method
  }
  return Object.fromEntries([...bodies].map(([entry, hashes]) => [entry, hashes.sort().join(',')]))
}

/** The part of a print's hash that is of the definition alone. */
export function definitionOf(hash: string): string {
  return hash
    .replace(/:[0-9a-f]+/g, '')
    .split(',')
    .sort()
    .join(',')
}

/** The line by which pg_dump ends an entry that has an owner. */
export const ownerLine = /^(ALTER .* OWNER TO )("(?:[^"]|"")+"|[^\s";]+);$/

function withoutOwner(lines: string[]): { definition: string[]; owner?: string } {
  const owner = ownerLine.exec(lines.at(-1) ?? '')?.[2]
  return owner === undefined
    ? { definition: lines }
    : { definition: withoutTail(lines.slice(0, -1)), owner }
}

/** What pg_dump says between entries is no part of either. */
export function withoutTail(lines: string[]): string[] {
  let kept = lines
  while (
    kept.length &&
    /^(|--|-- PostgreSQL database dump complete|SET default_\w+ = .*;|\\(un)?restrict .*)$/.test(
      kept.at(-1) as string,
    )
  )
    kept = kept.slice(0, -1)
  return kept
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Entries of the database itself (owner, settings, grants) go by one name: a copy has another. */
function keyOf(type: string, schema: string, name: string): string {
  if (type.startsWith('DATABASE')) return type
  if (/^DATABASE /.test(name) && /^(ACL|COMMENT|SECURITY LABEL)$/.test(type))
    return `${type} DATABASE`
  return `${type} ${schema === '-' ? '' : `${schema}.`}${name}`
}

function normalise(key: string, kept: string[]): string {
  if (key.includes('DATABASE')) {
    return kept
      .filter((line) => !/^\\(connect|restrict|unrestrict)/.test(line))
      .join('\n')
      .replace(/\bDATABASE ("(?:[^"]|"")+"|[^\s;]+)/g, 'DATABASE this')
  }
  // secrets are not compared, not even by their hash
  if (/^(USER MAPPING|SUBSCRIPTION) /.test(key))
    return kept.join('\n').replace(/'(?:[^']|'')*'/g, "'…'")
  // a child's columns come back in another order than they were added in
  if (/^TABLE /.test(key) && kept.some((line) => line.startsWith('INHERITS (')))
    return kept
      .map((line) => line.replace(/,$/, ''))
      .sort()
      .join('\n')
  if (/^POLICY /.test(key))
    return kept.join('\n').replace(
      policyRoles,
      (_, before: string, roles: string) =>
        before +
        [...roles.matchAll(identifier)]
          .map(([role]) => role)
          .sort()
          .join(', '),
    )
  return kept.join('\n')
}

const identifier = /"(?:[^"]|"")+"|[^\s",;]+/g
/** A policy's roles come in the order in which the server's roles were made. */
const policyRoles =
  /^(\s*CREATE POLICY .*? ON .*? TO )((?:"(?:[^"]|"")+"|[^\s",;]+)(?:, (?:"(?:[^"]|"")+"|[^\s",;]+))*)(?= USING \(| WITH CHECK \(|;)/s

/** Schema entries that came, went and changed. */
export function compareSchemaPrints(
  before: SchemaPrint,
  after: SchemaPrint,
): { added: string[]; removed: string[]; changed: string[] } {
  const added = Object.keys(after).filter((entry) => !(entry in before))
  const removed = Object.keys(before).filter((entry) => !(entry in after))
  const changed = Object.keys(before).filter(
    (entry) => entry in after && before[entry] !== after[entry],
  )
  return { added: added.sort(), removed: removed.sort(), changed: changed.sort() }
}
