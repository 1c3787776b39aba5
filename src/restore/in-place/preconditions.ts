import { UserError } from '../../errors.ts'
import { readLockCapacity } from '../../postgres/connection/locks.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { restoreError } from '../../postgres/pg-restore/errors.ts'
import type { OwnerRule } from '../../postgres/pg-restore/owners.ts'
import type { PsqlError } from '../../postgres/pg-restore/psql.ts'
import type { ArchiveEntry } from '../../postgres/pg-restore/toc.ts'
import { type Locale, readLocale } from '../../postgres/server/database.ts'
import type { DropPlan } from '../../postgres/tables/empty-database.ts'
import type { FoundBackup } from '../../repository/listing.ts'
import { input, join, type Text, text } from '../../text.ts'
import { encodingDiffers, notOwner } from '../errors.ts'
import type { RestoreOptions } from '../options.ts'
import { extensionObstacles, roleObstacles, versionObstacles } from '../preconditions.ts'
import type { RestoredInPlace } from '../result.ts'

const unchanged = 'Everything was rolled back: the target is unchanged.'

/** Returns how long to wait for the first locks, in milliseconds. */
export function lockTimeoutOf({ lockTimeout = 30_000 }: RestoreOptions): number {
  return lockTimeout
}

/**
 * Returns everything that prevents a restore in place, before anything is changed, and warnings
 * about what the restore does not change.
 */
export async function findInPlaceObstacles(
  session: Session,
  { manifest }: FoundBackup,
  owner: OwnerRule,
  drops: DropPlan,
): Promise<{ obstacles: UserError[]; warnings: Text[] }> {
  const { source, fingerprint } = manifest
  const { database, user } = session.connection
  const locale = await readLocale(session)
  const obstacles = versionObstacles(session, source)
  if (!(await ownsDatabase(session))) obstacles.push(notOwner(user, [database], 'empty'))
  obstacles.push(
    ...(await roleObstacles(session, source, owner, { mapped: false })),
    ...(await extensionObstacles(session, Object.keys(fingerprint.supplement.extensions))),
  )
  if (locale.encoding !== source.locale.encoding)
    obstacles.push(
      encodingDiffers(
        database,
        { target: locale.encoding, backup: source.locale.encoding },
        'Create an empty database with that encoding at your provider, and restore into it.',
      ),
    )
  if (drops.obstacles.length)
    obstacles.push(
      new UserError(
        'in-place-unsafe',
        `"${user}" cannot empty "${database}": ${drops.obstacles.join('; ')}.`,
      ),
    )
  return { obstacles, warnings: localeWarnings(database, locale, source.locale) }
}

async function ownsDatabase(session: Session): Promise<boolean> {
  const [row] = await session.query<{ owns: boolean }>(
    `SELECT pg_catalog.pg_has_role(datdba, 'USAGE') AS owns
     FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`,
  )
  return row?.owns ?? false
}

function localeWarnings(database: string, target: Locale, source: Locale): string[] {
  const same =
    target.collate === source.collate &&
    target.provider === source.provider &&
    target.locale === source.locale
  if (same) return []
  const shown = ({ locale, collate, provider }: Locale): string =>
    `${locale ?? collate} (${provider})`
  return [
    `"${database}" sorts text by ${shown(target)}, and the backup's source by ${shown(source)}. ` +
      "The target's locale stays.",
  ]
}

/** The number of locks that re-creating an entry of this kind takes. */
const locksPerEntry: Record<string, number> = {
  TABLE: 3,
  'MATERIALIZED VIEW': 3,
  INDEX: 1,
  CONSTRAINT: 1,
  SEQUENCE: 1,
  VIEW: 1,
}

/**
 * Estimates how many locks the transaction needs: it holds a lock on everything that it drops and
 * creates. Returns `too-many-locks` if the server's lock table is too small. The whole server
 * shares that table, so when it is full, other sessions fail too.
 */
export async function countLocks(
  session: Session,
  { relations }: DropPlan,
  entries: readonly ArchiveEntry[],
  { fingerprint }: FoundBackup['manifest'],
): Promise<{ locks: RestoredInPlace['locks']; obstacles: UserError[] }> {
  const { perTransaction, transactions } = await readLockCapacity(session)
  const objects = await countObjects(session)
  const capacity = perTransaction * transactions
  const created = entries.reduce((sum, { kind }) => sum + (locksPerEntry[kind] ?? 0), 0)
  const needed = relations + created + objects + (fingerprint.largeObjects?.count ?? 0)
  const locks = { needed, capacity }
  if (needed <= capacity) return { locks, obstacles: [] }
  const raised = Math.ceil((needed * 1.2) / transactions)
  const error = new UserError(
    'too-many-locks',
    `The transaction would need about ${needed} locks (${relations} existing relations, ` +
      `${created} of the backup, and large objects), but the server has room for ${capacity}: ` +
      `max_locks_per_transaction (${perTransaction}) × connections and prepared transactions ` +
      `(${transactions}). Nothing was changed.`,
    join(
      [
        `Raise it: ALTER SYSTEM SET max_locks_per_transaction = ${raised}; and restart the server.`,
        text`Or restore with ${input('mode', 'swap')}.`,
      ],
      ' ',
    ),
  )
  return { locks, obstacles: [error] }
}

/** Counts the large objects of the database. */
async function countObjects(session: Session): Promise<number> {
  const [row] = await session.query<{ objects: number }>(
    'SELECT pg_catalog.count(*)::float8 AS objects FROM pg_catalog.pg_largeobject_metadata',
  )
  return row?.objects ?? 0
}

/** Returns why the transaction failed. Nothing of it is left. */
export async function toRollbackError(
  error: PsqlError,
  session: Session,
  options: RestoreOptions,
): Promise<UserError> {
  if (error.code === '55P03') return busyError(error, session, options)
  if (error.code === '53200')
    return new UserError(
      'too-many-locks',
      `The server ran out of locks: ${error.message}. ${unchanged}`,
      undefined,
      { cause: error },
    )
  const why = restoreError(undefined, `ERROR: ${error.message}`, options.target)
  const dropOwners = join(
    [
      text`Set ${input('owner', 'drop')}, so that everything belongs to the user of`,
      text`${input('target-url')}. Or restore as a role that has the permission.`,
    ],
    ' ',
  )
  return new UserError(
    why.code,
    `${why.message.replace(/\.?$/, '.')} ${unchanged}`,
    why.code === 'no-permission' ? dropOwners : why.texts.hint,
    { cause: error },
  )
}

/** Names the sessions that keep the target's tables locked. */
async function busyError(
  error: PsqlError,
  session: Session,
  options: RestoreOptions,
): Promise<UserError> {
  const others = await session.query<{ pid: number; who: string }>(
    `SELECT pid, pg_catalog.concat_ws(', ', usename, nullif(application_name, ''), state) AS who
     FROM pg_catalog.pg_stat_activity
     WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
       AND coalesce(backend_type, 'client backend') = 'client backend'
       AND state IS DISTINCT FROM 'idle'
     ORDER BY pid LIMIT 5`,
  )
  const holders = others.map(({ pid, who }) => `process ${pid} (${who})`).join('; ')
  const seconds = Math.round(lockTimeoutOf(options) / 1000)
  return new UserError(
    'target-busy',
    `"${options.target.database}" is in use: its tables could not be locked within ${seconds} s` +
      `${holders ? `: ${holders}` : ''}. Nothing was changed.`,
    'Stop the application, or end these sessions (SELECT pg_terminate_backend(…);). ' +
      'Then run this again.',
    { cause: error },
  )
}
