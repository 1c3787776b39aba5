import { createHash } from 'node:crypto'
import { UserError } from '../../errors.ts'
import { capture } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Connection, dumpEnvironment } from '../connection/connection.ts'
import { clientError } from '../connection/session-errors.ts'
import { program, type Programs } from '../programs/find-programs.ts'

/** A hash per schema entry, by `TYPE schema.name`: see `splitSchema`. */
export type SchemaPrint = Record<string, string>

/**
 * Runs `pg_dump -s -C` and returns a hash per entry of its text. The text shows more than catalogue
 * queries would; two prints are comparable only if the client has the same major version. Takes
 * pg_dump's locks and waits at most `lockWait` milliseconds for each. Throws a StandbyConflict, or a
 * UserError for a lost connection and the like, or `dump-failed`.
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
        'The message is pg_dump’s own. Try the same as the same user: pg_dump --schema-only',
      )
    )
  return splitSchema(stdout)
}

/**
 * Returns the arguments that make pg_dump write UTF-8, whatever the database's encoding is. None for
 * SQL_ASCII, which has no conversion.
 */
export function encodingArguments(encoding: string): string[] {
  return encoding === 'UTF8' || encoding === 'SQL_ASCII' ? [] : ['--encoding=UTF8']
}

/** An entry of pg_dump's text: its header, and the lines up to the next header. */
export interface SchemaEntry {
  type: string
  /** `-` for objects without a schema. */
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

/** Returns a hash per entry: of its definition, and after a colon of its owner if it has one. */
export function splitSchema(text: string): SchemaPrint {
  const bodies = new Map<string, string[]>()
  let accessMethod = 'heap'
  for (const { type, schema, name, lines } of entriesOf(text)) {
    const key = keyOf(type, schema, name)
    const kept = withoutTail(lines)
    const { definition, owner } = withoutOwner(kept)
    // a partitioned table states its access method itself
    const usesDefault =
      /^(TABLE|MATERIALIZED VIEW) /.test(key) &&
      accessMethod !== 'heap' &&
      !kept.some((line) => line.startsWith('PARTITION BY '))
    const using = usesDefault ? `\nUSING ${accessMethod}` : ''
    const hash = sha256(normalise(key, definition) + using).slice(0, 32)
    bodies.set(key, [
      ...(bodies.get(key) ?? []),
      owner === undefined ? hash : `${hash}:${sha256(owner).slice(0, 8)}`,
    ])
    // settings after an entry apply to the next ones
    for (const line of lines.slice(kept.length))
      accessMethod = /^SET default_table_access_method = (.*);$/.exec(line)?.[1] ?? accessMethod
  }
  return Object.fromEntries([...bodies].map(([entry, hashes]) => [entry, hashes.sort().join(',')]))
}

/** Returns an entry's hash without its owner. */
export function definitionOf(hash: string): string {
  return hash
    .replace(/:[0-9a-f]+/g, '')
    .split(',')
    .sort()
    .join(',')
}

/** pg_dump's last line of an entry that has an owner. */
export const ownerLine = /^(ALTER .* OWNER TO )("(?:[^"]|"")+"|[^\s";]+);$/

function withoutOwner(lines: string[]): { definition: string[]; owner?: string } {
  const owner = ownerLine.exec(lines.at(-1) ?? '')?.[2]
  return owner === undefined
    ? { definition: lines }
    : { definition: withoutTail(lines.slice(0, -1)), owner }
}

/** Returns an entry's lines without pg_dump's comments and settings between entries. */
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

/** Entries of the database itself have the same key for every database name: copies are renamed. */
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
  // secrets are not compared, not even as a hash
  if (/^(USER MAPPING|SUBSCRIPTION) /.test(key))
    return kept.join('\n').replace(/'(?:[^']|'')*'/g, "'…'")
  // a restore can change the order of an inheritance child's columns
  if (/^TABLE /.test(key) && kept.some((line) => line.startsWith('INHERITS (')))
    return kept
      .map((line) => line.replace(/,$/, ''))
      .sort()
      .join('\n')
  if (/^POLICY /.test(key)) return kept.join('\n').replace(policyRoles, sortRoles)
  return kept.join('\n')
}

const identifier = /"(?:[^"]|"")+"|[^\s",;]+/g
const identifiers = `(?:${identifier.source})(?:, (?:${identifier.source}))*`
/** The roles of a policy, in the order in which they were created on the server. */
const policyRoles = new RegExp(
  `^(\\s*CREATE POLICY .*? ON .*? TO )(${identifiers})(?= USING \\(| WITH CHECK \\(|;)`,
  's',
)

function sortRoles(_: string, before: string, roles: string): string {
  return before + [...roles.matchAll(identifier)].flat().sort().join(', ')
}

/** Returns the schema entries that were added, removed and changed. */
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
