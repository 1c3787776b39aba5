import { bytesCopied } from '../postgres/pg-dump/copy-progress.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import type { Archive } from '../postgres/pg-dump/archive-plan.ts'
import type { Table } from '../postgres/fingerprint/tables.ts'
import type { Session } from '../postgres/connection/session.ts'
import type { Log } from '../work.ts'
import { type Counter, tellProgress } from '../stream/progress.ts'

/**
 * How far the reading of a database has come: by what each pg_dump says it begins with, and what
 * the server says of the table it is at.
 */
export class DumpProgress {
  readonly #read: Counter = { name: 'read', done: 0, total: 0 }
  readonly #measured: Counter = { name: 'measured', done: 0, total: 0 }
  /**
   * By archive: its tables' sizes by the name that pg_dump says, what was finished, and the table
   * it is at.
   */
  readonly #archives = new Map<
    string,
    { archive: Archive; sizes: Map<string, Table>; finished: number; at?: Table }
  >()
  readonly #begun = new Map<string, string>()

  plan(archives: readonly Archive[], measured: readonly Table[]): void {
    for (const archive of archives) {
      this.#archives.set(archive.name, {
        archive,
        sizes: new Map(archive.tables.map((table) => [`${table.schema}.${table.name}`, table])),
        finished: 0,
      })
      this.#read.total += archive.bytes
      // it began while it was still held back
      const begun = this.#begun.get(archive.name)
      if (begun !== undefined) this.begin(archive.name, begun)
    }
    this.#measured.total = measured.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** pg_dump begins with a table: it has read the one before. */
  begin(archive: string, table: string): void {
    this.#begun.set(archive, table)
    const state = this.#archives.get(archive)
    if (!state) return
    state.finished += state.at?.bytes ?? 0
    const at = state.sizes.get(table)
    if (at) state.at = at
    else delete state.at
  }

  finish(archive: string): void {
    const state = this.#archives.get(archive)
    if (!state) return
    state.finished = state.archive.bytes
    delete state.at
  }

  measured(bytes: number): void {
    this.#measured.done += bytes
  }

  /**
   * Tells of it every few seconds, until what it gives is called. `session` is one that nobody else
   * uses meanwhile.
   */
  tell(session: Session, connection: Connection, log: Pick<Log, 'info'>): () => void {
    const look = async (): Promise<void> => {
      const copied = await bytesCopied(session, connection.settings['PGAPPNAME'] ?? '').catch(
        () => new Map<number, number>(),
      )
      // what COPY writes of a table is not just as large as the table
      const at = [...this.#archives.values()].map(
        ({ finished, at: table }) =>
          finished + (table ? Math.min(copied.get(table.oid) ?? 0, table.bytes) : 0),
      )
      this.#read.done = at.reduce((sum, bytes) => sum + bytes, 0)
    }
    return tellProgress(
      log,
      this.#measured.total > 0 ? [this.#read, this.#measured] : [this.#read],
      look,
    )
  }
}
