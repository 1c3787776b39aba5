import { UserError } from '../errors.ts'
import type { Manifest } from '../repository/manifest.ts'

/**
 * What a restore needs of the server that it runs on. A backup's manifest has all of it; for another
 * tool's dump, `bytes` and `locale` may be unknown.
 */
export interface ServerRequirements {
  manifest: {
    source: Pick<Manifest['source'], 'major' | 'server' | 'roles'> &
      Partial<Pick<Manifest['source'], 'bytes' | 'locale'>>
    fingerprint: { supplement: Pick<Manifest['fingerprint']['supplement'], 'extensions'> }
  }
}

/**
 * The refusal of a server that is older than the one that was backed up.
 *
 * @param version the refused server's, for example `15.18`
 */
export function serverOlder(
  which: 'scratch' | 'target',
  version: string,
  source: Pick<Manifest['source'], 'major' | 'server'>,
): UserError {
  return new UserError(
    'server-older',
    `The ${which} server is PostgreSQL ${version}, older than the backup's ${source.server}.`,
    which === 'scratch'
      ? `Use the same major version, for example the image postgres:${source.major}.`
      : 'A backup restores into its own major version or a newer one.',
  )
}
