/** Removes what a dead run left: on this machine, on a server, in a destination. */
import { rmSync } from 'node:fs'
import { messageOf } from '../errors.ts'
import { type Connection, withDatabase } from '../postgres/connection/connection.ts'
import { connect } from '../postgres/connection/session.ts'
import { isArchiveFolder } from '../postgres/pg-restore/archive-folder.ts'
import { removeCluster } from '../postgres/server/cluster.ts'
import { dropRoles } from '../postgres/server/database.ts'
import { dropDatabaseOnServer } from '../postgres/server/maintenance-session.ts'
import { isOwnName } from '../postgres/server/own-names.ts'
import { dropSchema } from '../postgres/tables/drop-schema.ts'
import { folderOf } from '../repository/ids.ts'
import { removeBackup } from '../repository/retention.ts'
import type { Storage } from '../storage/storage.ts'
import { signalGroup, startTicks } from '../stream/process.ts'
import type { Held, Work } from '../work.ts'

/** Where to clean up: as the inputs of this run say. */
interface SweepOptions {
  destinations: Storage[]
  servers: Partial<Record<'scratch-url' | 'target-url', Connection>>
}

/**
 * Cleans up after a process that died: ends its children, removes its scratch clusters, databases,
 * roles and folders, and the objects of a backup that has no manifest. Touches only what `held`
 * lists and what still is what it lists. Returns a sentence for each thing done or not possible.
 */
export async function sweep(held: Held[], options: SweepOptions, work: Work): Promise<string[]> {
  const sentences: string[] = []
  for (const each of sortForSweep(held)) {
    try {
      const sentence = await sweepHeld(each, options, work)
      if (sentence) sentences.push(sentence)
    } catch (error) {
      sentences.push(`Could not clean up ${describeHeld(each)}: ${messageOf(error)}`)
    }
  }
  return sentences
}

/**
 * Sorts processes first, because they may use the rest, and roles last, because databases depend on
 * them.
 */
export function sortForSweep(held: readonly Held[]): Held[] {
  const rank = ({ kind }: Held): number => (kind === 'process' ? 0 : kind === 'roles' ? 2 : 1)
  return [...held].sort((a, b) => rank(a) - rank(b))
}

/** Returns a sentence for what was removed, or undefined if nothing was. */
async function sweepHeld(
  held: Held,
  options: SweepOptions,
  work: Work,
): Promise<string | undefined> {
  switch (held.kind) {
    case 'process':
      // the same pid with another start time is another process
      if (!held.startTicks || startTicks(held.pid) !== held.startTicks) return undefined
      signalGroup(held.pid, 'SIGKILL')
      return `Ended ${describeHeld(held)}.`
    case 'cluster':
      return (await removeCluster(held.directory)) ? `Removed ${describeHeld(held)}.` : undefined
    case 'folder':
      // another step of the job could have written the state, so remove only folders so named
      if (isArchiveFolder(held.directory)) rmSync(held.directory, { recursive: true, force: true })
      return undefined
    case 'backup':
      return sweepUnfinished(held, options.destinations, work)
    default: {
      const server = options.servers[held.input]
      return server && (await sweepServer(held, server, work))
    }
  }
}

/** Drops what is left on a server, if its name is one that only Holdfast gives. */
async function sweepServer(
  held: Extract<Held, { input: string }>,
  server: Connection,
  work: Work,
): Promise<string | undefined> {
  switch (held.kind) {
    case 'database':
      if (!isOwnName(held.name, 'scratch', 'side')) return undefined
      await dropDatabaseOnServer(server, held.name, work)
      return `Dropped ${describeHeld(held)}.`
    case 'schema':
      if (!isOwnName(held.name, 'staging')) return undefined
      await dropSchema(withDatabase(server, held.database), held.name, work)
      return `Dropped ${describeHeld(held)}.`
    case 'roles': {
      const session = await connect(server, work)
      try {
        const { dropped } = await dropRoles(session, held.names)
        return dropped.length ? `Dropped ${describeHeld({ ...held, names: dropped })}.` : undefined
      } finally {
        await session.end()
      }
    }
  }
}

/** Removes the objects of a backup from each destination that has no manifest of it. */
async function sweepUnfinished(
  held: Extract<Held, { kind: 'backup' }>,
  destinations: readonly Storage[],
  work: Work,
): Promise<string | undefined> {
  const { signal } = work
  const folder = folderOf(held.label, held.id)
  const urls: string[] = []
  for (const destination of destinations) {
    if ((await destination.size(`${folder}manifest.json`, { signal })) !== undefined) continue
    await removeBackup(destination, folder, signal)
    urls.push(destination.url)
  }
  return urls.length
    ? `Removed what ${describeHeld(held)} had left in ${urls.join(' and ')}.`
    : undefined
}

function describeHeld(held: Held): string {
  switch (held.kind) {
    case 'process':
      return `the process ${held.pid}`
    case 'cluster':
      return `the scratch cluster in ${held.directory}`
    case 'folder':
      return `the folder ${held.directory}`
    case 'database':
      return `the database "${held.name}"`
    case 'roles':
      return `the roles ${held.names.join(', ')}`
    case 'schema':
      return `the schema "${held.name}" in the database "${held.database}"`
    case 'backup':
      return `the unfinished backup ${held.label}/${held.id}`
  }
}
