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
 * Cleans up after runs that were killed, and says so. What is on this machine goes at once; a
 * database or a half backup when this run is given the same server or storage, for no password is
 * ever kept. What must wait stays noted. Never throws.
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

async function sweepRun({ note, file }: DeadRun, env: Env, work: Work): Promise<Held[]> {
  const { log } = work
  log.info(`An earlier ${note.command} (${note.started}) was killed; cleaning up after it.`)
  const here = serversOf(env)
  const servers: Servers = Object.fromEntries(
    Object.entries(note.servers).flatMap(([input, place]) => {
      const same = here.find((connection) => placeOf(connection) === place)
      return same ? [[input, same]] : []
    }),
  )
  const storage = inputLines(env, 'storage').filter((url) => note.storage.includes(url))
  const remaining: Held[] = []
  await withStorages(storage, env, async (destinations) => {
    for (const held of sortForSweep(note.held)) {
      const needed = neededFor(
        held,
        note.servers,
        servers,
        note.storage.filter((url) => !storage.includes(url)),
      )
      const said =
        needed !== undefined && ['database', 'roles', 'schema'].includes(held.kind)
          ? []
          : await sweep([held], { destinations, servers }, work)
      for (const sentence of said)
        log[sentence.startsWith('Could not') ? 'warning' : 'info'](sentence)
      if (needed === undefined && !said.some((sentence) => sentence.startsWith('Could not')))
        continue
      remaining.push(held)
      if (needed !== undefined)
        log.info(`${needed} (Noted in ${file}; remove that file to hear no more of it.)`)
    }
  })
  return remaining
}

/** What this run would have to be given to clean a thing up; undefined when it has it. */
function neededFor(
  held: Held,
  places: Record<string, string>,
  servers: Servers,
  elsewhere: readonly string[],
): string | undefined {
  if (held.kind === 'database' && !servers[held.input])
    return `The database "${held.name}" is still on ${places[held.input] ?? 'its server'}: a run with --${held.input} at that server drops it.`
  if (held.kind === 'roles' && !servers[held.input])
    return `The roles ${held.names.join(', ')}, made for a copy, are still on ${places[held.input] ?? 'its server'}: a run with --${held.input} at that server drops them.`
  if (held.kind === 'schema' && !servers[held.input])
    return `The schema "${held.name}" is still in the database "${held.database}" on ${places[held.input] ?? 'its server'}: a run with --${held.input} at that server drops it.`
  if (held.kind === 'backup' && elsewhere.length > 0)
    return `What an unfinished backup of "${held.label}" left in ${elsewhere.join(' and ')} goes in a run with that --storage.`
  return undefined
}

/** The servers that this run's inputs name. */
export function serversOf(env: Env): Connection[] {
  return serverInputs.flatMap((input) => {
    try {
      return inputText(env, input) ? [parseConnection(inputText(env, input), input)] : []
    } catch {
      return [] // the command's own code will say what is wrong with it
    }
  })
}

export function placeOf({ host, port }: Connection): string {
  return `${host}:${port}`
}
