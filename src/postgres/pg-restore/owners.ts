import { UserError } from '../../errors.ts'
import { input, text } from '../../text.ts'
import { capture } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { isServerError } from '../connection/server-error.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import type { Connection } from '../connection/connection.ts'
import { unreadableArchiveError } from './errors.ts'
import { entriesOf, ownerLine, type SchemaEntry, withoutTail } from '../fingerprint/schema.ts'
import { connect, quoteName } from '../connection/session.ts'

/**
 * The owners and grants of restored objects: as in the backup (`keep`), all owned by the restoring
 * role without grants (`drop`), or as in the backup with some roles replaced.
 */
export type OwnerRule = 'keep' | 'drop' | Roles
/** The new role by the old role. */
export type Roles = Readonly<Record<string, string>>

/**
 * Applies the archive's owners and grants to objects restored without them, with some roles
 * replaced, in one transaction. pg_restore cannot do this, but it writes an entry's owner on its
 * last line and each grant on its own line, so only the role at the line's end changes. A grant
 * made by a role other than the owner becomes the owner's. Throws `role-missing` and
 * `no-permission`.
 */
export async function applyOwners(
  programs: Programs,
  connection: Connection,
  archive: string,
  roles: Roles,
  work: Work,
): Promise<void> {
  const { code, stdout, stderr } = await capture(
    program(programs, 'pg_restore'),
    ['-f', '-', '--schema-only', '--no-subscriptions', archive],
    { env: { ...work.env } },
    work,
  )
  if (code !== 0) throw unreadableArchiveError(stderr.trim())
  const session = await connect(connection, work)
  try {
    await session.query('BEGIN')
    for (const statement of entriesOf(stdout).flatMap((entry) =>
      ownershipStatements(entry, roles),
    )) {
      await session.query(statement).catch((cause: unknown) => {
        throw ownershipError(cause, statement, connection)
      })
    }
    await session.query('COMMIT')
  } finally {
    await session.end()
  }
}

const roleName = '"(?:[^"]|"")+"|[^\\s";]+'
const grantLine = new RegExp(
  '^((?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) )' +
    `(${roleName})( WITH GRANT OPTION)?;$`,
)
const defaultPrivilegesOf = new RegExp(`^(ALTER DEFAULT PRIVILEGES FOR ROLE )(${roleName})`)

function ownershipError(cause: unknown, statement: string, { user }: Connection): unknown {
  if (!isServerError(cause)) return cause
  const detail = `${cause.message} (at ${statement})`
  if (cause.code === '42704')
    return new UserError(
      'role-missing',
      text`The server lacks a role of the backup or of ${input('owner')}: ${detail}`,
      text`Create it (CREATE ROLE … NOLOGIN;), or map to another role in ${input('owner')}.`,
      { cause },
    )
  if (cause.code === '42501')
    return new UserError(
      'no-permission',
      `"${user}" may not give restored objects to other roles: ${detail}`,
      text`Restore as a superuser or a member of these roles, or write ${input('owner', 'drop')}.`,
      { cause },
    )
  return cause
}

/** Returns the statements that set the owner or the grants of one entry. */
export function ownershipStatements(
  { type, lines }: Pick<SchemaEntry, 'type' | 'lines'>,
  roles: Roles,
): string[] {
  const kept = withoutTail(lines)
  const mapped = (role: string): string => {
    const name = role.startsWith('"') ? role.slice(1, -1).replaceAll('""', '"') : role
    return Object.hasOwn(roles, name) ? quoteName(roles[name] as string) : role
  }
  if (!/^(DEFAULT )?ACL$/.test(type)) {
    const [, what, role] = ownerLine.exec(kept.at(-1) ?? '') ?? []
    return what === undefined || role === undefined ? [] : [what + mapped(role)]
  }
  return kept.flatMap((line) => {
    const [, what = '', role = '', rest = ''] = grantLine.exec(line) ?? []
    if (what === '') return []
    const by = what.replace(
      defaultPrivilegesOf,
      (_, before: string, owner: string) => before + mapped(owner),
    )
    return [by + (role === 'PUBLIC' ? role : mapped(role)) + rest]
  })
}
