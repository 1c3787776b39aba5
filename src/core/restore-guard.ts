import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { missingRoles } from '../postgres/database.ts'
import { extensionMissing, lackingExtensions } from '../postgres/packages.ts'
import { connect, quoteName, type Session } from '../postgres/session.ts'
import { swapObstacles } from '../postgres/swap.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from './catalog.ts'

/** One restore of a database at a time: held by the session, and so gone with it. */
export async function lockTarget(session: Session, target: string): Promise<void> {
  const [row] = await session.query<{ locked: boolean }>('SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS locked', [`holdfast restore ${target}`])
  if (!row?.locked) throw new UserError('restore-running', `Another restore of "${target}" is running.`, 'Wait until it has ended, and look at its result first.')
}

/** What stands in the way of a restore, found before anything is made. */
export async function guard(session: Session, target: Connection, exists: boolean, backup: FoundBackup, work: Work): Promise<void> {
  const { source, fingerprint } = backup.manifest
  if (session.major < source.major) throw new UserError('server-older', `The target server is PostgreSQL ${session.version}, older than the backup's ${source.server}.`, 'A backup restores into its own major version or a newer one.')
  const [may] = await session.query<{ create: boolean; replace: boolean }>(
    `SELECT r.rolsuper OR r.rolcreatedb AS create, r.rolsuper OR NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = $1 AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS replace
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`,
    [target.database],
  )
  const user = quoteName(target.user)
  if (!may?.create) throw new UserError('no-permission', `"${target.user}" may not create databases, and a restore makes one beside the target.`, `Run on the server: ALTER ROLE ${user} CREATEDB;`)
  if (!may.replace) throw new UserError('no-permission', `"${target.user}" does not own "${target.database}", and cannot rename it.`, `Restore as its owner, or a role that is a member of its owner: GRANT its owner TO ${user};`)
  const roles = await missingRoles(session, source.roles.names.filter((name) => name !== source.roles.superuser))
  if (roles.length) throw new UserError('role-missing', `The target server lacks ${roles.length === 1 ? 'a role' : 'roles'} that the backup names: ${roles.join(', ')}.`, `Create ${roles.length === 1 ? 'it' : 'them'} first: ${roles.map((role) => `CREATE ROLE ${quoteName(role)} NOLOGIN;`).join(' ')} Passwords, LOGIN and memberships are in no backup of a database: pg_dumpall --globals-only of the old server has them.`)
  const lacking = await lackingExtensions(session, Object.keys(fingerprint.supplement.extensions))
  if (lacking.length) throw extensionMissing('The target server', lacking, session.major)
  if (!exists) return
  const inside = await connect(target, work)
  try {
    const obstacles = await swapObstacles(session, inside, target.database)
    if (obstacles.length) throw new UserError('swap-unsafe', `A swap of "${target.database}" would break: ${obstacles.join('; ')}.`, 'Remove them first, and make them anew after the restore.')
  } finally {
    await inside.end()
  }
}
