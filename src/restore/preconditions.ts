import { UserError } from '../errors.ts'
import { serverOlder, type ServerRequirements } from '../load/requirements.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { connect, quoteName, type Session } from '../postgres/connection/session.ts'
import type { OwnerRule } from '../postgres/pg-restore/owners.ts'
import { extensionMissing, lackingExtensions } from '../postgres/programs/packages.ts'
import { freeSpace } from '../postgres/server/statistics.ts'
import { missingRoles } from '../postgres/server/database.ts'
import { connectToMaintenanceDatabase } from '../postgres/server/maintenance-session.ts'
import { swapObstacles } from '../postgres/server/swap.ts'
import { input, join, text } from '../text.ts'
import type { Work } from '../work.ts'
import { notOwner, swapUnsafe } from './errors.ts'

/**
 * Takes the lock that allows one restore of a target at a time; the session's end releases it.
 * Throws `restore-running` if another restore holds it.
 *
 * An advisory lock belongs to the database of its session, and restores connect to different
 * databases. So each restore takes its own lock first, then looks for the locks of others in
 * `pg_locks`. Of two restores that start together, at least one sees the other.
 */
export async function lockTarget(session: Session, target: string): Promise<void> {
  const key = [`holdfast restore ${target}`]
  const [row] = await session.query<{ locked: boolean }>(
    'SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS locked',
    key,
  )
  const others = await session.query(
    `SELECT
     FROM pg_catalog.pg_locks l, pg_catalog.hashtextextended($1, 0) AS k(key)
     WHERE l.locktype = 'advisory' AND l.objsubid = 1
       AND l.classid::int8 = ((k.key >> 32) & 4294967295) AND l.objid::int8 = (k.key & 4294967295)
       AND l.pid <> pg_catalog.pg_backend_pid()`,
    key,
  )
  if (!row?.locked || others.length)
    throw new UserError('restore-running', `Another restore of "${target}" is running.`)
}

/**
 * Connects to another database of the target's server, locks the target, and runs `body`. Throws
 * `restore-running` if another restore of the target is running.
 */
export async function withLockedTarget<T>(
  target: Connection,
  work: Work,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await connectToMaintenanceDatabase(target, target.database, work)
  try {
    await lockTarget(session, target.database)
    return await body(session)
  } finally {
    await session.end()
  }
}

/** A restore to check before it begins. */
export interface RestoreCheck {
  /** Connected to another database of the target's server. */
  session: Session
  target: Connection
  /** Whether the target exists. */
  exists: boolean
  backup: ServerRequirements
  owner: OwnerRule
}

/**
 * Returns everything that prevents a restore, before anything is created. It returns all obstacles
 * at once, so that a dry run can list them.
 */
export async function findObstacles(check: RestoreCheck, work: Work): Promise<UserError[]> {
  const { session, target, exists, backup, owner } = check
  const { source, fingerprint } = backup.manifest
  const extensions = Object.keys(fingerprint.supplement.extensions)
  const older = versionObstacles(session, source)
  if (older.length) return older
  return [
    ...(await permissionObstacles(session, target)),
    ...(await roleObstacles(session, source, owner)),
    ...(await extensionObstacles(session, extensions)),
    ...singleDatabaseObstacles(extensions),
    ...(await spaceObstacles(session, source.bytes)),
    ...(exists ? await renameObstacles(session, target, work) : []),
  ]
}

/** Returns `server-older` if the target's major version is older than the backup's. */
export function versionObstacles(
  session: Session,
  source: ServerRequirements['manifest']['source'],
): UserError[] {
  if (session.major >= source.major) return []
  return [serverOlder('target', session.version, source)]
}

/** Returns `no-permission` if the role cannot create a database or rename the target. */
async function permissionObstacles(session: Session, target: Connection): Promise<UserError[]> {
  const [role] = await session.query<{ create: boolean; rename: boolean }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create,
       r.rolsuper OR NOT EXISTS (
         SELECT FROM pg_catalog.pg_database d
         WHERE d.datname = $1 AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS rename
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [target.database],
  )
  const obstacles: UserError[] = []
  if (!role?.create)
    obstacles.push(
      new UserError(
        'no-permission',
        `"${target.user}" cannot create databases, and a restore creates one next to the target.`,
        join(
          [
            `Run on the server: ALTER ROLE ${quoteName(target.user)} CREATEDB;`,
            text`If no role can get it, set ${input('mode', 'in-place')}.`,
          ],
          ' ',
        ),
      ),
    )
  if (!role?.rename) obstacles.push(notOwner(target.user, [target.database], 'rename'))
  return obstacles
}

