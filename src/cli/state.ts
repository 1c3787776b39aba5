import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../errors.ts'
import type { Env } from '../github/inputs/input.ts'
import { startTicks } from '../stream/process.ts'
import type { Held, Log, Work } from '../work.ts'

/** The file in which one run notes what it holds. It contains no secret. */
export interface Note {
  command: string
  started: string
  /** The destinations in which an unfinished backup would be. */
  storage: string[]
  /** The servers on which a database would be, as `host:port`, by the name of the input. */
  servers: Record<string, string>
  held: Held[]
}

/**
 * `<pid>-<start, in ticks since boot>-<random>.json`: the process shows whether the run is still
 * alive.
 */
const namePattern = /^(\d+)-(\d*)-[0-9a-f]+\.json$/

/** Returns the folder in which runs note what they hold (XDG Base Directory Specification). */
export function stateFolder(env: Env): string {
  return join(
    env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state'),
    'holdfast',
    'runs',
  )
}

/**
 * Returns a list of held things that is kept in a file of this run. The file is written at every
 * change, before a thing exists, and removed when nothing is held. If the file cannot be written,
 * the run continues with a warning.
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
        `Cannot write to ${folder} (${messageOf(error)}). If this run is killed, nothing cleans ` +
          'up after it.',
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

/** A run that ended without releasing everything, and what it held. */
export interface DeadRun {
  note: Note
  file: string
  /** Notes what remains to be cleaned up; with nothing, removes the note. */
  keep(remaining: Held[]): void
}

/**
 * Takes over the notes of runs that ended without releasing everything. Of two processes that do
 * this at once, only one gets a note.
 */
export function deadRuns(folder: string): DeadRun[] {
  return namesIn(folder).flatMap((name) => {
    const [, pid = '', ticks = ''] = namePattern.exec(name) ?? []
    if (pid === '' || isAlive(Number(pid), ticks)) return []
    const file = join(folder, ownName())
    try {
      renameSync(join(folder, name), file)
    } catch {
      return [] // another process took it
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

/** Renames a complete file, so that a kill leaves the old note or the new one, never a part. */
function writeNote(folder: string, file: string, note: Note): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(`${file}.new`, `${JSON.stringify(note)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

function readNote(file: string): Note | undefined {
  try {
    const note = JSON.parse(readFileSync(file, 'utf8')) as Partial<Note>
    const held = Array.isArray(note.held)
      ? note.held.filter((each) => typeof (each as { kind?: unknown } | null)?.kind === 'string')
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
 * Whether a process is alive, by its pid and its start, because pids are reused. Where the start is
 * unknown (no /proc), any process with that pid counts.
 */
function isAlive(pid: number, ticks: string): boolean {
  if (ticks !== '') return startTicks(pid) === ticks
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
