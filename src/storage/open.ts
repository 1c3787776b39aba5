import { UserError } from '../errors.ts'
import { openLocal } from './local/local.ts'
import { openS3 } from './s3/s3.ts'
import type { Storage } from './storage.ts'

export interface OpenOptions {
  /** Read for HTTP_PROXY, HTTPS_PROXY and NO_PROXY only; without it no proxy is used. */
  env?: Readonly<Record<string, string | undefined>>
}

const schemes: Record<string, (url: string, options: OpenOptions) => Storage> = {
  file: openLocal,
  s3: openS3,
}

/**
 * The storage behind a URL, by its scheme. Asks nothing of it yet: a folder that is missing or a
 * server out of reach shows in `probe`. Throws a UserError for text that is no URL of ours, and
 * never shows a password that stands in it.
 */
export function openStorage(url: string, options: OpenOptions = {}): Storage {
  const text = url.trim()
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) throw notAUrl(text)
  const open = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined
  if (open === undefined) {
    throw new UserError(
      'storage-scheme-unknown',
      `storage: the scheme ${scheme}:// is not one that backups can be kept in.`,
      schemesThatExist,
    )
  }
  if (/^[^:]+:\/*[^/?#]*@/.test(text)) {
    throw new UserError(
      'storage-url-invalid',
      `storage: a ${scheme}:// URL must not hold a user name or a password (there is an @ before its path).`,
      'For S3, pass AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY through env: from repository secrets, or log in by OIDC, and take them out of the URL.',
    )
  }
  return open(text, options)
}

const schemesThatExist =
  'Storage is one URL a line: s3://bucket/prefix?endpoint=…&region=… or file:///absolute/path.'

/**
 * Shows the text only when it is plainly a path: anything else might be a secret that was pasted
 * into the wrong input.
 */
function notAUrl(text: string): UserError {
  if (text === '')
    return new UserError('storage-url-invalid', 'storage: no URL was given.', schemesThatExist)
  const path = /^(\/|\.{1,2}\/|~\/)[^@:]*$/.test(text)
  return new UserError(
    'storage-url-invalid',
    path ? `storage: ${text} is a path, not a URL.` : 'storage: what was given is not a URL.',
    text.startsWith('/') && path ? `Write file://${text}. ${schemesThatExist}` : schemesThatExist,
  )
}
