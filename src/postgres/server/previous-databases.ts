import type { Session } from '../connection/session.ts'

/**
 * The mark of a database that a restore replaced and kept: the last line of its comment. Only a
 * marked database may be put back or dropped, because anyone can create one with such a name. A
 * comment needs only the owner; a custom setting would need a superuser.
 */
export interface PreviousMark {
  /** The name it had. */
  database: string
  /** When it was replaced (ISO 8601, UTC, to the second); its name ends with this time. */
  until: string
  /** What replaced it, as the end of a sentence. */
  by: string
}

export interface PreviousDatabase {
  name: string
  mark: PreviousMark
  /** Its comment without the mark. */
  comment: string | null
  owner: string
  /** Undefined if the role may not read its size. */
  bytes?: number
  /** Number of client sessions. */
  sessions: number
}

const markPrefix = 'Kept by Holdfast: this was "'

/** Returns a comment with the mark as its last line. */
export function commentWithMark(
  comment: string | null,
  { database, until, by }: PreviousMark,
): string {
  const line = `${markPrefix}${database.replaceAll('"', '""')}" until ${until}, when ${by}.`
  return comment === null ? line : `${comment}\n${line}`
}

/** Splits what `commentWithMark` wrote; without a mark at its end, all of it is comment. */
export function parseMark(comment: string | null): { mark?: PreviousMark; comment: string | null } {
  const at = comment?.lastIndexOf(markPrefix) ?? -1
  if (comment === null || at < 0 || (at > 0 && comment[at - 1] !== '\n')) return { comment }
  const [, database, until, by] =
    /^((?:[^"]|"")*)" until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ), when ([^\n]*)\.$/.exec(
      comment.slice(at + markPrefix.length),
    ) ?? []
  if (database === undefined || until === undefined || by === undefined) return { comment }
  return {
    mark: { database: database.replaceAll('""', '"'), until, by },
    comment: at === 0 ? null : comment.slice(0, at - 1),
  }
}

/** Returns `<name>_before_<UTC time>`, with the name cut to fit the 63 bytes of an identifier. */
export function previousDatabaseName(database: string, until: string): string {
  return timestampedName(database, 'before', until)
}

/** Returns `<name>_<mark>_<UTC time>`, cut likewise. `at` is an ISO 8601 time in UTC. */
export function timestampedName(name: string, mark: string, at: string): string {
  const suffix = `_${mark}_${at.replace(/[-:]/g, '').slice(0, 15)}`
  let base = name
  while (Buffer.byteLength(base + suffix) > 63) base = [...base].slice(0, -1).join('')
  return base + suffix
}

/** Whether `name` is what `previousDatabaseName` returns for `database` at some time. */
export function isPreviousDatabaseName(name: string, database: string): boolean {
  const [, base] = /^(.*)_before_\d{8}T\d{6}$/s.exec(name) ?? []
  return base !== undefined && name === previousDatabaseName(database, timeOf(name))
}

function timeOf(name: string): string {
  return name.slice(-15).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3T$4:$5:$6Z')
}

/** Returns the current second or the next whose name is free: a second may see two swaps. */
export async function nextFreeTimestamp(session: Session, database: string): Promise<string> {
  for (let time = Date.now(); ; time += 1000) {
    const until = `${new Date(time).toISOString().slice(0, 19)}Z`
    const taken = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
      previousDatabaseName(database, until),
    ])
    if (taken.length === 0) return until
  }
}

/** Returns the marked databases that had this name, the newest first. */
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
    `SELECT d.datname AS name, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       pg_catalog.pg_get_userbyid(d.datdba) AS owner,
       ${sizeOf('d')} AS bytes, ${sessionsOf('d')} AS sessions
     FROM pg_catalog.pg_database d
     WHERE d.datname <> $1
       AND pg_catalog.strpos(pg_catalog.shobj_description(d.oid, 'pg_database'), $2) > 0`,
    [database, markPrefix],
  )
  return rows
    .flatMap(({ name, comment: markedComment, owner, bytes, sessions }) => {
      const { mark, comment } = parseMark(markedComment)
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

/** Returns the size in bytes and the sessions of a database; undefined if it does not exist. */
export async function readSizeAndSessions(
  session: Session,
  database: string,
): Promise<{ bytes?: number; sessions: number } | undefined> {
  const [row] = await session.query<{ bytes: string | null; sessions: number }>(
    `SELECT ${sizeOf('d')} AS bytes, ${sessionsOf('d')} AS sessions
     FROM pg_catalog.pg_database d
     WHERE d.datname = $1`,
    [database],
  )
  return (
    row && { ...(row.bytes === null ? {} : { bytes: Number(row.bytes) }), sessions: row.sessions }
  )
}

const sizeOf = (d: string): string =>
  `CASE
     WHEN pg_catalog.has_database_privilege(${d}.oid, 'CONNECT')
     THEN pg_catalog.pg_database_size(${d}.oid)::pg_catalog.text
   END`
// the server hides backend_type of other roles' sessions from a role without pg_read_all_stats
const sessionsOf = (d: string): string =>
  `(SELECT pg_catalog.count(*)::pg_catalog.int4
    FROM pg_catalog.pg_stat_activity a
    WHERE a.datid = ${d}.oid AND coalesce(a.backend_type, 'client backend') = 'client backend')`
