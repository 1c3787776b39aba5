import { UserError } from '../../errors.ts'
import type { ErrorCode } from '../../errors/catalogue.ts'
import { code, input, join, text, type Text } from '../../text.ts'

/** Returns the system's code, for example `ENOENT`; undefined if it was not a system call. */
export function codeOf(error: unknown): string | undefined {
  return asSystemError(error)?.code
}

/**
 * Returns the UserError for a failed system call during `action`, for example `write in /backups`.
 * Returns any other error unchanged.
 */
export function explainLocal(error: unknown, action: string): unknown {
  const { code: errno, syscall, path } = asSystemError(error) ?? {}
  if (errno === undefined || syscall === undefined) return error
  const { error: id, reason, hint } = explanations[errno] ?? unexpected(errno)
  const where = path === undefined ? '' : ` (${path})`
  return new UserError(id, `Cannot ${action}: ${reason}${where}.`, hint, { cause: error })
}

interface Explanation {
  readonly error: ErrorCode
  readonly reason: string
  /** Undefined where the catalogue's hint is as good. */
  readonly hint?: Text
}

const full = (reason: string): Explanation => ({
  error: 'storage-full',
  reason,
  hint: join(
    [
      text`Free space there (${code('df -h')} shows how much), or name a folder on a larger disk.`,
      text`${input('keep')} limits how many backups stay.`,
    ],
    ' ',
  ),
})

const denied: Explanation = {
  error: 'storage-access-denied',
  reason: 'permission denied',
  hint: join(
    [
      text`Give the user that this job runs as (${code('id')} shows it) permission to write there,`,
      'or name another folder.',
    ],
    ' ',
  ),
}

const notAFolder: Explanation = {
  error: 'storage-not-a-folder',
  reason: 'a part of the path is a file, not a folder',
}

const badPath = (reason: string): Explanation => ({
  error: 'storage-url-invalid',
  reason,
  hint: 'Name a shorter path without symbolic links in the file:// URL.',
})

const unexpected = (errno: string): Explanation => ({
  error: 'storage-failed',
  reason: `the file system failed with ${errno}`,
})

const explanations: Readonly<Record<string, Explanation>> = {
  ENOSPC: full('no space is left on the device'),
  EDQUOT: full('the quota is used up'),
  EFBIG: full('the file would be larger than allowed'),
  EACCES: denied,
  EPERM: denied,
  EROFS: {
    error: 'storage-access-denied',
    reason: 'the file system is mounted read-only',
    hint: 'Name a writable folder, or mount it writable (in a job container: without :ro).',
  },
  ENOTDIR: notAFolder,
  EEXIST: notAFolder,
  ENOENT: {
    error: 'storage-access-denied',
    reason: 'the folder does not exist and cannot be created',
    hint: 'Name a folder on an ordinary file system whose parent is writable.',
  },
  ENAMETOOLONG: badPath('the path is too long'),
  ELOOP: badPath('its symbolic links form a circle'),
}

function asSystemError(error: unknown): NodeJS.ErrnoException | undefined {
  return error instanceof Error ? error : undefined
}
