import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { missingRoles } from '../postgres/server/database.ts'
import type { OwnerRule } from '../postgres/pg-restore/owners.ts'
import { extensionMissing, lackingExtensions } from '../postgres/programs/packages.ts'
import { connect, quoteName, type Session } from '../postgres/connection/session.ts'
import { swapObstacles } from '../postgres/server/swap.ts'
import { freeSpace } from '../postgres/server/activity.ts'
import type { Work } from '../work.ts'
import type { ServerRequirements } from '../load/requirements.ts'

/**
 * One restore of a database at a time: held by the session, and so gone with it. Such a lock
 * belongs to the database that the session is in, and not every restore is in the same one: so each
 * takes its own first, and then looks for those of others. Of two that begin at once, at least one
 * sees the other.
 */
export async function lockTarget(session: Session, target: string): Promise<void> {
  const key = [`holdfast restore ${target}`]
  const [row] = await session.query<{ locked: boolean }>(
    'SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS locked',
    key,
  )
  const others = await session.query(
    `SELECT FROM pg_catalog.pg_locks l, pg_catalog.hashtextextended($1, 0) AS k(key)
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::int8 = ((k.key >> 32) & 4294967295) AND l.objid::int8 = (k.key & 4294967295) AND l.pid <> pg_catalog.pg_backend_pid()`,
    key,
  )
  if (!row?.locked || others.length)
    throw new UserError(
      'restore-running',
      `Another restore of "${target}" is running.`,
      'Wait until it has ended, and look at its result first.',
    )
}

/** A restore that is about to begin. */
export interface RestoreCheck {
  /** On another database of the target's server. */
  session: Session
  target: Connection
  /** Whether there is a database of the target's name. */
  exists: boolean
  backup: ServerRequirements
  owner: OwnerRule
}

/**
 * What stands in the way of a restore, found before anything is made: all of it, so that a plan can
 * tell all of it.
 */
export async function findObstacles(guarded: RestoreCheck, work: Work): Promise<UserError[]> {
  const { session, target, exists, backup, owner } = guarded
  const { source, fingerprint } = backup.manifest
  const names = Object.keys(fingerprint.supplement.extensions)
  const older = versionObstacles(session, source)
  if (older.length) return older
  return [
    ...(await powerObstacles(session, target)),
    ...(await roleObstacles(session, source, owner)),
    ...(await extensionObstacles(session, names)),
    ...boundObstacles(names),
    ...(await spaceObstacles(session, source.bytes)),
    ...(exists ? await breakage(session, target, work) : []),
  ]
}

export function versionObstacles(
  session: Session,
  source: ServerRequirements['manifest']['source'],
): UserError[] {
  if (session.major >= source.major) return []
  return [
    new UserError(
      'server-older',
      `The target server is PostgreSQL ${session.version}, older than the backup's ${source.server}.`,
      'A backup restores into its own major version or a newer one.',
    ),
  ]
}

/** What the role may not do that it will have to. */
async function powerObstacles(session: Session, target: Connection): Promise<UserError[]> {
  const [may] = await session.query<{ create: boolean; replace: boolean }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create, r.rolsuper OR NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = $1 AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS replace
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [target.database],
  )
  const user = quoteName(target.user)
  return [
    ...(may?.create
      ? []
      : [
          new UserError(
            'no-permission',
            `"${target.user}" may not create databases, and a restore makes one beside the target.`,
            `Run on the server: ALTER ROLE ${user} CREATEDB; Where nobody may, write mode: in-place.`,
          ),
        ]),
    ...(may?.replace
      ? []
      : [
          new UserError(
            'no-permission',
            `"${target.user}" does not own "${target.database}", and cannot rename it.`,
            `Restore as its owner, or a role that is a member of its owner: GRANT its owner TO ${user};`,
          ),
        ]),
  ]
}

/**
 * Roles that what is restored will name; with `owner: drop` it names none but in policies, which
 * the restore itself finds out. `mapped`: whether this restore can give it to others.
 */
export async function roleObstacles(
  session: Session,
  source: ServerRequirements['manifest']['source'],
  owner: OwnerRule,
  { mapped = true } = {},
): Promise<UserError[]> {
  if (owner === 'drop') return []
  const unknown =
    owner === 'keep' ? [] : Object.keys(owner).filter((role) => !source.roles.names.includes(role))
  const wanted = source.roles.names
    .filter(
      (name) => name !== source.roles.superuser || (owner !== 'keep' && Object.hasOwn(owner, name)),
    )
    .map((name) => (owner === 'keep' ? name : (owner[name] ?? name)))
  const missing = await missingRoles(session, [...new Set(wanted)])
  const [one, it] = missing.length === 1 ? ['a role', 'it'] : ['roles', 'them']
  return [
    ...(unknown.length
      ? [
          new UserError(
            'bad-input',
            `owner maps ${unknown.join(', ')}, which the backup does not name.`,
            `The roles that it names: ${source.roles.names.join(', ')}.`,
          ),
        ]
      : []),
    ...(missing.length
      ? [
          new UserError(
            'role-missing',
            `The target server lacks ${one} that the backup names: ${missing.join(', ')}.`,
            `Create ${it} first: ${missing.map((role) => `CREATE ROLE ${quoteName(role)} NOLOGIN;`).join(' ')} Passwords, LOGIN and memberships are in no backup of a database: pg_dumpall --globals-only of the old server has them. Or give everything to ${mapped ? 'other roles: owner: old: new, or to ' : ''}yours: owner: drop.`,
          ),
        ]
      : []),
  ]
}

export async function extensionObstacles(
  session: Session,
  names: readonly string[],
): Promise<UserError[]> {
  const lacking = await lackingExtensions(session, names)
  return lacking.length ? [extensionMissing('The target server', lacking, session.major)] : []
}

/** Extensions that no database beside the target can have. */
function boundObstacles(names: readonly string[]): UserError[] {
  return names.includes('pg_cron')
    ? [
        new UserError(
          'extension-refused',
          'The backup has pg_cron, which can be in one database of a server only: it cannot be made in a new one beside that.',
          'Restore inside the database that cron.database_name names: mode: in-place.',
        ),
      ]
    : []
}

/** A new database beside the old one needs room; less than the source took is surely too little. */
async function spaceObstacles(session: Session, needed: number | undefined): Promise<UserError[]> {
  const free = await freeSpace(session)
  if (free === undefined || needed === undefined || free > needed) return []
  const size = (bytes: number): string =>
    `${Math.ceil(bytes / 1024 ** 2).toLocaleString('en-US')} MiB`
  return [
    new UserError(
      'disk-full',
      `The server has ${size(free)} free where it keeps its data, and the restored database takes about ${size(needed)}.`,
      'Give it more space, or drop databases that were kept by earlier restores.',
    ),
  ]
}

/** What the change of names would break. */
async function breakage(session: Session, target: Connection, work: Work): Promise<UserError[]> {
  const inside = await connect(target, work)
  try {
    const obstacles = await swapObstacles(session, inside, target.database)
    if (obstacles.length === 0) return []
    return [
      new UserError(
        'swap-unsafe',
        `A swap of "${target.database}" would break: ${obstacles.join('; ')}.`,
        'Remove them first, and make them anew after the restore.',
      ),
    ]
  } finally {
    await inside.end()
  }
}
