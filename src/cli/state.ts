import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../errors.ts'
import type { Env } from '../github/inputs/input.ts'
import { startTicks } from '../stream/process.ts'
import type { Held, Log, Work } from '../work.ts'

/** What one run holds, as its file has it. No secret is in it. */
export interface Note {
  command: string
  started: string
  /** The destinations in which a half backup would be. */
  storage: string[]
  /** The servers on which a database would be, as `host:port`, by input. */
  servers: Record<string, string>
  held: Held[]
}

/**
 * `<pid>-<start, in ticks since boot>-<chance>.json`: whose it is shows whether that run still
 * lives.
 */
const namePattern = /^(\d+)-(\d*)-[0-9a-f]+\.json$/

/** Where runs note what they hold (XDG Base Directory Specification). */
export function stateFolder(env: Env): string {
  return join(
    env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state'),
    'holdfast',
    'runs',
  )
}

/**
 * The list of held things of this run, in a file of its own: written at every change, before a
 * thing exists, and gone when nothing is held any more. Where no file can be written, work goes on,
 * and a warning says what that means.
 */
export function heldInFile(
  folder: string,
  about: Omit<Note, 'held'>,
  log: Log,
): Pick<Work, 'hold' | 'release'> {
  const file = join(folder, ownName())
  let held: Held[] = []
  let able = true
  const save = (): void => {
    if (!able) return
    try {
      if (held.length === 0) rmSync(file, { force: true })
      else writeNote(folder, file, { ...about, held })
    } catch (error) {
      able = false
      log.warning(
        `What this run holds cannot be noted in ${folder} (${messageOf(error)}): if it is killed, nothing cleans up after it.`,
      )
    }
  }
  return {
    hold(thing) {
      held = [...held, thing]
      save()
    },
    release(thing) {
      const at = held.findIndex((each) => isDeepStrictEqual(each, thing))
      if (at < 0) return
      held = held.toSpliced(at, 1)
      save()
    },
  }
}

/** A run that died before, and what it held. */
export interface DeadRun {
  note: Note
  file: string
  /** Notes what is still to be cleaned up; with nothing, the run is forgotten. */
  keep(remaining: Held[]): void
}

/**
 * Takes over the notes of runs that have ended without letting go of everything. Two that start at
 * once never get the same one.
 */
export function deadRuns(folder: string): DeadRun[] {
  return namesIn(folder).flatMap((name) => {
    const [, pid = '', ticks = ''] = namePattern.exec(name) ?? []
    if (pid === '' || lives(Number(pid), ticks)) return []
    const file = join(folder, ownName())
    try {
      renameSync(join(folder, name), file)
    } catch {
      return [] // another run was faster
    }
    const note = readNote(file)
    const keep = (remaining: Held[]): void => {
      if (remaining.length === 0 || !note) rmSync(file, { force: true })
      else writeNote(folder, file, { ...note, held: remaining })
    }
    if (!note) keep([])
    return note ? [{ note, file, keep }] : []
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

/** In two steps, so that a kill in between leaves the one or the other, whole. */
function writeNote(folder: string, file: string, note: Note): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, `${JSON.stringify(note)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

function readNote(file: string): Note | undefined {
  try {
    const note = JSON.parse(readFileSync(file, 'utf8')) as Partial<Note>
    const held = Array.isArray(note.held)
      ? note.held.filter((one) => typeof (one as { kind?: unknown } | null)?.kind === 'string')
      : []
    return {
      command: note.command ?? 'a command',
      started: note.started ?? '',
      storage: note.storage ?? [],
      servers: note.servers ?? {},
      held,
    }
  } catch {
    return undefined
  }
}

function ownName(): string {
  return `${process.pid}-${startTicks(process.pid)}-${randomBytes(4).toString('hex')}.json`
}

/**
 * By its start, too: a pid is used again. Where starts cannot be known (no /proc), any process of
 * that pid counts.
 */
function lives(pid: number, ticks: string): boolean {
  if (ticks !== '') return startTicks(pid) === ticks
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
