/** What runs of the bench found, as it is kept between them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type Spread, spread } from './statistics.ts'

/** One run of one contestant. Times are milliseconds, sizes bytes. */
export interface Run {
  wall: number
  cpu: number
  /** What PostgreSQL's and the S3 server's processes used meanwhile. */
  serverCpu: number
  treeMemory: number
  ownMemory: number
  disk: number
  stored: number
}

export interface Outcome {
  name: string
  title: string
  kind: 'ours' | 'peer' | 'floor'
  /** The command, or the inputs of the action. */
  command: string
  /** Why what it does is not quite what the others do. */
  note?: string
  runs: Run[]
  /** Programs that are not on this machine, with how to get them: not measured. */
  missing?: string
  /** The last line of a run that failed. */
  failed?: string
}

export interface SizeResults {
  size: number
  seed: number
  rounds: number
  jobs: number
  /** The command lines that made it, one a line. */
  typed: string
  at: string
  postgres: string
  /** Tables with TOAST, and indexes. */
  database: {
    tables: number
    rows: number
    tableBytes: number
    indexBytes: number
    largest: number
  }
  /** The size of the base archive in a backup of ours, decrypted. */
  baseBytes?: number
  backup: Outcome[]
  restore: Outcome[]
}

export interface StartUp {
  /** Milliseconds from the process's start to its first query on the wire. */
  firstQuery: number[]
  /** Bytes of dist/, of its scripts, and of the scripts that a backup to S3 loads. */
  dist: { all: number; scripts: number; loaded: number; loadedFiles: string[] }
}

export interface Machine {
  cpu: string
  cores: number
  memory: number
  kernel: string
  tools: { name: string; version: string }[]
}

export interface Results {
  format: 1
  machine: Machine
  startUp?: StartUp
  sizes: SizeResults[]
}

export function readResults(file: string): Results | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : undefined
}

export function writeResults(file: string, results: Results): void {
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`)
}

/**
 * Older results with newer ones: a size's newer part replaces the older, and what was not run this
 * time is kept. Of another machine nothing is kept.
 */
export function merge(older: Results | undefined, newer: Results): Results {
  if (older === undefined || machineKey(older.machine) !== machineKey(newer.machine)) return newer
  const sizes = newer.sizes.map((size) => {
    const before = older.sizes.find(
      (each) =>
        each.size === size.size && each.seed === size.seed && each.postgres === size.postgres,
    )
    const baseBytes = size.baseBytes ?? before?.baseBytes
    const kept =
      before !== undefined &&
      ((size.backup.length === 0 && before.backup.length > 0) ||
        (size.restore.length === 0 && before.restore.length > 0))
    return {
      ...size,
      typed: kept && before.typed !== size.typed ? `${before.typed}\n${size.typed}` : size.typed,
      ...(baseBytes === undefined ? {} : { baseBytes }),
      backup: size.backup.length > 0 ? size.backup : (before?.backup ?? []),
      restore: size.restore.length > 0 ? size.restore : (before?.restore ?? []),
    }
  })
  const kept = older.sizes.filter((each) => !sizes.some(({ size }) => size === each.size))
  const startUp = newer.startUp ?? older.startUp
  return {
    ...newer,
    ...(startUp ? { startUp } : {}),
    sizes: [...kept, ...sizes].sort((a, b) => a.size - b.size),
  }
}

function machineKey({ cpu, cores, memory }: Machine): string {
  return [cpu, cores, memory].join()
}

/**
 * One figure over all runs; undefined where there was none, and for a contestant of which any run
 * failed.
 */
export function figure(outcome: Outcome | undefined, of: keyof Run): Spread | undefined {
  return spread(
    outcome === undefined || outcome.failed !== undefined ? [] : outcome.runs.map((run) => run[of]),
  )
}
