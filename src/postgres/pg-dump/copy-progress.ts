import type { Session } from '../connection/session.ts'

/**
 * Returns how many bytes of each table the sessions of an application have copied out so far, by
 * table oid. Empty before PostgreSQL 14.
 */
export async function bytesCopied(
  session: Session,
  application: string,
): Promise<Map<number, number>> {
  if (session.major < 14) return new Map()
  const rows = await session.query<{ oid: number; bytes: string }>(
    `SELECT p.relid::int8::float8 AS oid, p.bytes_processed::pg_catalog.text AS bytes
     FROM pg_catalog.pg_stat_progress_copy p
       JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
     WHERE a.application_name = $1 AND p.command = 'COPY TO'`,
    [application],
  )
  return new Map(rows.map(({ oid, bytes }) => [oid, Number(bytes)]))
}
