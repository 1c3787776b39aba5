import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../errors.ts'
import type { Work } from '../../work.ts'
import { applicationName } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import { connect, type Session } from '../connection/session.ts'
import { StandbyConflict } from '../connection/session-errors.ts'
import { type BlockedSession, readBlockedSessions } from './lock-queue.ts'
import { statementKind } from './statement-kind.ts'

/** A session that waited for a lock held by a session or pg_dump of this run. */
export interface Waiter {
  /**
   * Kind of its statement, for example `ALTER TABLE`. `replay` if a standby waits to replay what its
   * primary did. Undefined if this role may not see it.
   */
  kind?: string
  /** `schema.table`; undefined if the lock is not on a table. */
  table?: string
  /** The requested lock mode, for example `ACCESS EXCLUSIVE`. */
  mode: string
  /** The longest wait that was seen, milliseconds. */
  waited: number
  /** The highest number of sessions behind it. */
  behind: number
}

export interface WaiterWatch {
  /**
   * Settles when a standby has held back its replay for longer than its settings allow. The caller
   * must close the snapshot and retry: the server cannot cancel a pg_dump that waits at a full pipe
   * (seen on 15 to 18).
   */
  readonly conflict: Promise<StandbyConflict>
  /** Ends the watch. Returns who waited for more than three seconds, the longest first. */
  stop(): Promise<Waiter[]>
}

/** Milliseconds between two looks. */
const interval = 2000
/** Milliseconds of a wait that is worth a warning. */
const notable = 3000

/** A wait as the last look saw it; times in milliseconds. */
interface ObservedWait {
  since: number
  waited: number
  /** The length of the wait at which it is logged again. */
  logAt: number
  /** Set when the wait became notable. */
  waiter?: Waiter
}

/**
 * Looks every two seconds for sessions that wait for locks of this run, and logs them. A dump blocks
 * no reads or writes of a table, but an ALTER waits for the dump, and all others wait for the ALTER.
 *
 * `connection` must come from `withUniqueApplicationName`. Uses a session of its own. Never fails the
 * work: logs at debug level if it cannot look.
 */
export function watchWaiters(connection: Connection, work: Work): WaiterWatch {
  return new Watch(connection, work)
}

class Watch implements WaiterWatch {
  readonly conflict: Promise<StandbyConflict>
  #onConflict: (conflict: StandbyConflict) => void = () => {}
  readonly #connection: Connection
  readonly #work: Work
  readonly #waiters: Waiter[] = []
  /** The waits of the last look, by `keyOf`. */
  readonly #waits = new Map<string, ObservedWait>()
  readonly #stop = new AbortController()
  readonly #onAbort = (): void => this.#stop.abort()
  readonly #ended: Promise<void>

