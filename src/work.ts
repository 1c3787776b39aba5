import type { Text } from './text.ts'

/**
 * The context of a long operation: a signal that stops it, a log, and a record of what must be
 * cleaned up if this process ends before it can do so.
 */
export interface Work {
  /** Fires on SIGINT, SIGTERM or a deadline. Every wait and every child process listens to it. */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * The base environment of every child process: PATH, HOME, LANG, TMPDIR, TZ, PGPASSFILE and the
   * like. It contains no input and no token.
   */
  readonly env: Readonly<Record<string, string>>
  /** An existing folder for temporary files. The runner empties it after the job. */
  readonly temporary: string
  /** Records a resource, *before* it exists, for the clean-up that runs after this process. */
  hold(held: Held): void
  /** Removes the record: the resource no longer exists or, for a backup, is complete. */
  release(held: Held): void
}

export interface Log {
  info(text: Text): void
  /** Shown only with debug logging on. Must not contain a secret. */
  debug(text: string): void
  warning(text: Text): void
  /**
   * Shows the progress, `share` from 0 to 1. Each call replaces what the last one showed. Only a
   * terminal has it.
   */
  progress?(text: string, share: number): void
  /** Runs `body` and folds what it logs under a title. */
  group<T>(title: string, body: () => Promise<T>): Promise<T>
}

/**
 * A resource that outlives this process unless it is cleaned up. It contains no secret: it is
 * written to the runner's state.
 */
export type Held =
  /**
   * A child process, or the leader of a process group. `startTicks` is field 22 of /proc/PID/stat,
   * so that another process with the same pid is never killed.
   */
  | { kind: 'process'; pid: number; startTicks: string }
  /** The folder of a scratch cluster, with its data, socket and log. */
  | { kind: 'cluster'; directory: string }
  /** A temporary folder. */
  | { kind: 'folder'; directory: string }
  /** A database on the user's server, which the input names. */
  | { kind: 'database'; name: string; input: 'scratch-url' | 'target-url' }
  /** Roles created on the user's server. They are dropped if nothing depends on them. */
  | { kind: 'roles'; names: string[]; input: 'scratch-url' }
  /** A schema created in the user's database, on the server that the input names. */
  | { kind: 'schema'; database: string; name: string; input: 'target-url' }
  /** The objects of a backup without a manifest. */
  | { kind: 'backup'; label: string; id: string }
