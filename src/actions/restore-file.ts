import type { RestoreExternalOptions } from '../restore/swap/external-dump.ts'
import { parseSelector } from '../repository/selector.ts'
import { UserError } from '../errors.ts'
import type { RestoreInputs } from '../github/inputs/restore.ts'

/** What of the inputs can be kept to for a file that another tool made. */
export type FileInputs = Omit<
  RestoreInputs,
  'storage' | 'task' | 'mode' | 'owner' | 'tables' | 'schemas' | 'replace' | 'contents'
> &
  Required<Pick<RestoreExternalOptions, 'mode' | 'owner'>>

/** Whether it is such a file that is to be restored. */
export function namesFile({ task, backup }: Pick<RestoreInputs, 'task' | 'backup'>): boolean {
  return task === 'restore' && ['file', 'store'].includes(parseSelector(backup).kind)
}

/** What only a backup of ours can be asked for is refused, not left out in silence. */
export function fileInputs({
  mode,
  owner,
  tables,
  schemas,
  replace,
  contents,
  ...rest
}: Omit<RestoreInputs, 'storage' | 'task'>): FileInputs {
  const refuse = (what: string, hint: string): UserError =>
    new UserError(
      'bad-input',
      `${what} cannot be kept to for a file that another tool made.`,
      `${hint} A backup that the backup action made can do that, too.`,
    )
  if (tables.length > 0)
    throw refuse('tables', 'Restore the whole file with mode: new, and copy them from there.')
  if (schemas.length > 0)
    throw refuse('schemas', 'Restore the whole file with mode: new, and copy them from there.')
  if (replace) throw refuse('replace', 'Restore the whole file, by mode: swap.')
  if (contents !== 'all') throw refuse(`contents: ${contents}`, 'Leave contents out.')
  if (mode === 'in-place') throw refuse('mode: in-place', 'Write mode: swap or mode: new.')
  if (owner !== 'keep' && owner !== 'drop')
    throw refuse(
      'owner, with new roles for old ones,',
      'Create the roles that the file names, or, where it is an archive, write owner: drop.',
    )
  return { ...rest, mode, owner }
}
