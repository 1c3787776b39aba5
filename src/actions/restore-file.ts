import { badInput } from '../errors/bad-input.ts'
import type { RestoreInputs } from '../github/inputs/restore.ts'
import type { RestoreExternalOptions } from '../restore/swap/external-dump.ts'
import { input, text } from '../text.ts'

type OnlyForBackups = 'mode' | 'owner' | 'tables' | 'schemas' | 'replace' | 'contents'

/** The inputs of a restore from an external dump. */
export type FileInputs = Omit<RestoreInputs, 'storage' | 'task' | 'backup' | OnlyForBackups> &
  Required<Pick<RestoreExternalOptions, 'mode' | 'owner'>>

const wholeFile = text`Restore the whole file with ${input('mode', 'new')}, and copy them from there.`

/**
 * Returns the inputs that apply to an external dump. Throws `bad-input` for an input that needs a
 * backup of the backup action, instead of ignoring it.
 */
export function fileInputs({
  mode,
  owner,
  tables,
  schemas,
  replace,
  contents,
  ...rest
}: Omit<RestoreInputs, 'storage' | 'task' | 'backup'>): FileInputs {
  const refuse = (name: OnlyForBackups, given: string, hint: typeof wholeFile): Error =>
    badInput(
      name,
      `${given}, which needs a backup that Holdfast took, not a file of another tool`,
      hint,
    )
  if (tables.length > 0) throw refuse('tables', 'is set', wholeFile)
  if (schemas.length > 0) throw refuse('schemas', 'is set', wholeFile)
  if (replace)
    throw refuse('replace', 'is true', text`Restore the whole file with ${input('mode', 'swap')}.`)
  if (contents !== 'all')
    throw refuse('contents', `is "${contents}"`, text`Leave ${input('contents')} out.`)
  if (mode === 'in-place')
    throw refuse(
      'mode',
      'is "in-place"',
      text`Write ${input('mode', 'swap')} or ${input('mode', 'new')}.`,
    )
  if (owner !== 'keep' && owner !== 'drop')
    throw refuse(
      'owner',
      'maps roles',
      text`Create the roles that the file names or, if it is an archive, write ${input('owner', 'drop')}.`,
    )
  return { ...rest, mode, owner }
}
