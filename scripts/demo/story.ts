import { paint, type Screen } from '../../src/report/render/layout.ts'
import type { ActionRun } from '../../test/support/mini-runner.ts'
import { showMarkdown } from './show-markdown.ts'

/** A result was not as expected. The output that led to it has been shown. */
export class Unexpected extends Error {
  override name = 'Unexpected'
}

/** Shows the demo on a terminal: steps with their time, summaries, and what was proven. */
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

  /** Runs one step under a heading, and shows the time that it took. */
  async step<T>(title: string, body: () => Promise<T>): Promise<T> {
    const began = Date.now()
    const bar = '━'.repeat(Math.max(3, this.#screen.width - title.length - 7))
    this.#write(`\n${paint(`━━ ${++this.#steps}. ${title} ${bar}`, 'bold', this.#screen)}\n\n`)
    const result = await body()
    this.#write(`${paint(`   took ${seconds(Date.now() - began)}`, 'dim', this.#screen)}\n`)
    return result
  }

  /** Shows the summary as on the page of the run. */
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
   * Checks an expectation. If it holds, adds its sentence to what was proven; if not, the demo ends
   * with the action's log.
   */
  expect(holds: boolean, sentence: string, run?: ActionRun): void {
    if (holds) {
      this.#proven.push(sentence)
      this.#write(`✓ ${sentence}\n`)
      return
    }
    if (run !== undefined) this.#write(`\n${run.log}\n`)
    throw new Unexpected(`This was expected, and is not the case: ${sentence}`)
  }

  /** Shows all that was proven, in order. */
  close(milliseconds: number): void {
    this.#write(`\n${paint(`━━ Proven, in ${seconds(milliseconds)} ━━`, 'bold', this.#screen)}\n\n`)
    for (const sentence of this.#proven) this.#write(`✓ ${sentence}\n`)
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