/**
 * Returns `role-missing` if the server lacks roles that the restore assigns, and `bad-input` if
 * `owner` maps roles that the backup does not name.
 *
 * With `owner: drop` only policies name roles, and the restore itself finds those. `mapped` says
 * whether this restore can map roles.
 */
export async function roleObstacles(
  session: Session,
  source: ServerRequirements['manifest']['source'],
  owner: OwnerRule,
  { mapped = true } = {},
): Promise<UserError[]> {
  if (owner === 'drop') return []
  const { names, superuser } = source.roles
  const obstacles: UserError[] = []
  const unknown = owner === 'keep' ? [] : Object.keys(owner).filter((role) => !names.includes(role))
  if (unknown.length)
    obstacles.push(
      new UserError(
        'bad-input',
        text`${input('owner')} maps ${unknown.join(', ')}, which the backup does not name.`,
        `The backup names these roles: ${names.join(', ')}.`,
      ),
    )
  const needed = names
    .filter((name) => name !== superuser || (owner !== 'keep' && Object.hasOwn(owner, name)))
    .map((name) => (owner === 'keep' ? name : (owner[name] ?? name)))
  const missing = await missingRoles(session, [...new Set(needed)])
  if (missing.length) obstacles.push(rolesMissing(missing, mapped))
  return obstacles
}

function rolesMissing(missing: readonly string[], mapped: boolean): UserError {
  const [roles, them] = missing.length === 1 ? ['a role', 'it'] : ['roles', 'them']
  const statements = missing.map((role) => `CREATE ROLE ${quoteName(role)} NOLOGIN;`).join(' ')
  const others = mapped ? text`other roles: ${input('owner', 'old: new')}, or to ` : ''
  return new UserError(
    'role-missing',
    `The target server lacks ${roles} that the backup names: ${missing.join(', ')}.`,
    join(
      [
        `Create ${them} first: ${statements}`,
        'A backup has no passwords, LOGIN or memberships;',
        'copy them from pg_dumpall --globals-only of the old server.',
        text`Or assign everything to ${others}your user: ${input('owner', 'drop')}.`,
      ],
      ' ',
    ),
  )
}

/** Returns `extension-missing` if the server cannot provide these extensions. */
export async function extensionObstacles(
  session: Session,
  names: readonly string[],
): Promise<UserError[]> {
  const lacking = await lackingExtensions(session, names)
  return lacking.length ? [extensionMissing('The target server', lacking, session.major)] : []
}

/** Returns `extension-refused` for extensions that only one database of a server can have. */
function singleDatabaseObstacles(extensions: readonly string[]): UserError[] {
  if (!extensions.includes('pg_cron')) return []
  return [
    new UserError(
      'extension-refused',
      'The backup has pg_cron. Only one database of a server can have it, so a database next ' +
        'to that one cannot.',
      text`Restore inside the database that cron.database_name names: ${input('mode', 'in-place')}.`,
    ),
  ]
}

/** Returns `disk-full` if less is free than the source took. */
async function spaceObstacles(session: Session, needed: number | undefined): Promise<UserError[]> {
  const free = await freeSpace(session)
  if (free === undefined || needed === undefined || free > needed) return []
  const size = (bytes: number): string =>
    `${Math.ceil(bytes / 1024 ** 2).toLocaleString('en-US')} MiB`
  return [
    new UserError(
      'disk-full',
      `The server's data directory has ${size(free)} free, ` +
        `and the restored database takes about ${size(needed)}.`,
      'Free some space, or drop previous databases of earlier restores.',
    ),
  ]
}

/** Returns `swap-unsafe` if a rename of the target would break something. */
async function renameObstacles(
  session: Session,
  target: Connection,
  work: Work,
): Promise<UserError[]> {
  const inside = await connect(target, work)
  try {
    const obstacles = await swapObstacles(session, inside, target.database)
    return obstacles.length === 0 ? [] : [swapUnsafe(target.database, obstacles)]
  } finally {
    await inside.end()
  }
}
