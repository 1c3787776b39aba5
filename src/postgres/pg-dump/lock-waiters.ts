import { randomBytes } from 'node:crypto'
import { messageOf } from '../../errors.ts'
import type { Work } from '../../work.ts'
import type { Connection } from '../connection/connection.ts'
import { connect, type Session } from '../connection/session.ts'
import { StandbyConflict } from '../connection/session-errors.ts'
import { statementKind } from './statement-kind.ts'
import { readBlockedSessions, type BlockedSession } from './lock-queue.ts'

/** Somebody who waited for a lock that a session or a pg_dump of ours held. */
export interface Waiter {
  /**
   * Kind of the statement, for example `ALTER TABLE`; `replay` where a standby waits with what its
   * primary did; undefined where it cannot be seen.
   */
  kind?: string
  /** `schema.table` as people write it; undefined where the lock is none of a table. */
  table?: string
  /** The lock that it waits for, for example `ACCESS EXCLUSIVE`. */
  mode: string
  /** Milliseconds; the longest that was seen. */
  waited: number
  /** The most that waited behind it at a time. */
  behind: number
}

export interface WaiterWatch {
  /**
   * Settles when a standby has held back its replay for us longer than its own settings allow. A
   * pg_dump that stands at a full pipe cannot be cancelled by its server (seen on 15 to 18), so it
   * is us who must let go of it: end the moment and start over.
   */
  readonly conflict: Promise<StandbyConflict>
  /**
   * Ends the watch. Gives who waited for more than three seconds, the longest first. Never fails.
   */
  stop(): Promise<Waiter[]>
}

/** Milliseconds between two looks, and how long somebody may wait before it is told. */
const interval = 2000
const notable = 3000

/**
 * One wait, from look to look: since when, how long it was last, from when on it is told again, and
 * what is told of it.
 */
interface Seen {
  since: number
  waited: number
  tell: number
  waiter?: Waiter
}

/**
 * The connection under a name of this run's own: all sessions and pg_dumps that are opened with it
 * are known by it on the server.
 */
export function withUniqueApplicationName(connection: Connection): Connection {
  return {
    ...connection,
    settings: { ...connection.settings, PGAPPNAME: `holdfast-${randomBytes(4).toString('hex')}` },
  }
}

/**
 * Looks every two seconds whether somebody waits behind locks of ours, and says so: our dump of a
 * table is no harm to anybody who reads or writes it, but an ALTER waits for it, and everybody else
 * waits for the ALTER. `connection` is one by `named`. It looks on a session of its own, and never
 * fails the work: where it cannot look, it says so at debug level.
 */
