import { paint, type Screen } from '../../src/report/render/layout.ts'
import type { ActionRun } from '../../test/support/mini-runner.ts'
import { showMarkdown } from './show-markdown.ts'

/** Something was not as it should be. What led there has been shown. */
export class Unexpected extends Error {
  override name = 'Unexpected'
}

/** Tells the demo on a terminal: steps with their time, summaries, and what was proven. */
export class Story {
  readonly #screen: Screen
  readonly #write: (text: string) => void
  readonly #proven: string[] = []
  #steps = 0

  constructor(screen: Screen, write: (text: string) => void) {
    this.#screen = screen
    this.#write = write
  }

  say(text: string): void {
    this.#write(`${showMarkdown(text, this.#screen)}\n`)
  }

  /** One step under a heading, with the time that it took. */
  async step<T>(title: string, body: () => Promise<T>): Promise<T> {
    const began = Date.now()
    const bar = '━'.repeat(Math.max(3, this.#screen.width - title.length - 7))
    this.#write(`\n${paint(`━━ ${++this.#steps}. ${title} ${bar}`, 'bold', this.#screen)}\n\n`)
    const result = await body()
    this.#write(`${paint(`   took ${seconds(Date.now() - began)}`, 'dim', this.#screen)}\n`)
    return result
  }

  /** Shows what a person would see on the page of the run. */
  summary({ summary }: ActionRun): void {
    const edge = paint('┃ ', 'dim', this.#screen)
    const text = showMarkdown(summary.trim(), { ...this.#screen, width: this.#screen.width - 2 })
    this.#write(
      `${text
        .split('\n')
        .map((line) => `${edge}${line}`.trimEnd())
        .join('\n')}\n\n`,
    )
  }

  /**
   * Holds what was seen against what should be. If it holds, it is among the proven; if not, the
   * demo ends, with the action's log.
   */
  expect(holds: boolean, sentence: string, run?: ActionRun): void {
    if (holds) {
      this.#proven.push(sentence)
      this.#write(`✓ ${sentence}\n`)
      return
    }
    if (run !== undefined) this.#write(`\n${run.log}\n`)
    throw new Unexpected(`This should hold, and does not: ${sentence}`)
  }

  /** The end: all that was proven, in order. */
  close(milliseconds: number): void {
    this.#write(`\n${paint(`━━ Proven, in ${seconds(milliseconds)} ━━`, 'bold', this.#screen)}\n\n`)
    for (const sentence of this.#proven) this.#write(`✓ ${sentence}\n`)
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
