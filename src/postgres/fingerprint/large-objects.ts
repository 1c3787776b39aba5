import { UserError } from '../../errors.ts'
import { isServerError } from '../connection/server-error.ts'
import type { Session } from '../connection/session.ts'

/** All large objects of a database: number, size in bytes, and a hash of their content. */
export interface LargeObjectsPrint {
  count: number
  bytes: number
  hash: string
  /** Hash of their owners, grants and comments. */
  attributes: string
}

/** Returns the number of large objects in the database. */
export async function countLargeObjects(session: Session): Promise<{ count: number }> {
  const [row] = await session.query<{ count: number }>(
    'SELECT pg_catalog.count(*)::int4 AS count FROM pg_catalog.pg_largeobject_metadata',
  )
  return { count: row?.count ?? 0 }
}

/** Objects per statement: the descriptor of each stays open until the savepoint is rolled back. */
const perQuery = 1000

/**
 * Measures all large objects in chunks of 1 MiB. Pages would not do: equal objects can be cut into
 * different pages. Needs a transaction, because descriptors live in one. Throws a UserError
 * `no-permission` if the role may not read one.
 */
export async function measureLargeObjects(session: Session): Promise<LargeObjectsPrint> {
  try {
    return await measure(session)
  } catch (error) {
    if (!isServerError(error, '42501')) throw error
    const { user } = session.connection
    throw new UserError(
      'no-permission',
      `"${user}" may not read every large object: ${error.message}.`,
      'pg_read_all_data does not cover large objects. Use their owner or a superuser, or run ' +
        'GRANT SELECT ON LARGE OBJECT … for each.',
      { cause: error },
    )
  }
}

async function measure(session: Session): Promise<LargeObjectsPrint> {
  let [count, bytes, hash, attributes] = [0, 0, 0n, 0n]
  await session.query('SAVEPOINT large_objects')
  for (let after = '-1'; ;) {
    const [sum] = await session.query<Batch>(batchQuery, [after])
    await session.query('ROLLBACK TO SAVEPOINT large_objects')
    if (!sum || sum.last === null) break
    count += sum.count
    bytes += Number(sum.bytes)
    hash += BigInt(sum.hash)
    attributes += BigInt(sum.attributes)
    after = sum.last
  }
  return { count, bytes, hash: String(hash), attributes: String(attributes) }
}

/** Sums over the next objects; `last` is the oid of the last one, null if there is none. */
interface Batch {
  count: number
  bytes: string
  hash: string
  attributes: string
  last: string | null
}

const batchQuery = `
  SELECT count(*)::int4 AS count,
    coalesce(sum(size), 0)::text AS bytes,
    coalesce(sum(hash), 0)::text AS hash,
    coalesce(sum(attributes), 0)::text AS attributes,
    max(oid::int8)::text AS last
  FROM (
    SELECT m.oid, s.size,
      (SELECT sum(hashtextextended(concat(m.oid, ':', s.size, ':', i, ':',
          lo_get(m.oid, i * 1048576, 1048576)) COLLATE "C", 0))
        FROM generate_series(0, greatest(s.size - 1, 0) / 1048576) AS i) AS hash,
      hashtextextended(concat(m.oid, ':', pg_get_userbyid(m.lomowner), ':',
        (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
          FROM unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS a), ':',
        obj_description(m.oid, 'pg_largeobject')) COLLATE "C", 0) AS attributes
    FROM (SELECT * FROM pg_largeobject_metadata
        WHERE oid::int8 > $1 ORDER BY oid LIMIT ${perQuery}) AS m,
      LATERAL (SELECT lo_lseek64(lo_open(m.oid, 262144), 0, 2) AS size) AS s
  ) AS objects`
