import { UserError } from '../errors.ts'
import { input, text } from '../text.ts'
import { LocalStorage } from './local/local.ts'
import { S3Storage } from './s3/s3.ts'
import type { Storage } from './storage.ts'

export interface OpenOptions {
  /** Only HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read; without it no proxy is used. */
  env?: Readonly<Record<string, string | undefined>>
}

const schemes: Record<string, (url: string, options: OpenOptions) => Storage> = {
  file: (url) => new LocalStorage(url),
  s3: (url, options) => new S3Storage(url, options),
}

/**
 * Returns the storage for a URL, by its scheme. Does not connect: `probe` finds out whether the
 * destination can be used. Throws a UserError for text that is not a valid storage URL, without
 * showing a password in it.
 */
export function openStorage(url: string, options: OpenOptions = {}): Storage {
  const trimmed = url.trim()
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(trimmed)?.[1]?.toLowerCase()
  if (scheme === undefined) throw notAUrl(trimmed)
  const open = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined
  if (open === undefined) {
    throw new UserError(
      'storage-scheme-unknown',
      text`${input('storage')} has a ${scheme}:// URL. No kind of storage uses that scheme.`,
    )
  }
  if (/^[^:]+:\/*[^/?#]*@/.test(trimmed)) {
    throw new UserError(
      'storage-url-invalid',
      text`The ${scheme}:// URL in ${input('storage')} must not hold a user name or a password.`,
      'There is an @ before its path. Remove the credentials from the URL. For S3, set ' +
        'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or log in with OIDC.',
    )
  }
  return open(trimmed, options)
}

/**
 * Returns the error for text without a scheme. The text is shown only if it is clearly a path:
 * anything else might be a secret, pasted into the wrong input.
 */
function notAUrl(given: string): UserError {
  const storage = input('storage')
  if (given === '') return new UserError('storage-url-invalid', text`${storage} has no URL.`)
  if (!/^(\/|\.{1,2}\/|~\/)[^@:]*$/.test(given))
    return new UserError('storage-url-invalid', text`The text in ${storage} is not a URL.`)
  return new UserError(
    'storage-url-invalid',
    text`${given} in ${storage} is a path, not a URL.`,
    given.startsWith('/') ? `Write file://${given}.` : undefined,
  )
}
