import { withStorages } from '../actions/destinations.ts'
import { sortForSweep, sweep } from '../cleanup/sweep.ts'
import { messageOf } from '../errors.ts'
import { type Env, inputLines, inputText } from '../github/inputs/input.ts'
import { type Connection, parseConnection } from '../postgres/connection/connection.ts'
import type { Held, Work } from '../work.ts'
import { deadRuns, type DeadRun } from './state.ts'

const serverInputs = ['scratch-url', 'target-url'] as const
type Servers = Partial<Record<(typeof serverInputs)[number], Connection>>

/**
 * Cleans up after runs that were killed, and logs it. Things on this machine are removed at once. A
 * database or an unfinished backup is removed if this run has the same server or storage, because
 * no password is stored. The rest stays noted. Never throws.
 */
export async function sweepEarlier(folder: string, env: Env, work: Work): Promise<void> {
  for (const dead of deadRuns(folder)) {
    try {
      dead.keep(await sweepRun(dead, env, work))
    } catch (error) {
      work.log.warning(
        `Cleaning up after an earlier ${dead.note.command} failed: ${messageOf(error)}`,
      )
    }
  }
}

/** Cleans up after one run. Returns what remains. */
async function sweepRun({ note, file }: DeadRun, env: Env, work: Work): Promise<Held[]> {
  const { log } = work
  log.info(`An earlier ${note.command} (${note.started}) was killed; cleaning up after it.`)
  const servers = knownServers(note.servers, env)
  const storage = inputLines(env, 'storage').filter((url) => note.storage.includes(url))
  const otherStorage = note.storage.filter((url) => !storage.includes(url))
  const remaining: Held[] = []
  await withStorages(storage, env, async (destinations) => {
    for (const held of sortForSweep(note.held)) {
      const missing =
        missingServer(held, note.servers, servers) ?? missingStorage(held, otherStorage)
      // an unfinished backup is removed from the destinations that this run has
      const sentences =
        missing !== undefined && held.kind !== 'backup'
          ? []
          : await sweep([held], { destinations, servers }, work)
      const failed = sentences.filter(isFailure)
      for (const sentence of sentences) log[isFailure(sentence) ? 'warning' : 'info'](sentence)
      if (missing !== undefined || failed.length > 0) remaining.push(held)
      if (missing !== undefined)
        log.info(`${missing} (Noted in ${file}. Remove that file to stop this message.)`)
    }
  })
  return remaining
}

function isFailure(sentence: string): boolean {
  return sentence.startsWith('Could not')
}

/** Returns the servers of a note that this run has too, by input. */
function knownServers(places: Record<string, string>, env: Env): Servers {
  const own = serversOf(env)
  return Object.fromEntries(
    Object.entries(places).flatMap(([input, place]) => {
      const same = own.find((connection) => placeOf(connection) === place)
      return same ? [[input, same]] : []
    }),
  )
}

/** Returns a sentence if a thing is on a server that this run does not have. */
function missingServer(
  held: Held,
  places: Record<string, string>,
  servers: Servers,
): string | undefined {
  if (held.kind !== 'database' && held.kind !== 'roles' && held.kind !== 'schema') return undefined
  if (servers[held.input]) return undefined
  const place = places[held.input] ?? 'its server'
  const run = `a run with --${held.input} for that server`
  switch (held.kind) {
    case 'database':
      return `The database "${held.name}" is still on ${place}: ${run} drops it.`
    case 'roles':
      return `The roles ${held.names.join(', ')}, created for a copy, are still on ${place}: ${run} drops them.`
    case 'schema':
      return `The schema "${held.name}" is still in the database "${held.database}" on ${place}: ${run} drops it.`
  }
}

/** Returns a sentence if parts of a backup are in a storage that this run does not have. */
function missingStorage(held: Held, urls: readonly string[]): string | undefined {
  if (held.kind !== 'backup' || urls.length === 0) return undefined
  const what = `Parts of an unfinished backup of "${held.label}"`
  return `${what} are still in ${urls.join(' and ')}: a run with that --storage removes them.`
}

/** Returns the servers that this run's inputs name. */
export function serversOf(env: Env): Connection[] {
  return serverInputs.flatMap((input) => {
    try {
      return inputText(env, input) ? [parseConnection(inputText(env, input), input)] : []
    } catch {
      return [] // the command's own code refuses it
    }
  })
}

export function placeOf({ host, port }: Connection): string {
  return `${host}:${port}`
}