export function watchWaiters(connection: Connection, work: Work): WaiterWatch {
  const all: Waiter[] = []
  const now = new Map<string, Seen>()
  let stopped = false
  let wake = (): void => {}
  let onConflict: (conflict: StandbyConflict) => void = () => {}
  const conflict = new Promise<StandbyConflict>((resolve) => (onConflict = resolve))

  const look = async (session: Session, replayTimeout: number): Promise<void> => {
    const waiting = await readBlockedSessions(
      session,
      connection.settings['PGAPPNAME'] ?? 'holdfast',
    )
    const keys = new Set(waiting.map(keyOf))
    for (const key of now.keys()) if (!keys.has(key)) now.delete(key)
    for (const each of waiting) {
      let seen = now.get(keyOf(each))
      // a server before 14, and one in the first moments of a wait, does not tell since when
      const waited = Math.round(each.waited ?? (seen ? Date.now() - seen.since : 0))
      // the same backend that waits for a shorter time than before waits anew
      if (!seen || waited < seen.waited)
        now.set(keyOf(each), (seen = { since: Date.now() - waited, waited, tell: notable }))
      seen.waited = waited
      if (each.kind === 'replay' && waited > replayTimeout)
        onConflict(
          new StandbyConflict(
            `the standby's replay has waited for our lock${each.table ? ` on ${each.table}` : ''} longer than its settings allow`,
          ),
        )
      if (waited >= notable) note(each, seen)
    }
  }
  const note = (each: BlockedSession, seen: Seen): void => {
    const { table, mode, behind } = each
    const kind = each.kind ?? (each.query ? statementKind(each.query) : undefined)
    const first = seen.waiter === undefined
    const waiter = (seen.waiter ??= {
      mode,
      waited: 0,
      behind: 0,
      ...(kind ? { kind } : {}),
      ...(table ? { table } : {}),
    })
    if (first) all.push(waiter)
    waiter.waited = Math.max(waiter.waited, seen.waited)
    waiter.behind = Math.max(waiter.behind, behind)
    if (seen.waited < seen.tell) return
    seen.tell = 2 * seen.waited
    work.log[first ? 'warning' : 'info'](describe(waiter, seen.waited, behind))
  }
  const watch = async (): Promise<void> => {
    let session: Session | undefined
    try {
      const own = (session = await connect(connection, work))
      let lost = false
      void own.lost.then(() => (lost = true))
      await own.query(
        `SELECT pg_catalog.set_config('statement_timeout', '5s', false), pg_catalog.set_config('lock_timeout', '1s', false)`,
      )
      const replayTimeout = await readReplayTimeout(own)
      for (let failed = false; !stopped && !lost;) {
        const from = Date.now()
        try {
          await look(own, replayTimeout)
        } catch (error) {
          if (!failed && !lost)
            work.log.debug(
              `Who waits behind our locks could not be seen this time: ${messageOf(error)}`,
            )
          failed = true
        }
        // where a look takes long, because there are very many locks, there are fewer looks
        const pause = Math.max(interval, 50 * (Date.now() - from))
        await Promise.race([
          own.lost,
          new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, pause)
            wake = () => {
              clearTimeout(timer)
              resolve()
            }
            if (stopped) wake()
          }),
        ])
      }
      if (lost && !stopped)
        work.log.debug(
          `Nobody looks any more who waits behind our locks: ${messageOf(await own.lost)}`,
        )
    } catch (error) {
      work.log.debug(`Who waits behind our locks cannot be seen: ${messageOf(error)}`)
    } finally {
      await session?.end()
    }
  }
  const watching = watch()
  const onAbort = (): void => {
    stopped = true
    wake()
  }
  work.signal.addEventListener('abort', onAbort, { once: true })
  return {
    conflict,
    async stop() {
      work.signal.removeEventListener('abort', onAbort)
      onAbort()
      await Promise.race([watching, new Promise((resolve) => setTimeout(resolve, 1000).unref())])
      return all.sort((one, other) => other.waited - one.waited)
    },
  }
}

/**
 * How long a standby's settings let its replay wait for us, milliseconds, and a second for the
 * cancel to be heard; on a primary nothing is replayed.
 */
async function readReplayTimeout(session: Session): Promise<number> {
  const [row] = await session.query<{ least: number; most: number }>(
    `SELECT min(setting::int8)::float8 AS least, max(setting::int8)::float8 AS most FROM pg_catalog.pg_settings WHERE name IN ('max_standby_streaming_delay', 'max_standby_archive_delay')`,
  )
  return !row || row.least < 0 ? Infinity : row.most + 1000
}

function describe(waiter: Waiter, waited: number, behind: number): string {
  const who =
    waiter.kind === 'replay'
      ? 'The standby’s replay'
      : (waiter.kind ?? `A statement that needs ${waiter.mode}`)
  const more = behind === 0 ? '' : `, and ${behind} more wait${behind === 1 ? 's' : ''} behind it`
  return `${who}${waiter.table ? ` on ${waiter.table}` : ''} has waited ${Math.round(waited / 1000)} s for locks of this backup${more}`
}

function keyOf({ pid, mode, table = '' }: BlockedSession): string {
  return `${pid} ${mode} ${table}`
}
