/**
 * Takes a backup: one consistent snapshot, read as several archives and measured, completed by its
 * manifest.
 */
import { withUniqueApplicationName } from '../postgres/connection/client.ts'
import { Drift } from '../postgres/pg-dump/snapshot.ts'
import { pruneAll } from '../repository/retention.ts'
import { checkRecipients } from '../stream/encrypt.ts'
import type { Work } from '../work.ts'
import { attemptBackup } from './attempt.ts'
import { preflight, type PreflightResult } from './preflight.ts'
import type { BackupOptions, BackupResult } from './result.ts'
import { conflictOf, errorOfLastAttempt, maxAttempts, pauseFor } from './retry-policy.ts'

export type { BackupOptions, BackupResult } from './result.ts'

/**
 * Takes a backup. Checks first that it is possible, then streams the archives to every destination
 * while the same snapshot is measured, and writes the manifest last: from then on the backup exists.
 * Removes the backups that retention does not keep only after that.
 *
 * Retries with a new snapshot if tables change or a standby cancels the reading. Leaves nothing
 * behind if it fails before the manifest is written.
 *
 * Throws the UserErrors of `preflight`, of the connection and of the destinations, and
 * `tables-in-motion`, `standby-conflict` and `dump-failed`.
 */
export async function backup(options: BackupOptions, work: Work): Promise<BackupResult> {
  const started = Date.now()
  if (options.recipients !== 'none') checkRecipients(options.recipients, 'encrypt-to')
  const label = options.label ?? options.database.database
  for (let attempt = 1; ; attempt++) {
    let checked: PreflightResult | undefined
    try {
      const database = withUniqueApplicationName(options.database)
      checked = await preflight({ ...options, database }, work)
      const result = await attemptBackup(
        { ...options, database: checked.database, label },
        checked,
        work,
      )
      result.attempts += attempt - 1
      if (options.keep !== undefined)
        result.removed = await pruneAll(
          options.destinations,
          label,
          options.keep,
          result.warnings,
          work,
        )
      result.timings.total = Date.now() - started
      return result
    } catch (error) {
      const conflict =
        error instanceof Drift ? error : await conflictOf(error, options.database, work)
      if (!conflict) throw error
      if (attempt === maxAttempts) throw errorOfLastAttempt(conflict, options.database.input)
      work.log.info(
        `${conflict.message}; retrying with a new snapshot ` +
          `(retry ${attempt} of ${maxAttempts - 1})`,
      )
      await pauseFor(1000 * 2 ** attempt * (0.5 + Math.random()), work)
    } finally {
      await checked?.session.end()
    }
  }
}
