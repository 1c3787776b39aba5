import { bytesCopied } from '../postgres/pg-dump/copy-progress.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import type { Archive } from '../postgres/pg-dump/archive-plan.ts'
import type { Table } from '../postgres/fingerprint/tables.ts'
import type { Session } from '../postgres/connection/session.ts'
import type { Log } from '../work.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'

interface ArchiveProgress {
  archive: Archive
  /** By the name that pg_dump reports. */
  tables: Map<string, Table>
  /** Bytes of the tables that were read to their end. */
  finished: number
  /** The table that is being read. */
  current?: Table
}

/**
 * How far the reading of a database has come: from the table that each pg_dump reports to have
 * started, and from what the server reports about that table's COPY.
 */
export class DumpProgress {
  readonly #read: Counter = { name: 'read', done: 0, total: 0 }
  readonly #measured: Counter = { name: 'measured', done: 0, total: 0 }
  /** By the archive's name. */
  readonly #archives = new Map<string, ArchiveProgress>()
  /** The table that each pg_dump last reported, also before `plan` is called. */
  readonly #begun = new Map<string, string>()

  /** Sets the archives to read and the tables to measure. */
  plan(archives: readonly Archive[], measured: readonly Table[]): void {
    for (const archive of archives) {
      this.#archives.set(archive.name, {
        archive,
        tables: new Map(archive.tables.map((table) => [`${table.schema}.${table.name}`, table])),
        finished: 0,
      })
      this.#read.total += archive.bytes
      // pg_dump reports its first table while its output is still held back
      const begun = this.#begun.get(archive.name)
      if (begun !== undefined) this.begin(archive.name, begun)
    }
    this.#measured.total = measured.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Notes that pg_dump started to read a table, and so has finished the one before. */
  begin(archive: string, table: string): void {
    this.#begun.set(archive, table)
    const state = this.#archives.get(archive)
    if (!state) return
    state.finished += state.current?.bytes ?? 0
    const current = state.tables.get(table)
    if (current) state.current = current
    else delete state.current
  }

  /** Notes that an archive is stored. */
  finish(archive: string): void {
    const state = this.#archives.get(archive)
    if (!state) return
    state.finished = state.archive.bytes
    delete state.current
  }

  /** Notes that the fingerprint has read some more bytes of tables. */
  measured(bytes: number): void {
    this.#measured.done += bytes
  }

  /**
   * Logs the progress every few seconds. Returns a function that stops this. `session` must not be
   * used for anything else until then.
   */
  report(session: Session, connection: Connection, log: Pick<Log, 'info'>): () => void {
    const look = async (): Promise<void> => {
      const copied = await bytesCopied(session, connection.settings['PGAPPNAME'] ?? '').catch(
        () => new Map<number, number>(),
      )
      // COPY may write more bytes than the table has on disk
      const inCurrent = (table: Table): number => Math.min(copied.get(table.oid) ?? 0, table.bytes)
      this.#read.done = [...this.#archives.values()].reduce(
        (sum, { finished, current }) => sum + finished + (current ? inCurrent(current) : 0),
        0,
      )
    }
    return tellProgress(
      log,
      this.#measured.total > 0 ? [this.#read, this.#measured] : [this.#read],
      look,
    )
  }
}
