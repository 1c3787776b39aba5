/** Measures what a process and all its descendants use, from /proc (Linux). */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Milliseconds between two samples of memory, and of a folder. */
const lookEvery = { memory: 100, disk: 400 }
/**
 * USER_HZ: the unit of times in /proc, which Linux fixes at a hundredth of a second on all its
 * usual platforms.
 */
const millisecondsPerTick = 10
const pageBytes = 4096

export interface Peaks {
  /**
   * The peak of the sum of resident memory over all processes of the tree. Pages that processes
   * share count in each.
   */
  treeMemory: number
  /** The peak of the first process alone, from the kernel (VmHWM). */
  ownMemory: number
  /** The peak of the size of the folder. */
  disk: number
}

/** Watches a process, its descendants and a folder until `stop`. All figures are bytes. */
export function watch(pid: number, folder: string): { stop(): Peaks } {
  const peaks: Peaks = { treeMemory: 0, ownMemory: 0, disk: 0 }
  const lookAtMemory = (): void => {
    const sum = tree(pid).reduce((total, each) => total + residentBytes(each), 0)
    peaks.treeMemory = Math.max(peaks.treeMemory, sum)
    peaks.ownMemory = Math.max(
      peaks.ownMemory,
      Number(/^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024,
    )
  }
  const lookAtDisk = (): void => {
    peaks.disk = Math.max(peaks.disk, bytesIn(folder))
  }
  lookAtMemory()
  const timers = [
    setInterval(lookAtMemory, lookEvery.memory),
    setInterval(lookAtDisk, lookEvery.disk),
  ]
  return {
    stop() {
      timers.forEach(clearInterval)
      lookAtDisk()
      return peaks
    },
  }
}

/**
 * Returns the milliseconds of CPU (user and system) that the ended children of this process used,
 * with their descendants.
 */
export function cpuOfEndedChildren(): number {
  const fields = statFields('self')
  return (Number(fields[13]) + Number(fields[14])) * millisecondsPerTick
}

/**
 * Returns the milliseconds of CPU of running processes, their descendants, and their ended children.
 */
export function cpuOf(pids: readonly number[]): number {
  const ticks = pids.flatMap(tree).reduce(
    (sum, pid) =>
      sum +
      statFields(pid)
        .slice(11, 15)
        .reduce((own, value) => own + Number(value), 0),
    0,
  )
  return ticks * millisecondsPerTick
}

/** Returns the bytes of all files in a folder, or 0 without one. Files deleted meanwhile count as 0. */
export function bytesIn(folder: string): number {
  let names: string[]
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch {
    return 0
  }
  return names.reduce((sum, name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false })
    return sum + (found?.isFile() ? found.size : 0)
  }, 0)
}

/** Returns a process and its descendants. Each thread lists the children that it started. */
function tree(pid: number): number[] {
  const found = [pid]
  for (const parent of found) {
    for (const thread of list(`/proc/${parent}/task`)) {
      for (const child of read(`/proc/${parent}/task/${thread}/children`).split(' '))
        if (child !== '') found.push(Number(child))
    }
  }
  return found
}

/** The fields of /proc/PID/stat after the name: the first is the third of proc(5), the state. */
function statFields(pid: number | 'self'): string[] {
  const stat = read(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.length > 15 ? fields : Array<string>(16).fill('0')
}

function residentBytes(pid: number): number {
  return Number(read(`/proc/${pid}/statm`).split(' ')[1] ?? 0) * pageBytes
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // it has ended meanwhile
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}
