import { flatten, flattenName, withoutControls } from '../../escape.ts'
import { asFlag, type Inline, plainText, type Text } from '../../text.ts'
import {
  type Block,
  type Chart,
  type Code,
  type Details,
  type Facts,
  isList,
  type Next,
  type Report,
  type Setting,
  type Steps,
  symbols,
  type Table,
} from '../blocks.ts'
import { formatBytes, formatDuration } from '../format.ts'
import { columnWidths, flow, layRow, paint, type Run, type Screen, tableWidths } from './layout.ts'
import { piecesFor } from './plain.ts'

/** Returns a report as lines for a screen. Inputs are shown as flags. */
export function renderTerminal(report: Report, screen: Screen): string {
  return renderBlocks(report, screen).join('\n')
}

function renderBlocks(report: Report, screen: Screen): string[] {
  return report
    .map((block) => renderBlock(block, screen))
    .filter((lines) => lines.length > 0)
    .flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]))
}

function renderBlock(block: Block, screen: Screen): string[] {
  switch (block.kind) {
    case 'heading': {
      const mark = block.mark === undefined ? '' : `${symbols[block.mark]} `
      const runs = [{ text: mark }, ...runsOf(block.text)]
      return flow(
        runs.map(({ text }): Run => ({ text, style: 'bold' })),
        screen,
      )
    }
    case 'paragraph':
      return flow(runsOf(block.text), screen)
    case 'facts':
      return renderFacts(block, screen)
    case 'table':
      return renderTable(block, screen)
    case 'list':
      return block.items.flatMap((item) => flow(runsOf(item), screen, '• '))
    case 'steps':
      return renderSteps(block, screen)
    case 'code':
      return renderCode(block, screen)
    case 'settings':
      return renderCode({ code: block.settings.flatMap(flagsOf).join(' ') }, screen)
    case 'details':
      return renderDetails(block, screen)
    case 'chart':
      return renderChart(block, screen)
    case 'callout':
      return flow(runsOf(block.text), screen, `${symbols[block.mark]} `)
    case 'next':
      return renderNext(block, screen)
  }
}

function renderFacts({ rows }: Facts, screen: Screen): string[] {
  const cells = rows.map(([key, value]) => [runsOf(key), runsOf(value)])
  const widths = columnWidths(cells, screen.width)
  return cells.flatMap((row) => layRow(row, widths, [], screen))
}

function renderTable({ head, rows, align }: Table, screen: Screen): string[] {
  const title = head.map((cell) => runsOf(cell).map(({ text }): Run => ({ text, style: 'bold' })))
  const body = rows.map((row) => head.map((_, i) => runsOf(row[i] ?? '')))
  const widths = tableWidths([title, ...body], screen.width)
  const rule = widths.map((width) => '─'.repeat(width)).join('  ')
  return [
    ...layRow(title, widths, align, screen),
    paint(rule, 'dim', screen),
    ...body.flatMap((row) => layRow(row, widths, align, screen)),
  ]
}

function renderSteps({ steps }: Steps, screen: Screen): string[] {
  const begun = steps.some(({ done }) => done)
  return steps.flatMap(({ step, done }, i) =>
    flow(runsOf(step), screen, `${i + 1}. ${begun ? `${done ? symbols.pass : '▢ '} ` : ''}`),
  )
}

/** Lines are not wrapped, so that they can be copied. */
function renderCode({ code }: Pick<Code, 'code'>, screen: Screen): string[] {
  return withoutControls(code)
    .replace(/(?<!\n)\n+$/, '')
    .split('\n')
    .map((line) => `${paint('  │ ', 'dim', screen)}${line}`)
}

function renderDetails({ title, blocks }: Details, screen: Screen): string[] {
  return [
    ...flow([{ text: flatten(plainText(title, 'terminal')) }], screen, '▸ '),
    ...indent(blocks, screen),
  ]
}

function renderNext({ text, blocks }: Next, screen: Screen): string[] {
  const runs: Run[] = [{ text: 'Next:', style: 'bold' }, { text: ' ' }, ...runsOf(text)]
  const body = renderBlocks(blocks, screen)
  return [...flow(runs, screen), ...(body.length > 0 ? ['', ...body] : [])]
}

function indent(report: Report, screen: Screen): string[] {
  return renderBlocks(report, { ...screen, width: screen.width - 2 }).map((line) =>
    `  ${line}`.trimEnd(),
  )
}

const formats: Record<Chart['unit'], (value: number) => string> = {
  milliseconds: formatDuration,
  bytes: formatBytes,
}

/** A bar for each part, its length in proportion to the longest. */
function renderChart({ title, unit, parts }: Chart, screen: Screen): string[] {
  const longest = Math.max(...parts.map(({ value }) => value))
  const cells = parts.map(({ name, value }): Run[][] => [
    [{ text: flatten(name) }],
    [{ text: formats[unit](value) }],
  ])
  const barWidth = Math.min(24, Math.floor(screen.width / 4))
  const widths = columnWidths(cells, screen.width - barWidth - 2)
  return [
    ...flow([{ text: flatten(title), style: 'bold' }], screen),
    ...cells.flatMap((row, i) => {
      const share = (parts[i]?.value ?? 0) / longest
      const bar = '█'.repeat(Math.max(1, Math.round(barWidth * share)))
      // the figure ends the line at its last column, so the bars begin in the same one
      const [first = '', ...more] = layRow(row, widths, ['left', 'right'], screen)
      return [`${first}  ${paint(bar, 'code', screen)}`, ...more]
    }),
  ]
}

/** `--label production`; one flag for each value of a list. */
function flagsOf({ input, value }: Setting): string[] {
  return (isList(value) ? value : [value]).map((each) =>
    asFlag({ kind: 'input', input, value: each }),
  )
}

function runsOf(text: Text): Run[] {
  return piecesFor(text, 'terminal')
    .map(runOf)
    .flat()
    .filter((run) => run.text !== '')
}

function runOf(piece: Exclude<Inline, { kind: 'either' }>): Run | Run[] {
  if (typeof piece === 'string') return { text: flatten(piece) }
  switch (piece.kind) {
    case 'code':
      return { text: flattenName(piece.code), style: 'code' }
    case 'input':
      return { text: asFlag(piece), style: 'code' }
    case 'strong':
      return runsOf(piece.text).map(({ text, style }): Run => ({ text, style: style ?? 'bold' }))
    case 'link': {
      const words = plainText(piece.text, 'terminal')
      const href = words === piece.href ? '' : ` (${flatten(piece.href)})`
      return [...runsOf(piece.text), { text: href }]
    }
  }
}
