import { availableParallelism } from 'node:os'
import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { type Depth, type Fingerprint, measureCopy } from '../postgres/fingerprint/fingerprint.ts'
import type { Storage } from '../storage/storage.ts'
import { checkIdentities, recipientsOf } from '../stream/encrypt.ts'
import type { Work } from '../work.ts'
import type { FoundBackup } from '../repository/listing.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'
import type { Scratch } from './scratch.ts'
import { findBackup } from '../repository/selector.ts'

/** Which backup, and where to restore it: the same for `verify` and `test-migration`. */
export interface CopyOptions {
  /** Read from the first that has the backup. */
  sources: Storage[]
  /** Which database's backups. Undefined when the storage holds one label only. */
  label?: string
  /** As typed; `which.ts` gives it its meaning. */
  backup: string
  /** age identities; empty for backups that are not encrypted. */
  identities: string[]
  /** An administrator's connection to a disposable server; undefined: a cluster of our own. */
  scratch?: Connection
  bindirs: string[]
  /** How much is done at once. Default: one a core, at most 8. */
  jobs?: number
}

export function jobsOf({ jobs }: Pick<CopyOptions, 'jobs'>): number {
  return jobs ?? Math.min(availableParallelism(), 8)
}

/** Finds the backup and makes sure, before anything is fetched, that the given keys can open it. */
export async function findReadable(options: Pick<CopyOptions, 'sources' | 'label' | 'backup' | 'identities'>, work: Work): Promise<FoundBackup> {
  checkIdentities(options.identities, 'decrypt-with')
  const backup = await findBackup(options.sources, options.label, options.backup, work)
  await checkKeys(backup, options.identities)
  return backup
}

/** Throws `key-missing` or `wrong-key` unless one of the identities belongs to a key that the manifest names. */
export async function checkKeys({ manifest }: FoundBackup, identities: readonly string[]): Promise<void> {
  const { encryption } = manifest
  if (encryption === 'none') return
  const keys = `It was encrypted to ${encryption.recipients.join(', ')}.`
  if (identities.length === 0) throw new UserError('key-missing', `The backup ${manifest.id} is encrypted, and decrypt-with is empty.`, `${keys} Give the age identity that belongs to one of them.`)
  const own = await recipientsOf(identities)
  if (!own.some((recipient) => encryption.recipients.includes(recipient)))
    throw new UserError('wrong-key', `No identity in decrypt-with opens the backup ${manifest.id}.`, `${keys} The ${own.length === 1 ? 'identity' : 'identities'} given belong${own.length === 1 ? 's' : ''} to ${own.join(', ')}.`)
}

/** Measures a restored copy as closely as its source was measured. */
export async function measure(scratch: Pick<Scratch, 'connection' | 'programs'>, { source, fingerprint }: FoundBackup['manifest'], work: Work, jobs = jobsOf({}), depth: Depth = fingerprint.kind): Promise<Fingerprint> {
  const measured: Counter = { name: 'measured', done: 0, total: 0 }
  const onRead = (bytes: number, total: number): void => {
    measured.done += bytes
    measured.total = total
  }
  const options = { encoding: source.locale.encoding, readers: jobs, depth, onRead }
  return work.log.group(`Measuring the copy (${depth})`, async () => {
    const done = tellProgress(work.log, [measured])
    return measureCopy(scratch.programs.server, scratch.connection, options, work).finally(done)
  })
}
