import { UserError } from '../../errors.ts'
import { capture } from '../../stream/process.ts'
import type { Work } from '../../work.ts'
import { type Programs, program } from '../programs/find-programs.ts'
import type { Connection } from '../connection/connection.ts'
import { entriesOf, ownerLine, type SchemaEntry, withoutTail } from '../fingerprint/schema.ts'
import { connect, quoteName } from '../connection/session.ts'

/**
 * Whose the restored things are, and who may use them: as in the backup (`keep`); all of the role
 * that restores, without grants (`drop`); or as in the backup with other roles in the place of
 * those named.
 */
export type OwnerRule = 'keep' | 'drop' | Roles
/** The new role of each old one. */
export type Roles = Readonly<Record<string, string>>

/**
 * Gives what was restored without owners and grants those of the archive, with other roles in the
 * place of the named ones, in one transaction. pg_restore knows no such thing; but it writes an
 * entry's owner as the last line of it, and each grant on a line of its own, so that only the role
 * at the line's end changes. A grant that another role than the owner made becomes the owner's.
 */
export async function giveOwners(
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
  if (code !== 0)
    throw new UserError(
      'restore-failed',
      `pg_restore cannot read the archive: ${stderr.trim()}`,
      'Use another backup.',
    )
  const session = await connect(connection, work)
  try {
    await session.query('BEGIN')
    for (const statement of entriesOf(stdout).flatMap((entry) => ownershipOf(entry, roles))) {
      await session.query(statement).catch((cause: { code?: string; message: string }) => {
        if (cause.code === '42704')
          throw new UserError(
            'role-missing',
            `The server lacks a role that the backup names, or that owner maps to: ${cause.message} (at ${statement})`,
            'Create it first (CREATE ROLE … NOLOGIN;), or name another one in owner, as old: new.',
            { cause },
          )
        if (cause.code === '42501')
          throw new UserError(
            'no-permission',
            `"${connection.user}" may not give what was restored to others: ${cause.message} (at ${statement})`,
            'Restore as a superuser or a member of all these roles, or write owner: drop.',
            { cause },
          )
        throw cause as unknown as Error
      })
    }
    await session.query('COMMIT')
  } finally {
    await session.end()
  }
}

/** The statements that give one entry its owner or grants. */
export function ownershipOf(
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
    const [, what = '', role = '', rest = ''] =
      /^((?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) )("(?:[^"]|"")+"|[^\s";]+)( WITH GRANT OPTION)?;$/.exec(
        line,
      ) ?? []
    if (what === '') return []
    const by = what.replace(
      /^(ALTER DEFAULT PRIVILEGES FOR ROLE )("(?:[^"]|"")+"|[^\s";]+)/,
      (_, before: string, owner: string) => before + mapped(owner),
    )
    return [by + (role === 'PUBLIC' ? role : mapped(role)) + rest]
  })
}
