import { UserError } from '../../errors.ts'
import { quoteName, type Session } from '../../postgres/connection/session.ts'
import { whyRestoreFailed } from '../../postgres/pg-restore/errors.ts'
import type { OwnerChoice } from '../../postgres/pg-restore/owners.ts'
import type { PsqlError } from '../../postgres/pg-restore/psql.ts'
import type { ArchiveEntry } from '../../postgres/pg-restore/toc.ts'
import { readLocale } from '../../postgres/server/database.ts'
import type { DropPlan } from '../../postgres/tables/empty-database.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import type { Text } from '../../text.ts'
import type { RestoreOptions } from '../options.ts'
import { extensionObstacles, roleObstacles, versionObstacles } from '../preconditions.ts'
import type { RestoredInPlace } from '../result.ts'

/** How long the first locks are waited for, milliseconds. */
export function lockTimeoutOf({ lockTimeout: lockPatience }: RestoreOptions): number {
  return lockPatience ?? 30_000
}

/**
 * What stands in the way, found before anything is done: all of it, so that a plan can tell all of
 * it. And what stays otherwise, as sentences.
 */
export async function findInPlaceObstacles(
  session: Session,
  { manifest }: FoundBackup,
  owner: OwnerChoice,
  emptying: DropPlan,
): Promise<{ obstacles: UserError[]; warnings: Text[] }> {
  const { source, fingerprint } = manifest
  const { database, user } = session.connection
  const locale = await readLocale(session)
  const [may] = await session.query<{ own: boolean }>(
    "SELECT pg_catalog.pg_has_role(datdba, 'USAGE') AS own FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
  )
  const obstacles = [
    ...versionObstacles(session, source),
    ...(may?.own
      ? []
      : [
          new UserError(
            'no-permission',
            `"${user}" does not own "${database}", and cannot empty it.`,
            `Restore as its owner, or a role that is a member of its owner: GRANT its owner TO ${quoteName(user)};`,
          ),
        ]),
    ...(await roleObstacles(session, source, owner, { mapped: false })),
    ...(await extensionObstacles(session, Object.keys(fingerprint.supplement.extensions))),
    ...(locale.encoding === source.locale.encoding
      ? []
      : [
          new UserError(
            'encoding-differs',
            `"${database}" has the encoding ${locale.encoding}, and the backup ${source.locale.encoding}.`,
            'Make an empty database with that encoding at your provider, and restore into that one.',
          ),
        ]),
    ...(emptying.obstacles.length
      ? [
          new UserError(
            'in-place-unsafe',
            `"${database}" cannot be emptied by "${user}": ${emptying.obstacles.join('; ')}.`,
            'Drop these first, or have them given to this role (ALTER … OWNER TO), or restore with mode: swap.',
          ),
        ]
      : []),
  ]
  const alike =
    locale.collate === source.locale.collate &&
    locale.provider === source.locale.provider &&
    locale.locale === source.locale.locale
  return {
    obstacles,
    warnings: alike
      ? []
      : [
          `"${database}" orders text by ${locale.locale ?? locale.collate} (${locale.provider}), and the backup's source by ${source.locale.locale ?? source.locale.collate} (${source.locale.provider}): that stays as it is in the target.`,
        ],
  }
}

/**
 * One transaction holds a lock on all that it drops and makes; the table of locks is the whole
 * server's, and when it is full, others fail too.
 */
export async function countLocks(
  session: Session,
  { relations }: DropPlan,
  entries: readonly ArchiveEntry[],
  { fingerprint }: FoundBackup['manifest'],
): Promise<{ locks: RestoredInPlace['locks']; obstacles: UserError[] }> {
  const [row] = await session.query<{
    capacity: number
    each: string
    connections: number
    objects: number
  }>(
    `SELECT pg_catalog.current_setting('max_locks_per_transaction')::int4 * (pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4) AS capacity,
       pg_catalog.current_setting('max_locks_per_transaction') AS each, pg_catalog.current_setting('max_connections')::int4 + pg_catalog.current_setting('max_prepared_transactions')::int4 AS connections,
       (SELECT pg_catalog.count(*)::float8 FROM pg_catalog.pg_largeobject_metadata) AS objects`,
  )
  if (!row) throw new Error('the server does not tell its settings')
  const weight: Record<string, number> = {
    TABLE: 3,
    'MATERIALIZED VIEW': 3,
    INDEX: 1,
    CONSTRAINT: 1,
    SEQUENCE: 1,
    VIEW: 1,
  }
  const made = entries.reduce((sum, { kind }) => sum + (weight[kind] ?? 0), 0)
  const needed = relations + made + row.objects + (fingerprint.largeObjects?.count ?? 0)
  const obstacles =
    needed <= row.capacity
      ? []
      : [
          new UserError(
            'too-many-locks',
            `One transaction would need about ${needed} locks (${relations} relations that are there, ${made} of the backup, and large objects), and the server has room for ${row.capacity}: max_locks_per_transaction (${row.each}) × connections and prepared transactions (${row.connections}). Nothing was changed.`,
            `Raise it and restart the server: ALTER SYSTEM SET max_locks_per_transaction = ${Math.ceil((needed * 1.2) / row.connections)}; or restore with mode: swap.`,
          ),
        ]
  return { locks: { needed, capacity: row.capacity }, obstacles }
}

/** Why a transaction did not come to its end; nothing of it is left. */
export async function whyRolledBack(
  error: PsqlError,
  session: Session,
  options: RestoreOptions,
): Promise<UserError> {
  const { database } = options.target
  if (error.code === '55P03') {
    const others = await session.query<{ pid: number; who: string }>(
      "SELECT pid, pg_catalog.concat_ws(', ', usename, nullif(application_name, ''), state) AS who FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' AND state IS DISTINCT FROM 'idle' ORDER BY pid LIMIT 5",
    )
    const who = others.map(({ pid, who: about }) => `process ${pid} (${about})`).join('; ')
    return new UserError(
      'target-busy',
      `"${database}" is in use, and its tables could not be locked in ${Math.round(lockTimeoutOf(options) / 1000)} s${who ? `: ${who}` : ''}. Nothing was changed.`,
      'Stop the application, or end these sessions (SELECT pg_terminate_backend(…);), and run this again.',
      { cause: error },
    )
  }
  if (error.code === '53200')
    return new UserError(
      'too-many-locks',
      `The server ran out of locks: ${error.message}. All was rolled back: the target is as it was.`,
      'Raise max_locks_per_transaction (ALTER SYSTEM SET …) and restart the server, or restore with mode: swap.',
      { cause: error },
    )
  const why = whyRestoreFailed(undefined, `ERROR: ${error.message}`, options.target)
  return new UserError(
    why.code,
    `${why.message.replace(/\.?$/, '.')} All was rolled back: the target is as it was.`,
    why.code === 'no-permission'
      ? 'Write owner: drop, and all belongs to the user of target-url; or restore as a role that may do this.'
      : why.hint,
    { cause: error },
  )
}