  constructor(connection: Connection, work: Work) {
    this.#connection = connection
    this.#work = work
    this.conflict = new Promise((resolve) => (this.#onConflict = resolve))
    work.signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#ended = this.#run()
  }

  async stop(): Promise<Waiter[]> {
    this.#work.signal.removeEventListener('abort', this.#onAbort)
    this.#stop.abort()
    await Promise.race([this.#ended, new Promise((resolve) => setTimeout(resolve, 1000).unref())])
    return this.#waiters.sort((a, b) => b.waited - a.waited)
  }

  async #run(): Promise<void> {
    let session: Session | undefined
    try {
      session = await connect(this.#connection, this.#work)
      await session.query(
        `SELECT pg_catalog.set_config('statement_timeout', '5s', false),
           pg_catalog.set_config('lock_timeout', '1s', false)`,
      )
      await this.#lookUntilStopped(session, await readReplayTimeout(session))
    } catch (error) {
      this.#debug('Cannot watch for sessions', error)
    } finally {
      await session?.end()
    }
  }

  async #lookUntilStopped(session: Session, replayTimeout: number): Promise<void> {
    let lost: Error | undefined
    void session.lost.then((reason) => (lost = reason))
    let failed = false
    while (!this.#stop.signal.aborted && !lost) {
      const start = Date.now()
      try {
        await this.#look(session, replayTimeout)
      } catch (error) {
        if (!failed && !lost) this.#debug('Could not look this time for sessions', error)
        failed = true
      }
      // with very many locks, a look takes long: then there are fewer looks
      const pause = Math.max(interval, 50 * (Date.now() - start))
      await Promise.race([
        session.lost,
        sleep(pause, undefined, { signal: this.#stop.signal }).catch(() => {}),
      ])
    }
    if (lost && !this.#stop.signal.aborted) this.#debug('Stopped watching for sessions', lost)
  }

  async #look(session: Session, replayTimeout: number): Promise<void> {
    const blocked = await readBlockedSessions(session, applicationName(this.#connection))
    const keys = new Set(blocked.map(keyOf))
    for (const key of this.#waits.keys()) if (!keys.has(key)) this.#waits.delete(key)
    for (const each of blocked) {
      const wait = this.#observe(each)
      if (each.kind === 'replay' && wait.waited > replayTimeout)
        this.#onConflict(replayConflict(each.table))
      if (wait.waited >= notable) this.#note(each, wait)
    }
  }

  #observe(blocked: BlockedSession): ObservedWait {
    const key = keyOf(blocked)
    let wait = this.#waits.get(key)
    // servers before 14, and all servers at the start of a wait, do not report how long it is
    const waited = Math.round(blocked.waited ?? (wait ? Date.now() - wait.since : 0))
    // a shorter time than before: the same backend waits for something else
    if (!wait || waited < wait.waited) {
      wait = { since: Date.now() - waited, waited, logAt: notable }
      this.#waits.set(key, wait)
    }
    wait.waited = waited
    return wait
  }

  #note(blocked: BlockedSession, wait: ObservedWait): void {
    const { behind } = blocked
    const isNew = wait.waiter === undefined
    const waiter = (wait.waiter ??= newWaiter(blocked))
    if (isNew) this.#waiters.push(waiter)
    waiter.waited = Math.max(waiter.waited, wait.waited)
    waiter.behind = Math.max(waiter.behind, behind)
    if (wait.waited < wait.logAt) return
    wait.logAt = 2 * wait.waited
    this.#work.log[isNew ? 'warning' : 'info'](describe({ ...waiter, waited: wait.waited, behind }))
  }

  #debug(what: string, reason: unknown): void {
    this.#work.log.debug(`${what} that wait for locks of this backup: ${messageOf(reason)}`)
  }
}

function newWaiter({ kind, query, table, mode }: BlockedSession): Waiter {
  const shownKind = kind ?? (query ? statementKind(query) : undefined)
  return {
    mode,
    waited: 0,
    behind: 0,
    ...(shownKind ? { kind: shownKind } : {}),
    ...(table ? { table } : {}),
  }
}

/**
 * Returns how long a standby's settings let its replay wait, in milliseconds, plus a second for the
 * cancel to arrive. Infinity if they set no limit.
 */
async function readReplayTimeout(session: Session): Promise<number> {
  const [row] = await session.query<{ least: number; most: number }>(
    `SELECT min(setting::int8)::float8 AS least, max(setting::int8)::float8 AS most
     FROM pg_catalog.pg_settings
     WHERE name IN ('max_standby_streaming_delay', 'max_standby_archive_delay')`,
  )
  return !row || row.least < 0 ? Infinity : row.most + 1000
}

function replayConflict(table: string | undefined): StandbyConflict {
  const lock = `lock${table ? ` on ${table}` : ''}`
  return new StandbyConflict(
    `the standby's replay has waited for this run's ${lock} longer than its settings allow`,
  )
}

function describe({ kind, table, mode, waited, behind }: Waiter): string {
  const who =
    kind === 'replay' ? 'The standby’s replay' : (kind ?? `A statement that needs ${mode}`)
  const seconds = Math.round(waited / 1000)
  const more = behind === 0 ? '' : `, and ${behind} more wait${behind === 1 ? 's' : ''} behind it`
  const on = table ? ` on ${table}` : ''
  return `${who}${on} has waited ${seconds} s for locks of this backup${more}`
}

function keyOf({ pid, mode, table = '' }: BlockedSession): string {
  return `${pid} ${mode} ${table}`
}
