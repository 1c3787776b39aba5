import type { Session } from '../connection/session.ts'

/**
 * Databases that a restore replaced and kept. What makes one ours to put back or to drop is a mark,
 * the last line of its comment: a setting of our own would need a superuser, a comment only the
 * owner. A name alone says nothing: anybody may call a database so.
 */
export interface PreviousMark {
  /** The name that it had. */
  database: string
  /** When it was replaced (ISO 8601, UTC, to the second): the time that its name ends with. */
  until: string
  /** What took its place, as the rest of a sentence. */
  by: string
}

export interface PreviousDatabase {
  name: string
  mark: PreviousMark
  /** Its comment without the mark: what it was before. */
  comment: string | null
  owner: string
  /** Undefined where we may not look. */
  bytes?: number
  /** How many are connected to it. */
  sessions: number
}

const beginning = 'Kept by Holdfast: this was "'

/** The comment of a database that is kept. */
export function commentWithMark(
  comment: string | null,
  { database, until, by }: PreviousMark,
): string {
  const line = `${beginning}${database.replaceAll('"', '""')}" until ${until}, when ${by}.`
  return comment === null ? line : `${comment}\n${line}`
}

/** Reads what `commentWithMark` wrote; a comment that does not end with a mark is all comment. */
export function parseMark(comment: string | null): { mark?: PreviousMark; comment: string | null } {
  const at = comment?.lastIndexOf(beginning) ?? -1
  if (comment === null || at < 0 || (at > 0 && comment[at - 1] !== '\n')) return { comment }
  const [, database, until, by] =
    /^((?:[^"]|"")*)" until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ), when ([^\n]*)\.$/.exec(
      comment.slice(at + beginning.length),
    ) ?? []
  if (database === undefined || until === undefined || by === undefined) return { comment }
  return {
    mark: { database: database.replaceAll('""', '"'), until, by },
    comment: at === 0 ? null : comment.slice(0, at - 1),
  }
}

/** `<name>_before_<UTC time>`, within the 63 bytes that a name may have. */
export function previousDatabaseName(database: string, until: string): string {
  return timestampedName(database, 'before', until)
}

/** A name with a mark and a time (ISO 8601, UTC) behind it, cut likewise. */
export function timestampedName(name: string, mark: string, at: string): string {
  const suffix = `_${mark}_${at.replace(/[-:]/g, '').slice(0, 15)}`
  let base = name
  while (Buffer.byteLength(base + suffix) > 63) base = [...base].slice(0, -1).join('')
  return base + suffix
}

/** Whether it is called as we call the databases of this name that we keep, whatever the time. */
export function isPreviousDatabaseName(name: string, database: string): boolean {
  const [, base] = /^(.*)_before_\d{8}T\d{6}$/s.exec(name) ?? []
  return base !== undefined && name === previousDatabaseName(database, timeOf(name))
}

function timeOf(name: string): string {
  return name.slice(-15).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3T$4:$5:$6Z')
}

/** Now, or the next second whose name is free: two swaps may be within one. */
export async function nextFreeTimestamp(session: Session, database: string): Promise<string> {
  for (let time = Date.now(); ; time += 1000) {
    const until = `${new Date(time).toISOString().slice(0, 19)}Z`
    const taken = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      previousDatabaseName(database, until),
    ])
    if (taken.length === 0) return until
  }
}

/** The databases that were replaced under this name and are marked as kept, the newest first. */
export async function listPreviousDatabases(
  session: Session,
  database: string,
): Promise<PreviousDatabase[]> {
  const rows = await session.query<{
    name: string
    comment: string
    owner: string
    bytes: string | null
    sessions: number
  }>(
    `SELECT d.datname AS name, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
       ${sizeOf('d')} AS bytes, ${sessionsOf('d')} AS sessions
     FROM pg_catalog.pg_database d WHERE d.datname <> $1 AND pg_catalog.strpos(pg_catalog.shobj_description(d.oid, 'pg_database'), $2) > 0`,
    [database, beginning],
  )
  return rows
    .flatMap(({ name, comment: whole, owner, bytes, sessions }) => {
      const { mark, comment } = parseMark(whole)
      return mark?.database === database
        ? [
            {
              name,
              mark,
              comment,
              owner,
              ...(bytes === null ? {} : { bytes: Number(bytes) }),
              sessions,
            },
          ]
        : []
    })
    .sort((a, b) =>
      a.mark.until < b.mark.until || (a.mark.until === b.mark.until && a.name < b.name) ? 1 : -1,
    )
}

/** Size and sessions of one database; undefined if there is none. */
export async function readSizeAndSessions(
  session: Session,
  database: string,
): Promise<{ bytes?: number; sessions: number } | undefined> {
  const [row] = await session.query<{ bytes: string | null; sessions: number }>(
    `SELECT ${sizeOf('d')} AS bytes, ${sessionsOf('d')} AS sessions FROM pg_catalog.pg_database d WHERE d.datname = $1`,
    [database],
  )
  return (
    row && { ...(row.bytes === null ? {} : { bytes: Number(row.bytes) }), sessions: row.sessions }
  )
}

const sizeOf = (d: string): string =>
  `CASE WHEN pg_catalog.has_database_privilege(${d}.oid, 'CONNECT') THEN pg_catalog.pg_database_size(${d}.oid)::pg_catalog.text END`
// another role's session shows no backend_type to a lesser one
const sessionsOf = (d: string): string =>
  `(SELECT pg_catalog.count(*)::pg_catalog.int4 FROM pg_catalog.pg_stat_activity a WHERE a.datid = ${d}.oid AND coalesce(a.backend_type, 'client backend') = 'client backend')`
