import { UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'

const asError = (error: unknown): NodeJS.ErrnoException | undefined =>
  error instanceof Error ? error : undefined

/**
 * The system's word for what failed, for example `ENOENT`; undefined for what no system call said.
 */
export function codeOf(error: unknown): string | undefined {
  return asError(error)?.code
}

/**
 * The UserError that a person is shown for what the file system said while we wanted to `what`;
 * anything else comes back as it was.
 */
export function explainLocal(error: unknown, what: string): unknown {
  const { code, syscall, path } = asError(error) ?? {}
  if (code === undefined || syscall === undefined) return error
  const at = path === undefined ? '' : ` (${path})`
  const fail = (id: ErrorCode, why: string, hint: string): UserError =>
    new UserError(id, `storage: could not ${what}: ${why}${at}.`, hint, { cause: error })
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return fail(
        'storage-full',
        code === 'EDQUOT'
          ? 'the quota is used up'
          : code === 'EFBIG'
            ? 'the file would be larger than allowed'
            : 'no space is left on the device',
        'Free space there (df -h shows how much), or name a folder on a larger disk; keep: lowers how many backups stay.',
      )
    case 'EACCES':
    case 'EPERM':
      return fail(
        'storage-access-denied',
        'permission denied',
        `Give the user that this job runs as (id shows it) the right to write in that folder, or name another folder.`,
      )
    case 'EROFS':
      return fail(
        'storage-access-denied',
        'the file system is mounted read-only',
        'Name a folder that can be written, or mount it so (in a job container: without :ro).',
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return fail(
        'storage-not-a-folder',
        'a part of the path is a file, not a folder',
        'Name a folder in the file:// URL; Holdfast makes the ones that are missing.',
      )
    case 'ENOENT':
      return fail(
        'storage-access-denied',
        'the folder is not there and can not be made',
        'Name a folder on an ordinary file system, whose parent can be written.',
      )
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return fail(
        'storage-url-invalid',
        code === 'ELOOP' ? 'symbolic links lead in a circle' : 'the path is too long',
        'Name a shorter, plain path in the file:// URL.',
      )
    default:
      return fail(
        'storage-failed',
        `the file system failed with ${code}`,
        "See the kernel's log (dmesg) and the state of the disk or the network mount.",
      )
  }
}
