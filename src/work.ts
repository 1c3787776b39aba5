import type { Text } from './text.ts'

/**
 * What every long piece of work is given: a signal that stops it, a log to speak to, and a place to
 * note what must be cleaned up if this process does not live to do it.
 */
export interface Work {
  /** Fires on SIGINT, SIGTERM or a deadline. Every wait and every child listens to it. */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * What every child's environment starts from: PATH, HOME, LANG, TMPDIR, TZ, PGPASSFILE and the
   * like; none of our inputs, no token.
   */
  readonly env: Readonly<Record<string, string>>
  /** An existing folder for temporary things; the runner empties it after the job. */
  readonly temporary: string
  /** Notes a held thing, *before* it exists, for the clean-up that runs after this process. */
  hold(held: Held): void
  /** The thing is gone (or, for a backup, whole): nothing to clean up any more. */
  release(held: Held): void
}

export interface Log {
  info(text: Text): void
  /** Shown only when the runner debugs. Never holds a secret. */
  debug(text: string): void
  warning(text: Text): void
  /**
   * How far the work has come, `share` from 0 to 1; each call takes the place of the one before.
   * Only where that can be shown: on a terminal.
   */
  progress?(text: string, share: number): void
  /** Runs `body` with what it logs folded under a title. */
  group<T>(title: string, body: () => Promise<T>): Promise<T>
}

/**
 * A thing that outlives this process unless somebody ends it. Holds no secret: it is written to the
 * runner's state.
 */
export type Held =
  /**
   * A child process (or a process group's leader); `startTicks` is field 22 of /proc/PID/stat, so
   * that a pid used again is never killed.
   */
  | { kind: 'process'; pid: number; startTicks: string }
  /** A scratch cluster's folder of ours, with data, socket and log. */
  | { kind: 'cluster'; directory: string }
  /** A temporary folder of ours. */
  | { kind: 'folder'; directory: string }
  /** A database on a server of the user's, by the input that names the server. */
  | { kind: 'database'; name: string; input: 'scratch-url' | 'target-url' }
  /** Roles that were not on a server of the user's before; they go when nothing rests on them. */
  | { kind: 'roles'; names: string[]; input: 'scratch-url' }
  /** A schema of ours in a database of the user's, by the input that names its server. */
  | { kind: 'schema'; database: string; name: string; input: 'target-url' }
  /** The objects of a backup that has no manifest yet. */
  | { kind: 'backup'; label: string; id: string }
