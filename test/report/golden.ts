import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../../src/report/blocks.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { renderTerminal } from '../../src/report/render/terminal.ts'
import { plainText, type Text } from '../../src/text.ts'

const folder = join(import.meta.dirname, 'golden')
const renew = process.env.HOLDFAST_TEST_GOLDEN === 'write'

/** What a run shows of its result: lines of its log, and a report. */
export interface Shown {
  log: readonly Text[]
  report: Report
}

/** Results of one kind. Of the variants, the page has only the lines that differ from `usual`. */
export interface Example {
  name: string
  usual: Shown
  variants?: Readonly<Record<string, Shown>>
}

/**
 * Fails if a report is not as in `golden/NAME.md`, word for word.
 *
 *   HOLDFAST_TEST_GOLDEN=write npm test -- test/report/golden.test.ts
 *
 * writes the pages, and fails. Read their difference in git: what you did not mean to change is a
 * bug.
 */
export function checkGolden(example: Example): void {
  checkPage(`${example.name}.md`, pageOf(example))
}

/** Fails if reports in a terminal are not as in `golden/NAME`. */
export function checkInTerminal(name: string, reports: readonly Shown[]): void {
  const screen = { width: 80, colour: false }
  const pages = reports.map(({ report }) => `${renderTerminal(report, screen)}\n`)
  checkPage(name, pages.join(`\n${'='.repeat(screen.width)}\n\n`))
}

function checkPage(name: string, page: string): void {
  const file = join(folder, name)
  if (renew) writeFileSync(file, page)
  assert.equal(page, readFileSync(file, 'utf8'))
  assert.ok(!renew, `${file} is written. Read its difference in git.`)
}

function pageOf({ usual, variants = {} }: Example): string {
  const lines = linesOf(usual)
  const others = Object.entries(variants).map(([title, shown]) => {
    const changes = shortened(differences(lines, linesOf(shown))).join('\n')
    assert.notEqual(changes, '', `${title} shows nothing else`)
    return `${title}:\n\n\`\`\`diff\n${changes}\n\`\`\`\n`
  })
  return [`${lines.join('\n')}\n`, ...others].join('\n---\n\n')
}

function linesOf({ log, report }: Shown): string[] {
  const logged = log.map((line) => `Log: ${plainText(line)}\n`)
  return [...logged, renderMarkdown(report).trimEnd()].join('\n').split('\n')
}

/** The lines that are only in one of two texts. */
function differences(before: readonly string[], after: readonly string[]): string[] {
  const common = commonLengths(before, after)
  const length = (i: number, j: number): number => common[i]?.[j] ?? 0
  const found: string[] = []
  let [i, j] = [0, 0]
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      i++
      j++
    } else if (j === after.length || (i < before.length && length(i + 1, j) >= length(i, j + 1)))
      found.push(marked('-', before[i++]))
    else found.push(marked('+', after[j++]))
  }
  return found
}

/** Of many lines that are gone, the first, the last, and the number of those between. */
function shortened(changes: readonly string[]): string[] {
  const short: string[] = []
  for (let i = 0; i < changes.length;) {
    let end = i
    while (changes[end]?.startsWith('-')) end++
    const gone = changes.slice(i, Math.max(end, i + 1))
    const between = `- … (${gone.length - 2} lines)`
    short.push(...(gone.length > 5 ? [...gone.slice(0, 1), between, ...gone.slice(-1)] : gone))
    i += gone.length
  }
  return short
}

function marked(mark: string, line = ''): string {
  return line === '' ? mark : `${mark} ${line}`
}

/** For each pair of places, how many lines the two texts have in common from there on. */
function commonLengths(before: readonly string[], after: readonly string[]): number[][] {
  const common = Array.from({ length: before.length + 1 }, () =>
    new Array<number>(after.length + 1).fill(0),
  )
  for (let i = before.length - 1; i >= 0; i--) {
    const [row = [], below = []] = [common[i], common[i + 1]]
    for (let j = after.length - 1; j >= 0; j--)
      row[j] =
        before[i] === after[j] ? 1 + (below[j + 1] ?? 0) : Math.max(below[j] ?? 0, row[j + 1] ?? 0)
  }
  return common
}
