import assert from 'node:assert/strict'
import type { Level } from '../../src/repository/level.ts'

/** What became of one mutation. */
export interface Killed {
  what: string
  /** The level that it may still reach, and has to. */
  promised: Level
  reached: Level
  /** What found it; undefined when nothing did. */
  by: string | undefined
}

/**
 * Gathers what became of each mutation, prints all of it, and fails by the names of those that were
 * not found, or not where it is promised.
 */
export class KillTable {
  readonly #of: string
  readonly #rows: Killed[] = []

  constructor(of: string) {
    this.#of = of
  }

  add(row: Killed): void {
    this.#rows.push(row)
  }

  check(): void {
    const right = this.#rows.filter(
      ({ promised, reached, by }) => by !== undefined && reached === promised,
    )
    const rows = this.#rows.map(({ what, promised, reached, by }) => [
      what,
      promised,
      reached,
      (by ?? 'SURVIVED').replace(/\s+/g, ' ').slice(0, 110),
    ])
    console.log(
      `Kill table: ${this.#of}\n` +
        `${inColumns([['mutation', 'may reach', 'reached', 'killed by'], ...rows])}\n` +
        `${right.length} of ${rows.length} killed: ${this.#of}\n`,
    )
    const wrong = this.#rows.filter((row) => !right.includes(row))
    assert.deepEqual(
      wrong.map(
        ({ what, promised, reached, by }) =>
          `${what}: may reach ${promised}, reached ${reached}${by === undefined ? ': SURVIVED' : ` (${by})`}`,
      ),
      [],
    )
  }
}

function inColumns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, i) =>
    Math.max(...rows.map((row) => [...(row[i] ?? '')].length)),
  )
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  '),
    )
    .join('\n')
}
