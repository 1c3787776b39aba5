/** The results of the bench, and the file that keeps them between runs. */
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
  /** How its work differs from that of the others. */
  note?: string
  runs: Run[]
  /** Missing programs, with how to install them. If set, the contestant was not measured. */
  missing?: string
  /** The last line of a run that failed. */
  failed?: string
}

export interface SizeResults {
  size: number
  seed: number
  rounds: number
  jobs: number
  /** The command lines that produced the figures, one per line. */
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
  /** The decrypted size of the base archive in a Holdfast backup, in bytes. */
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
 * Merges results: for each size, a newer part replaces the older one, and parts that did not run
 * this time are kept. Results of another machine are dropped.
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
 * Returns one figure over all runs; undefined without runs, and for a contestant with a failed run.
 */
export function figure(outcome: Outcome | undefined, of: keyof Run): Spread | undefined {
  return spread(
    outcome === undefined || outcome.failed !== undefined ? [] : outcome.runs.map((run) => run[of]),
  )
}
